"""What a chart shows, as data: drawn as markup by svg.py, and as a picture by png.py."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Tone = Literal["kept", "lost", "soft"]
Point = tuple[float, float]
LOGARITHMIC_FROM = 10  # counts above it are drawn on a logarithmic axis where a histogram asks for ``few_seen``


@dataclass(frozen=True)
class Layer:
    """The documents of one colour in a histogram; layers stand on each other, the first one at the bottom."""

    label: str
    tone: Tone
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Limit:
    """A threshold, drawn as a line with its words."""

    value: float
    words: str


@dataclass(frozen=True)
class Histogram:
    """How many documents have which value.

    Attributes:
        xlabel: What is counted over.
        ylabel: What is counted.
        edges: Of the bins, one more than there are.
        layers: The counts.
        log: Whether values are drawn on a logarithmic axis.
        few_seen: Whether counts are logarithmic above ten, so that the few are seen beside the many.
        limits: Thresholds within the edges.
        legend: Whether the colours are told beside the drawing; else the page does so once for many.
    """

    xlabel: str
    ylabel: str
    edges: NDArray[np.float64]
    layers: tuple[Layer, ...]
    log: bool = False
    few_seen: bool = False
    limits: tuple[Limit, ...] = ()
    legend: bool = True


@dataclass(frozen=True)
class Line:
    """One line over steps; without a label it has no entry in the legend."""

    label: str
    tone: Tone
    points: tuple[Point, ...]
    pale: bool = False
    marked: bool = False  # with a dot at each point
    dashed: bool = False


@dataclass(frozen=True)
class Lines:
    """Values by step; ``floor`` is the least value shown, None for that of the lines."""

    xlabel: str
    ylabel: str
    lines: tuple[Line, ...]
    floor: float | None = None


@dataclass(frozen=True)
class Bars:
    """Horizontal bars, each with its count; ``starts`` says where each begins."""

    xlabel: str
    names: tuple[str, ...]
    starts: tuple[float, ...]
    counts: tuple[int, ...]
    tones: tuple[Tone, ...]


Chart = Histogram | Lines | Bars


def histogram_layers(edges: NDArray[np.float64], *layers: tuple[str, Tone, Any]) -> tuple[Layer, ...]:
    """Layers of (label, tone, values); what lies beyond the edges is counted in the bins at the ends.

    Example:
        >>> [layer.counts.tolist() for layer in histogram_layers(np.array([0.0, 1.0, 2.0]), ("a", "kept", [0.5, 7.0]))]
        [[1, 1]]
    """
    return tuple(
        Layer(label, tone, np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0].astype(np.int64))
        for label, tone, values in layers
    )
