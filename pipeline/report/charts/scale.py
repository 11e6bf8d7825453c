"""Values to places along an axis, and the ticks that a person reads there."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.report.charts.chart import LOGARITHMIC_FROM, Histogram, Lines

Kind = Literal["linear", "log", "counts"]
MOST_TICKS = 5


@dataclass(frozen=True)
class Scale:
    """An axis from ``low`` to ``high``, drawn from ``start`` to ``end``.

    ``counts`` is linear up to ten and logarithmic above, so that it shows zero, one, and a million.
    """

    low: float
    high: float
    start: float
    end: float
    kind: Kind = "linear"

    def place(self, value: float) -> float:
        """Where a value is drawn; one beyond the axis stands at its end."""
        low, high = self._height(self.low), self._height(self.high)
        share = (self._height(value) - low) / (high - low) if high > low else 0.5
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def _height(self, value: float) -> float:
        if self.kind == "log":
            return math.log10(max(value, 1e-300))
        if self.kind == "counts" and value > LOGARITHMIC_FROM:
            return math.log10(value)  # that of ten is 1, where the linear part ends
        return value / LOGARITHMIC_FROM if self.kind == "counts" else value

    def ticks(self) -> list[float]:
        """A few round values on the axis.

        Example:
            >>> Scale(0, 930, 0, 1).ticks(), Scale(1, 1e6, 0, 1, "log").ticks(), Scale(0, 300, 0, 1, "counts").ticks()
            ([0.0, 200.0, 400.0, 600.0, 800.0], [1.0, 100.0, 10000.0, 1000000.0], [0.0, 10.0, 100.0])
        """
        if self.kind == "log" or (self.kind == "counts" and self.high > 2 * LOGARITHMIC_FROM):
            return self._decades()
        return self._round(whole=self.kind == "counts")

    def _decades(self) -> list[float]:
        lowest = LOGARITHMIC_FROM if self.kind == "counts" else self.low
        first, last = math.ceil(math.log10(lowest) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        decades = [10.0**power for power in range(first, last + 1)]
        if len(decades) < 3 and self.kind == "log":
            found = [factor * 10.0**power for power in range(first - 1, last + 1) for factor in (1, 2, 5)]
            return [tick for tick in found if self.low <= tick <= self.high]
        every = math.ceil(len(decades) / MOST_TICKS)
        return [0.0] * (self.kind == "counts") + decades[::every]

    def _round(self, *, whole: bool) -> list[float]:
        span = self.high - self.low
        if span <= 0:
            return [self.low]
        power = 10.0 ** math.floor(math.log10(span / MOST_TICKS))
        step = next(factor * power for factor in (1, 2, 5, 10) if span / (factor * power) <= MOST_TICKS)
        step = max(step, 1.0) if whole else step
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(number * step, 12) for number in range(first, last + 1)]


def tick_words(value: float) -> str:
    """A tick as it is read: 0.05, 300, 20k, 3M.

    Example:
        >>> [tick_words(value) for value in (0.0, 0.002, 950.0, 20_000.0, 2_500_000.0, 2e-05)]
        ['0', '0.002', '950', '20k', '2.5M', '2e-05']
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if unit == 'k' else size):.6g}{unit}"
    return f"{value:,.0f}" if value == int(value) else f"{value:.6g}"


def scales(chart: Histogram | Lines) -> tuple[Scale, Scale]:
    """The two axes of a chart, across and upright, each from 0 to 1."""
    if isinstance(chart, Histogram):
        tallest = float(max(np.sum([layer.counts for layer in chart.layers], axis=0).max(), 1))
        low, high = float(chart.edges[0]), float(chart.edges[-1])
        across = Scale(low, high, 0.0, 1.0, "log" if chart.log else "linear")
        return across, Scale(0.0, tallest * 1.05, 0.0, 1.0, "counts" if chart.few_seen else "linear")
    points = [point for line in chart.lines for point in line.points]
    steps, values = [step for step, _ in points], [value for _, value in points]
    low, high = min(values), max(values)
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    upright = Scale(low - room if chart.floor is None else chart.floor, high + room, 0.0, 1.0)
    return Scale(min(steps), max(steps), 0.0, 1.0), upright
