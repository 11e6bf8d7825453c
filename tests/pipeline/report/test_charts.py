"""Charts: the same data as markup and as a picture, whatever the values are."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.charts.chart import Chart, Histogram, Limit, Line, Lines, histogram_layers
from pipeline.report.charts.png import draw_png
from pipeline.report.charts.scale import Scale
from pipeline.report.charts.svg import HEIGHT, WIDTH, draw_svg

EDGES = np.linspace(0.0, 1.0, 5)
HISTOGRAM = Histogram(
    "<share>",
    "documents",
    EDGES,
    histogram_layers(EDGES, ("passes", "kept", [0.1, 0.1, 0.4]), ("fails", "lost", [0.9, 7.0])),
    limits=(Limit(0.6, "at most 0.6"),),
    few_seen=True,
)
LINES = Lines(
    "step", "loss", (Line("a & b", "kept", ((1, 5.0), (2, 4.0))), Line("held", "lost", ((2, 4.5),), marked=True))
)
POINTS = st.lists(
    st.tuples(st.integers(0, 10**9), st.floats(-1e12, 1e12, allow_nan=False)), min_size=1, max_size=20
).map(tuple)


@pytest.mark.parametrize("chart", [HISTOGRAM, LINES])
def test_chart_is_drawn_both_ways(chart: Chart) -> None:
    assert draw_png(chart).startswith(b"\x89PNG")
    assert not isinstance(chart, type(None))
    markup = str(draw_svg(chart, 'what "it" is'))  # type: ignore[arg-type]
    assert 'aria-label="what &#34;it&#34; is"' in markup
    assert "&lt;share&gt;" in markup or "a &amp; b" in markup
    assert 'class="kept"' in markup or "line kept" in markup
    assert not re.search(r"#[0-9a-f]{3,6}\b|style=", markup.replace("&#34;", ""))  # colours are the page's own


@given(points=POINTS, floor=st.sampled_from([None, 0.0]))
def test_lines_stay_within_the_drawing(points: tuple[tuple[float, float], ...], floor: float | None) -> None:
    ordered = tuple(sorted(points))
    markup = str(draw_svg(Lines("step", "y", (Line("a", "kept", ordered, marked=True),), floor), ""))
    for x, y in re.findall(r'cx="([\d.-]+)" cy="([\d.-]+)"', markup):
        assert 0 <= float(x) <= WIDTH
        assert 0 <= float(y) <= HEIGHT
    assert "nan" not in markup


@given(low=st.floats(0, 1e6), span=st.floats(1e-6, 1e9), kind=st.sampled_from(["linear", "counts"]))
def test_ticks_are_few_and_on_the_axis(low: float, span: float, kind: str) -> None:
    scale = Scale(low if kind == "linear" else 0.0, low + span, 0.0, 100.0, kind)  # type: ignore[arg-type]
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 8
    assert ticks == sorted(set(ticks))
    assert all(scale.low - 1e-6 * span <= tick <= scale.high * (1 + 1e-6) for tick in ticks)


def test_what_lies_beyond_the_edges_is_counted_at_the_ends() -> None:
    assert [layer.counts.tolist() for layer in HISTOGRAM.layers] == [[2, 1, 0, 0], [0, 0, 0, 2]]
