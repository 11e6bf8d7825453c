"""The report's pictures, as PNG bytes: the funnel, the lengths, the loss, the throughput."""

import io
from typing import Any

import numpy as np

from pipeline.report.collect import Figures, finite

INK, KEPT, DROPPED, GRID = "#1b1f24", "#1f6feb", "#b35900", "#d0d7de"


def draw(figures: Figures) -> dict[str, bytes]:
    """Every picture that there is data for, by name."""
    pictures = {"funnel": _funnel(figures)}
    if figures.lengths_kept or figures.lengths_dropped:
        pictures["lengths"] = _lengths(figures)
    if figures.training:
        pictures["loss"] = _loss(figures)
        pictures["throughput"] = _throughput(figures)
    return pictures


def _axes(width: float = 8.0, height: float = 3.6) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _funnel(figures: Figures) -> bytes:
    figure, axes = _axes(height=0.6 + 0.45 * len(figures.funnel))
    names = [row["name"] for row in figures.funnel]
    counts = [row["count"] for row in figures.funnel]
    losses = ("quarantined", "excluded", "dropped")
    colours = [DROPPED if name.startswith(losses) else KEPT for name in names]
    bars = axes.barh(names, counts, color=colours)
    axes.bar_label(bars, labels=[f"{count:,}" for count in counts], padding=4, color=INK)
    axes.margins(x=0.12)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("records")
    return _png(figure)


def _lengths(figures: Figures) -> bytes:
    figure, axes = _axes()
    longest = max([*figures.lengths_kept, *figures.lengths_dropped, 10])
    edges = np.geomspace(1, longest + 1, 50)
    data = [np.maximum(figures.lengths_kept, 1), np.maximum(figures.lengths_dropped, 1)]
    axes.hist(data, bins=edges, stacked=True, color=[KEPT, DROPPED], label=["kept", "dropped"])
    axes.set_xscale("log")
    axes.set_xlabel("characters of a document")
    axes.set_ylabel("documents")
    axes.legend(frameon=False)
    return _png(figure)


def _loss(figures: Figures) -> bytes:
    figure, axes = _axes()
    rows = [row for row in figures.training if finite(row.get("loss"))]
    axes.plot([row["step"] for row in rows], [row["loss"] for row in rows], color=KEPT, linewidth=1, label="training")
    rows = [row for row in figures.validation if finite(row["validation_loss"])]
    steps, losses = [row["step"] for row in rows], [row["validation_loss"] for row in rows]
    axes.plot(steps, losses, color=DROPPED, marker="o", markersize=4, linewidth=1.4, label="validation")
    axes.set_xlabel("step")
    axes.set_ylabel("loss, nats a token")
    axes.legend(frameon=False)
    return _png(figure)


def _throughput(figures: Figures) -> bytes:
    figure, axes = _axes(height=2.6)
    rows = [row for row in figures.training if finite(row.get("tokens_per_second"))]
    axes.plot([row["step"] for row in rows], [row["tokens_per_second"] for row in rows], color=KEPT, linewidth=1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("step")
    axes.set_ylabel("tokens a second")
    return _png(figure)
