"""Figures as a person reads them."""

from typing import Any

from pipeline.base.words import visible
from pipeline.report.training import finite


def number(value: Any) -> str:
    """A figure as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if not finite(value):
            return "not a number"
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return visible(str(value))


def short_number(value: float) -> str:
    """A large figure in three digits.

    Example:
        >>> short_number(2_710_678), short_number(950), short_number(12_300)
        ('2.71 million', '950', '12,300')
    """
    for size, unit in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:,.0f}"


def percent(share: float) -> str:
    """A share with as many digits as it needs: 42 %, 4.2 %, 0.042 %."""
    digits = 0 if share >= 0.1 or share == 0 else 1 if share >= 0.01 else 2 if share >= 0.001 else 3
    return f"{share:.{digits}%}".replace("%", "\N{NARROW NO-BREAK SPACE}%")
