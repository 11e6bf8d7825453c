"""A chart as a PNG picture, by matplotlib: for slides, and for Prefect, whose pages take nothing else."""

import io
from typing import Any

from pipeline.report.charts.chart import LOGARITHMIC_FROM, Bars, Chart, Histogram, Line, Lines
from pipeline.report.charts.scale import scales, tick_words

INK, SOFT, GRID, LIMIT = "#1d2433", "#556070", "#e3e7ed", "#8a0f2e"
COLOURS = {"kept": "#2f6fb2", "lost": "#c2570c", "soft": SOFT}
PANEL = (4.6, 2.5)  # inches
DOTS = 200  # per inch: sharp on a screen of twice the usual density
CHARACTER = 0.075  # inches of a letter; the room for words is reckoned, since matplotlib draws twice to measure it
MARGIN, BELOW = 0.12, 0.5  # inches


def draw_png(chart: Chart) -> bytes:
    """The bytes of the picture."""
    if isinstance(chart, Bars):
        return _bars(chart)
    return _histogram(chart) if isinstance(chart, Histogram) else _lines(chart)


def _axes(xlabel: str, ylabel: str, left: float, size: tuple[float, float] = PANEL) -> tuple[Any, Any]:
    """A figure and its axes, ``left`` inches from its edge."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height = size
    above = 0.3 if ylabel else MARGIN
    figure = Figure(figsize=size, dpi=DOTS)
    FigureCanvasAgg(figure)
    wide, high = 1 - (left + MARGIN) / width, 1 - (BELOW + above) / height
    axes = figure.add_axes((left / width, BELOW / height, wide, high))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(SOFT)
    axes.tick_params(colors=SOFT, labelsize=9, length=0)
    axes.grid(color=GRID, linewidth=0.8, axis="y")
    axes.set_axisbelow(True)
    axes.set_xlabel(xlabel, color=INK, fontsize=9.5)
    figure.text(MARGIN / width, 1 - 0.18 / height, ylabel, color=INK, fontsize=9.5)
    return figure, axes


def _scaled(chart: Histogram | Lines) -> tuple[Any, Any]:
    """A figure and its axes with the ticks of the page's own drawing."""
    x, y = scales(chart)
    words = [tick_words(value) for value in y.ticks()]
    figure, axes = _axes(chart.xlabel, chart.ylabel, MARGIN + CHARACTER * (1 + max(map(len, words))))
    if x.kind == "log":
        axes.set_xscale("log")
    if y.kind == "counts":
        axes.set_yscale("symlog", linthresh=LOGARITHMIC_FROM)
    axes.set_xticks(x.ticks(), [tick_words(value) for value in x.ticks()])
    axes.set_yticks(y.ticks(), words)
    axes.minorticks_off()
    axes.set_ylim(y.low, y.high)
    return figure, axes


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _legend(axes: Any, entries: int) -> None:
    if entries > 1:
        axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="best")


def _bars(chart: Bars) -> bytes:
    left = MARGIN + CHARACTER * max(map(len, chart.names))
    figure, axes = _axes(chart.xlabel, "", left, (6.4, 0.7 + 0.36 * len(chart.names)))
    bars = axes.barh(chart.names, chart.counts, left=chart.starts, color=[COLOURS[tone] for tone in chart.tones])
    axes.bar_label(bars, labels=[f"{count:,}" for count in chart.counts], padding=4, color=INK, fontsize=9)
    axes.margins(x=0.14)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(lambda value, _: tick_words(value))
    axes.grid(visible=False)
    return _png(figure)


def _histogram(chart: Histogram) -> bytes:
    figure, axes = _scaled(chart)
    below: Any = 0
    for layer in chart.layers:
        axes.stairs(
            below + layer.counts, chart.edges, baseline=below, fill=True, color=COLOURS[layer.tone], label=layer.label
        )
        below = below + layer.counts
    for limit in chart.limits:
        axes.axvline(limit.value, color=LIMIT, linewidth=1.6, linestyle=(0, (4, 2)), label=limit.words)
    _legend(axes, len(chart.layers))
    return _png(figure)


def _lines(chart: Lines) -> bytes:
    figure, axes = _scaled(chart)
    for line in chart.lines:
        axes.plot([step for step, _ in line.points], [value for _, value in line.points], **_style(line))
    _legend(axes, sum(1 for line in chart.lines if line.label))
    return _png(figure)


def _style(line: Line) -> dict[str, Any]:
    style: dict[str, Any] = {"color": COLOURS[line.tone], "linewidth": 0.8 if line.pale else 1.6}
    style |= {"alpha": 0.35} if line.pale else {}
    style |= {"marker": "o", "markersize": 4} if line.marked else {}
    style |= {"linestyle": (0, (4, 1.5))} if line.dashed else {}
    return style | ({"label": line.label} if line.label else {})
