"""A chart as a PNG picture, by matplotlib: for slides, and for Prefect, whose pages take nothing else."""

import io
from typing import Any

from pipeline.report.charts.chart import LOGARITHMIC_FROM, Bars, Chart, Histogram, Line, Lines

INK, SOFT, GRID, LIMIT = "#1d2433", "#556070", "#e3e7ed", "#8a0f2e"
COLOURS = {"kept": "#2f6fb2", "lost": "#c2570c", "soft": SOFT}
PANEL = (4.6, 2.5)  # inches
DOTS = 200  # per inch: sharp on a screen of twice the usual density


def draw_png(chart: Chart) -> bytes:
    """The bytes of the picture."""
    if isinstance(chart, Bars):
        return _bars(chart)
    return _histogram(chart) if isinstance(chart, Histogram) else _lines(chart)


def _axes(xlabel: str, ylabel: str, size: tuple[float, float] = PANEL) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=DOTS, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(SOFT)
    axes.tick_params(colors=SOFT, labelsize=9, length=0)
    axes.grid(color=GRID, linewidth=0.8, axis="y")
    axes.set_axisbelow(True)
    axes.set_xlabel(xlabel, color=INK, fontsize=9.5)
    axes.set_ylabel(ylabel, color=INK, fontsize=9.5)
    return figure, axes


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _legend(axes: Any, entries: int) -> None:
    if entries > 1:
        axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="best")


def _bars(chart: Bars) -> bytes:
    figure, axes = _axes(chart.xlabel, "", (6.4, 0.7 + 0.36 * len(chart.names)))
    bars = axes.barh(chart.names, chart.counts, left=chart.starts, color=[COLOURS[tone] for tone in chart.tones])
    axes.bar_label(bars, labels=[f"{count:,}" for count in chart.counts], padding=4, color=INK, fontsize=9)
    axes.margins(x=0.14)
    axes.invert_yaxis()
    axes.grid(visible=False)
    return _png(figure)


def _histogram(chart: Histogram) -> bytes:
    figure, axes = _axes(chart.xlabel, chart.ylabel)
    below: Any = 0
    for layer in chart.layers:
        axes.stairs(
            below + layer.counts, chart.edges, baseline=below, fill=True, color=COLOURS[layer.tone], label=layer.label
        )
        below = below + layer.counts
    if chart.few_seen:
        axes.set_yscale("symlog", linthresh=LOGARITHMIC_FROM)
    axes.set_ylim(bottom=0)
    if chart.log:
        axes.set_xscale("log")
    for limit in chart.limits:
        axes.axvline(limit.value, color=LIMIT, linewidth=1.6, linestyle=(0, (4, 2)), label=limit.words)
    _legend(axes, len(chart.layers))
    return _png(figure)


def _lines(chart: Lines) -> bytes:
    figure, axes = _axes(chart.xlabel, chart.ylabel)
    for line in chart.lines:
        axes.plot([step for step, _ in line.points], [value for _, value in line.points], **_style(line))
    if chart.floor is not None:
        axes.set_ylim(bottom=chart.floor)
    _legend(axes, sum(1 for line in chart.lines if line.label))
    return _png(figure)


def _style(line: Line) -> dict[str, Any]:
    style: dict[str, Any] = {"color": COLOURS[line.tone], "linewidth": 0.8 if line.pale else 1.6}
    style |= {"alpha": 0.35} if line.pale else {}
    style |= {"marker": "o", "markersize": 4} if line.marked else {}
    style |= {"linestyle": (0, (4, 1.5))} if line.dashed else {}
    return style | ({"label": line.label} if line.label else {})
