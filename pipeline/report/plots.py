"""Figures -> charts (pipeline/report/charts): which there are, over which bins, with which words."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.report.charts.chart import Bars, Chart, Histogram, Limit, Line, Lines, Point, Tone, histogram_layers
from pipeline.report.figures import Figures, Signal
from pipeline.report.labels import BITS, signal_label
from pipeline.report.training import finite

PAIR: tuple[Tone, Tone] = ("kept", "lost")
BINS = 48
LOSS = ("loss, nats per token", "loss", None)  # label, key of the lines, least value shown
SMOOTHED_SHARE = 0.06  # of the logged steps: what the smoothed training loss looks back on
BEYOND = 1e30  # a value of a training that has diverged: no axis shows it beside the others
MOST_POINTS = 600  # of a line: more than a screen shows, and a page of thousands of steps stays small


def charts(figures: Figures) -> dict[str, Histogram | Lines]:
    """Every chart of the page that there is data for, by name."""
    found: dict[str, Histogram | Lines] = {}
    if figures.lengths_kept or figures.lengths_dropped:
        found["lengths"] = _lengths(figures)
    if figures.similarities:
        found["similarity"] = _similarity(figures)
    for signal in figures.signals:
        if len(signal.values):
            found[f"signal-{signal.name}"] = _signal(signal)
    return found | training_charts([("training", figures)])


def training_charts(runs: Sequence[tuple[str, Figures]]) -> dict[str, Histogram | Lines]:
    """Loss, bits per byte, rate and throughput by step, of one run or of several in one chart each."""
    found: dict[str, Histogram | Lines] = {}
    for name, label, key, floor in (
        ("loss", *LOSS),
        ("throughput", "tokens per second", "tokens_per_second", 0.0),
        ("learning_rate", "learning rate", "learning_rate", 0.0),
        ("gradient", "norm of the gradient", "grad_norm", 0.0),
    ):
        if any(points(figures.training, key) for _, figures in runs):
            found[name] = _curves(runs, label, key, floor)
    if any(len(points(figures.validation, "bits_per_byte")) > 1 for _, figures in runs):
        found["bits_per_byte"] = _bits(runs)
    return found


def loss_chart(figures: Figures) -> Chart:
    """One run's loss, alone."""
    return _curves([("training", figures)], *LOSS)


def funnel_chart(figures: Figures) -> Bars:
    """For slides and pages elsewhere; the report itself shows the funnel as text with bars."""
    rows = figures.funnel
    read = rows[0].count or 1
    starts = tuple(0.0 if row.kind == "total" else row.before * read - row.count for row in rows)
    tones: tuple[Tone, ...] = tuple("kept" if row.kind == "total" else "lost" for row in rows)
    return Bars("records", tuple(row.name for row in rows), starts, tuple(row.count for row in rows), tones)


def points(lines: Sequence[dict[str, Any]], key: str) -> list[Point]:
    """(step, value) of the lines that carry a value which can be drawn."""
    return [(line["step"], line[key]) for line in lines if _drawable(line.get(key)) and _drawable(line.get("step"))]


def _drawable(value: Any) -> bool:
    return finite(value) and abs(value) < BEYOND


def _lengths(figures: Figures) -> Histogram:
    longest = max([*figures.lengths_kept, *figures.lengths_dropped, 10])
    edges = np.geomspace(1, longest + 1, BINS)
    layers = histogram_layers(
        edges, ("kept", "kept", figures.lengths_kept), ("dropped", "lost", figures.lengths_dropped)
    )
    return Histogram("characters of a document", "documents", edges, layers, log=True)


def _similarity(figures: Figures) -> Histogram:
    edges = np.linspace(min([*figures.similarities, 0.99]), 1.0, 33)
    layers = histogram_layers(edges, ("near-duplicates", "lost", figures.similarities))
    return Histogram("exact Jaccard similarity to the kept document", "near-duplicates", edges, layers)


def _signal(signal: Signal) -> Histogram:
    """A histogram with its thresholds drawn, and what lies beyond them in the other colour."""
    values = signal.values
    edges, is_log = _edges(values, [limit.value for limit in signal.thresholds])
    fails = np.zeros(len(values), dtype=bool)
    for limit in signal.thresholds:
        threshold = np.float32(limit.value)
        fails |= values < threshold if limit.bound == "min" else values > threshold
    limits = tuple(
        Limit(limit.value, f"{limit.words} {limit.value:,g}")
        for limit in signal.thresholds
        if edges[0] <= limit.value <= edges[-1]
    )
    layers = histogram_layers(edges, ("passes", "kept", values[~fails]), ("fails", "lost", values[fails]))
    return Histogram(
        signal_label(signal.name), "documents", edges, layers, is_log, few_seen=True, limits=limits, legend=False
    )


def _edges(values: np.ndarray[Any, Any], limits: list[float]) -> tuple[np.ndarray[Any, Any], bool]:
    """Bins that show the bulk of the values and every threshold; logarithmic for counts over a wide range."""
    high = float(np.quantile(values, 0.999))
    if max(high, *limits) > 50 and min(limits) > 0:
        top = max(high, *(limit * 1.3 for limit in limits if limit < 100 * high), 10.0)
        low = max(0.9, min(float(values.min()), *limits) * 0.9)
        return np.geomspace(low, top * 1.05, BINS), True
    top = max(high, *(limit * 1.25 for limit in limits if limit <= 20 * max(high, 0.05)), 1e-3)
    return np.linspace(0.0, top * 1.02, BINS), False


def _curves(runs: Sequence[tuple[str, Figures]], label: str, key: str, floor: float | None) -> Lines:
    several = len(runs) > 1
    lines: list[Line] = []
    for (name, figures), tone in zip(runs, PAIR, strict=False):
        found = points(figures.training, key)
        if not found:
            continue
        if key == "loss":
            lines += _loss_lines(name, figures, tone, found, several=several)
        else:  # dashes are seen where the two lie on each other
            lines.append(Line(name if several else "", tone, _thinned(found), dashed=tone == "lost"))
    return Lines("step", label, tuple(lines), floor)


def _loss_lines(name: str, figures: Figures, tone: Tone, found: list[Point], *, several: bool) -> list[Line]:
    held = points(figures.validation, "validation_loss")
    lines = [Line("", tone, _thinned(found), pale=True), Line(name, tone, _thinned(_smooth(found)))]
    label = f"{name}: validation" if several else "validation"
    return lines + ([Line(label, tone if several else "lost", _thinned(held), marked=True)] if held else [])


def _thinned(found: Sequence[Point]) -> tuple[Point, ...]:
    """Evenly chosen points, the last one among them."""
    every = -(-len(found) // MOST_POINTS)
    return tuple(reversed(found[::-1][:: max(every, 1)]))


def _smooth(pairs: list[Point]) -> list[Point]:
    """The exponential mean over the lines before: of many lines a smooth one, of few nearly the lines themselves."""
    weight = 1.0 / max(1.5, SMOOTHED_SHARE * len(pairs))
    smoothed: list[Point] = []
    for step, value in pairs:
        mean = value if not smoothed else smoothed[-1][1] + weight * (value - smoothed[-1][1])
        smoothed.append((step, mean))
    return smoothed


def _bits(runs: Sequence[tuple[str, Figures]]) -> Lines:
    several = len(runs) > 1
    steps = [step for _, figures in runs for step, _ in points(figures.validation, "bits_per_byte")]
    lines: list[Line] = []
    for (name, figures), tone in zip(runs, PAIR, strict=False):
        found = points(figures.validation, "bits_per_byte")
        if found:
            lines.append(Line(name if several else "this model", tone, _thinned(found), marked=True))
        baseline = figures.result.get("unigram_bits_per_byte")
        if finite(baseline) and steps:
            words = f"{name}: unigram baseline" if several else "unigram baseline"
            level = ((min(steps), float(baseline)), (max(steps), float(baseline)))
            lines.append(Line(f"{words} {baseline:.2f}", tone if several else "soft", level, dashed=True))
    return Lines("step", f"validation, {BITS}", tuple(lines))
