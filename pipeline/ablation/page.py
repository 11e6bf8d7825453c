"""ablation.json and ablation.html: one page, no script, nothing fetched."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.ablation.results import RESULT, notes
from pipeline.ablation.runner import Plan
from pipeline.base import storage
from pipeline.base.words import visible
from pipeline.report.page import render_page
from pipeline.run.manifest import canonical_json

PAGE = "ablation.html"
WIDTH, MARGIN, ROW = 640, 30, 46  # half a label of the axis fits the margin
VERDICT_CLASSES = {"better": "good", "worse": "bad"}


@dataclass(frozen=True)
class Row:
    """A variant's line in the drawing: places across, in the drawing's units."""

    name: str
    y: float
    mean: float
    low: float
    high: float
    dots: list[float]
    words: str


@dataclass(frozen=True)
class Drawing:
    """Differences from the reference, one line per variant, over one axis."""

    height: float
    zero: float
    ticks: list[tuple[float, str]]
    rows: list[Row]


def publish(plan: Plan, found: dict[str, Any]) -> None:
    """Writes both files into the ablation's folder."""
    storage.publish_bytes(canonical_json(found).encode(), storage.join(plan.root, RESULT), plan.root)
    storage.publish_bytes(render(plan, found).encode(), storage.join(plan.root, PAGE), plan.root)


def render(plan: Plan, found: dict[str, Any]) -> str:
    """The page."""
    sources = sorted(found["validation"]["by_source"])
    values = {
        "title": visible(f"{plan.base.name}: ablation"),
        "found": found,
        "notes": notes(found),
        "drawing": draw(found["variants"]),
        "width": WIDTH,
        "sources": sources,
        "classes": VERDICT_CLASSES,
        "first": found["variants"][0],
    }
    return render_page("ablation.html.j2", {}, values)


def draw(variants: Sequence[dict[str, Any]]) -> Drawing | None:
    """The drawing; None before there are intervals."""
    compared = [row for row in variants if row["difference"] and row["difference"]["low"] is not None]
    if not compared:
        return None
    every = [value for row in compared for value in _values(row["difference"])] + [0.0]
    low, high = min(every), max(every)
    room = (high - low) * 0.05 or 0.001
    low, high = low - room, high + room

    def across(value: float) -> float:
        return round(MARGIN + (value - low) / (high - low) * (WIDTH - 2 * MARGIN), 1)

    rows = [
        Row(
            name=visible(row["name"]),
            y=30.0 + number * ROW,
            mean=across(row["difference"]["mean"]),
            low=across(row["difference"]["low"]),
            high=across(row["difference"]["high"]),
            dots=[across(value) for value in row["difference"]["by_seed"]],
            words=_words(row),
        )
        for number, row in enumerate(compared)
    ]
    ticks = [(across(value), f"{value:+.{_digits(high - low)}f}" if value else "0") for value in _ticks(low, high)]
    return Drawing(40.0 + len(rows) * ROW, across(0.0), ticks, rows)


def _values(difference: dict[str, Any]) -> list[float]:
    return [difference["low"], difference["high"], *difference["by_seed"]]


def _words(row: dict[str, Any]) -> str:
    """A line of the drawing for those who do not see it."""
    found = row["difference"]
    return (
        f"{visible(row['name'])}: {found['mean']:+.4f} bits per byte, interval {found['low']:+.4f} to "
        f"{found['high']:+.4f}, {row['verdict']}"
    )


def _step(span: float) -> float:
    """A round distance between ticks: four or five of them."""
    rough = span / 4
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough)


def _digits(span: float) -> int:
    return max(0, -math.floor(math.log10(_step(span))))


def _ticks(low: float, high: float) -> list[float]:
    step = _step(high - low)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
