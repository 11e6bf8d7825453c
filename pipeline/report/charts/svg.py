"""A chart as SVG markup within the page: its colours are the page's own, so it is read in light and in dark.

Nothing here is a stranger's text but labels of lines and axes, and every text goes through ``escape``.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from pipeline.report.charts.chart import Histogram, Line, Lines, Tone
from pipeline.report.charts.scale import Scale, scales, tick_words

WIDTH, HEIGHT = 360, 216  # units of the drawing; text in it is 11 of them high
TOP, RIGHT, BOTTOM = 10, 8, 40
CHARACTER = 6.0  # width of a digit
DOT = 2.6


def draw_svg(chart: Histogram | Lines, description: str) -> Markup:
    """The drawing, and below it the legend where there is more than one colour."""
    body = "".join(_histogram(chart) if isinstance(chart, Histogram) else _lines(chart))
    drawing = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, description, Markup(body)
    )
    return drawing + _legend(chart)


def _legend(chart: Histogram | Lines) -> Markup:
    entries: list[tuple[str, Tone, bool]]
    if isinstance(chart, Histogram):
        entries = [(layer.label, layer.tone, False) for layer in chart.layers if chart.legend]
    else:
        entries = [(line.label, line.tone, line.dashed) for line in chart.lines if line.label]
    if len(entries) < 2:
        return Markup("")
    rows = Markup("").join(
        Markup('<li><span class="key {}{}"></span>{}</li>').format(tone, " dashed" if dashed else "", label)
        for label, tone, dashed in entries
    )
    return Markup('<ul class="legend">{}</ul>').format(rows)


def _frame(x: Scale, y: Scale, xlabel: str, ylabel: str) -> Iterator[str]:
    """Grid, ticks and names of both axes; that of the upright one stands above it, where it needs no turning."""
    for value in y.ticks():
        at = y.place(value)
        yield f'<path class="grid" d="M{x.start:.1f} {at:.1f}H{x.end:.1f}"/>'
        yield f'<text x="{x.start - 5:.1f}" y="{at + 3.8:.1f}" text-anchor="end">{tick_words(value)}</text>'
    for value in x.ticks():
        at = x.place(value)
        anchor = "end" if at > x.end - 8 else "middle"
        yield f'<path class="axis" d="M{at:.1f} {y.start:.1f}v4"/>'
        yield f'<text x="{at:.1f}" y="{y.start + 15:.1f}" text-anchor="{anchor}">{tick_words(value)}</text>'
    yield f'<path class="axis" d="M{x.start:.1f} {y.start:.1f}H{x.end:.1f}"/>'
    yield f'<text class="name" x="{x.end:.1f}" y="{HEIGHT - 5}" text-anchor="end">{escape(xlabel)}</text>'
    yield f'<text class="name" x="0" y="{TOP + 1}">{escape(ylabel)}</text>'


def _placed(chart: Histogram | Lines) -> tuple[Scale, Scale]:
    """Both axes where they are drawn; the left one leaves room for the words of its ticks."""
    x, y = scales(chart)
    y = replace(y, start=HEIGHT - BOTTOM, end=TOP + 14)
    left = max(len(tick_words(value)) for value in y.ticks()) * CHARACTER + 8
    return replace(x, start=left, end=WIDTH - RIGHT - DOT), y


def _histogram(chart: Histogram) -> Iterator[str]:
    x, y = _placed(chart)
    yield from _frame(x, y, chart.xlabel, chart.ylabel)
    places = [x.place(float(edge)) for edge in chart.edges]
    below = np.zeros(len(places) - 1)
    for layer in chart.layers:
        above = below + layer.counts
        yield f'<path class="{layer.tone}" d="{"".join(_columns(places, y, below, above))}"/>'
        below = above
    for limit in chart.limits:
        yield from _limit(x.place(limit.value), x, y, limit.words)


def _columns(places: list[float], y: Scale, below: NDArray[np.float64], above: NDArray[np.float64]) -> Iterator[str]:
    for number in np.flatnonzero(above > below).tolist():
        left, width = places[number], max(places[number + 1] - places[number] - 0.6, 0.8)
        foot, top = y.place(float(below[number])), y.place(float(above[number]))
        yield f"M{left:.1f} {foot:.1f}v{min(top - foot, -0.8):.1f}h{width:.1f}V{foot:.1f}z"


def _limit(at: float, x: Scale, y: Scale, words: str) -> Iterator[str]:
    is_left = at <= (x.start + x.end) / 2
    yield f'<path class="limit" d="M{at:.1f} {y.start:.1f}V{y.end:.1f}"/>'
    place = at + 4 if is_left else at - 4
    anchor = "start" if is_left else "end"
    yield f'<text class="limit" x="{place:.1f}" y="{y.end + 8:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _lines(chart: Lines) -> Iterator[str]:
    x, y = _placed(chart)
    yield from _frame(x, y, chart.xlabel, chart.ylabel)
    for line in chart.lines:
        yield from _line(line, x, y)


def _line(line: Line, x: Scale, y: Scale) -> Iterator[str]:
    places = [(x.place(step), y.place(value)) for step, value in line.points]
    classes = " ".join([line.tone, *["pale"] * line.pale, *["dashed"] * line.dashed])
    path = "L".join(f"{left:.1f} {top:.1f}" for left, top in places)
    yield f'<path class="line {classes}" d="M{path}"/>'
    if line.marked or len(places) == 1:
        for left, top in places:
            yield f'<circle class="{line.tone}" cx="{left:.1f}" cy="{top:.1f}" r="{DOT}"/>'
