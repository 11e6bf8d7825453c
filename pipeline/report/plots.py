"""The report's pictures, as PNG bytes: small panels that can be read at the width of a phone."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.report.figures import Figures, Signal
from pipeline.report.training import finite

INK, SOFT, GRID = "#1d2433", "#556070", "#e3e7ed"
KEPT, LOST, LIMIT = "#2f6fb2", "#c2570c", "#8a0f2e"
PAIR = (KEPT, LOST)
PANEL = (4.6, 2.5)  # inches
DOTS = 200  # per inch: sharp on a screen of twice the usual density
BINS = 48
LOSS = ("loss, nats per token", "loss", None)  # label, key of the lines, least value shown
SMOOTHED_SHARE = 0.06  # of the logged steps: what the smoothed training loss looks back on


def draw(figures: Figures) -> dict[str, bytes]:
    """Every picture that there is data for, by name."""
    pictures = {"funnel": _funnel(figures)}
    if figures.lengths_kept or figures.lengths_dropped:
        pictures["lengths"] = _lengths(figures)
    if figures.similarities:
        pictures["similarity"] = _similarity(figures)
    for signal in figures.signals:
        if len(signal.values):
            pictures[f"signal-{signal.name}"] = _signal(signal)
    curves = training_curves([("training", figures)])
    return pictures | curves


def training_curves(runs: Sequence[tuple[str, Figures]]) -> dict[str, bytes]:
    """Loss, bits per byte, rate and throughput by step, of one run or of several in one picture each."""
    pictures = {}
    for name, label, key, floor in (
        ("loss", *LOSS),
        ("throughput", "tokens per second", "tokens_per_second", 0.0),
        ("learning_rate", "learning rate", "learning_rate", 0.0),
        ("gradient", "norm of the gradient", "grad_norm", 0.0),
    ):
        if any(points(figures.training, key) for _, figures in runs):
            pictures[name] = _curves(runs, label, key, floor)
    if any(len(points(figures.validation, "bits_per_byte")) > 1 for _, figures in runs):
        pictures["bits_per_byte"] = _bits(runs)
    return pictures


def loss_curve(figures: Figures) -> bytes:
    """The picture of one run's loss, alone."""
    return _curves([("training", figures)], *LOSS)


def points(lines: Sequence[dict[str, Any]], key: str) -> list[tuple[float, float]]:
    """(step, value) of the lines that carry a finite value."""
    return [(line["step"], line[key]) for line in lines if finite(line.get(key))]


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


def _legend(axes: Any) -> None:
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="best")


def _funnel(figures: Figures) -> bytes:
    """For slides and pages elsewhere; the report itself shows the funnel as text with bars."""
    figure, axes = _axes("records", "", (6.4, 0.7 + 0.36 * len(figures.funnel)))
    names, counts = [row.name for row in figures.funnel], [row.count for row in figures.funnel]
    read = counts[0] or 1
    left = [0.0 if row.kind == "total" else row.before * read - row.count for row in figures.funnel]
    colours = [KEPT if row.kind == "total" else LOST for row in figures.funnel]
    bars = axes.barh(names, counts, left=left, color=colours)
    axes.bar_label(bars, labels=[f"{count:,}" for count in counts], padding=4, color=INK, fontsize=9)
    axes.margins(x=0.14)
    axes.invert_yaxis()
    axes.grid(visible=False)
    return _png(figure)


def _lengths(figures: Figures) -> bytes:
    figure, axes = _axes("characters of a document", "documents")
    longest = max([*figures.lengths_kept, *figures.lengths_dropped, 10])
    edges = np.geomspace(1, longest + 1, BINS)
    data = [np.maximum(figures.lengths_kept, 1), np.maximum(figures.lengths_dropped, 1)]
    axes.hist(data, bins=edges, stacked=True, color=PAIR, label=["kept", "dropped"])
    axes.set_xscale("log")
    _legend(axes)
    return _png(figure)


def _similarity(figures: Figures) -> bytes:
    figure, axes = _axes("exact Jaccard similarity to the kept document", "near-duplicates")
    low = min(figures.similarities)
    axes.hist(figures.similarities, bins=np.linspace(low, 1.0, 33), color=LOST)
    return _png(figure)


def _signal(signal: Signal) -> bytes:
    """A histogram with its thresholds drawn, and what lies beyond them in the other colour."""
    values = signal.values
    limits = [limit.value for limit in signal.thresholds]
    edges, is_log = _edges(values, limits)
    shown = np.clip(values, edges[0], edges[-1])
    fails = np.zeros(len(values), dtype=bool)
    for limit in signal.thresholds:
        threshold = np.float32(limit.value)
        fails |= values < threshold if limit.bound == "min" else values > threshold
    figure, axes = _axes(signal.name, "documents")
    axes.hist([shown[~fails], shown[fails]], bins=edges, stacked=True, color=PAIR, label=["passes", "fails"])
    axes.set_yscale("symlog", linthresh=10)  # the few beyond a threshold must be seen beside the many
    axes.set_ylim(bottom=0)
    if is_log:
        axes.set_xscale("log")
    for limit in signal.thresholds:
        words = "at least" if limit.bound == "min" else "at most"
        if edges[0] <= limit.value <= edges[-1]:
            axes.axvline(limit.value, color=LIMIT, linewidth=1.6, linestyle=(0, (4, 2)))
            x = limit.value
            place = {"ha": "left", "xytext": (4, 0)} if x <= _middle(edges, is_log) else {"ha": "right"}
            axes.annotate(
                f"{words} {limit.value:g}",
                (x, 1.0),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                va="top",
                fontsize=9,
                color=LIMIT,
                **{"xytext": (-4, 0), **place},
            )
    return _png(figure)


def _middle(edges: np.ndarray[Any, Any], is_log: bool) -> float:
    return float(np.sqrt(edges[0] * edges[-1]) if is_log else (edges[0] + edges[-1]) / 2)


def _edges(values: np.ndarray[Any, Any], limits: list[float]) -> tuple[np.ndarray[Any, Any], bool]:
    """Bins that show the bulk of the values and every threshold; logarithmic for counts over a wide range."""
    high = float(np.quantile(values, 0.999))
    if max(high, *limits) > 50 and min(limits) > 0:
        top = max(high, *(limit * 1.3 for limit in limits if limit < 100 * high), 10.0)
        low = max(0.9, min(float(values.min()), *limits) * 0.9)
        return np.geomspace(low, top * 1.05, BINS), True
    top = max(high, *(limit * 1.25 for limit in limits if limit <= 20 * max(high, 0.05)), 1e-3)
    return np.linspace(0.0, top * 1.02, BINS), False


def _curves(runs: Sequence[tuple[str, Figures]], label: str, key: str, floor: float | None) -> bytes:
    figure, axes = _axes("step", label)
    several = len(runs) > 1
    for (name, figures), colour in zip(runs, PAIR, strict=False):
        found = points(figures.training, key)
        if key == "loss":
            axes.plot(*_columns(found), color=colour, linewidth=0.8, alpha=0.35)
            axes.plot(*_columns(_smooth(found)), color=colour, linewidth=1.8, label=name)
            held = points(figures.validation, "validation_loss")
            style: dict[str, Any] = {"color": colour if several else LOST, "marker": "o", "markersize": 4}
            axes.plot(*_columns(held), linewidth=1.2, label=f"{name}: validation" if several else "validation", **style)
        else:
            dashes = (0, (4, 1.5)) if colour == LOST else "-"  # seen where the two lie on each other
            axes.plot(*_columns(found), color=colour, linewidth=1.4, linestyle=dashes, label=name)
    if floor is not None:
        axes.set_ylim(bottom=floor)
    if several or key == "loss":
        _legend(axes)
    return _png(figure)


def _columns(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in pairs], [y for _, y in pairs]


def _smooth(pairs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The exponential mean over the lines before: of many lines a smooth one, of few nearly the lines themselves."""
    weight = 1.0 / max(1.5, SMOOTHED_SHARE * len(pairs))
    smoothed: list[tuple[float, float]] = []
    for step, value in pairs:
        mean = value if not smoothed else smoothed[-1][1] + weight * (value - smoothed[-1][1])
        smoothed.append((step, mean))
    return smoothed


def _bits(runs: Sequence[tuple[str, Figures]]) -> bytes:
    figure, axes = _axes("step", "validation, bits per byte")
    for (name, figures), colour in zip(runs, PAIR, strict=False):
        found = points(figures.validation, "bits_per_byte")
        axes.plot(
            *_columns(found),
            color=colour,
            marker="o",
            markersize=4,
            linewidth=1.6,
            label=name if len(runs) > 1 else "this model",
        )
        unigram = figures.result.get("unigram_bits_per_byte")
        if finite(unigram):
            shade = colour if len(runs) > 1 else SOFT
            axes.axhline(
                unigram,
                color=shade,
                linewidth=1.2,
                linestyle=":",
                label=f"{name}: unigram {unigram:.2f}" if len(runs) > 1 else f"unigram model {unigram:.2f}",
            )
    _legend(axes)
    return _png(figure)
