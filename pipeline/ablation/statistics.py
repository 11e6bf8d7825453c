"""Paired differences between variants trained with the same seeds.

For each seed the reference's score is subtracted from the variant's, so that what a seed does to both cancels.  The
interval is Student's t over the seeds.  With several comparisons against one reference each interval is widened by
Bonferroni's rule, so that the chance of one false claim among all of them stays at 5 %.

Shape letters: S seeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
POWER = 0.8  # chance to show a difference of the size that is called the detection limit


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its confidence interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """True where the sign of the true value is known."""
        return self.low > 0.0 or self.high < 0.0


def t_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def interval(values_S: Sequence[float], comparisons: int = 1) -> Interval:
    """Mean and interval of some values.

    Args:
        values_S: One per seed, at least two.
        comparisons: How many such intervals are read together.

    Example:
        >>> found = interval([-0.02, -0.03, -0.04])
        >>> round(found.mean, 3), round(found.low, 3), round(found.high, 3)
        (-0.03, -0.055, -0.005)
    """
    mean = math.fsum(values_S) / len(values_S)
    half = critical(len(values_S), comparisons) * deviation(values_S) / math.sqrt(len(values_S))
    return Interval(mean, mean - half, mean + half)


def critical(seeds: int, comparisons: int) -> float:
    """How many standard errors an interval reaches to either side."""
    return t_quantile(1.0 - (1.0 - CONFIDENCE) / 2.0 / max(1, comparisons), seeds - 1)


def deviation(values_S: Sequence[float]) -> float:
    """Standard deviation of a sample."""
    mean = math.fsum(values_S) / len(values_S)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values_S) / (len(values_S) - 1))


def detection_limit(differences: Sequence[Sequence[float]]) -> float:
    """The smallest true difference that this ablation would have shown with a chance of ``POWER``.

    Args:
        differences: For each comparison its paired differences, one per seed; their deviations are pooled.
    """
    seeds = len(differences[0])
    pooled = math.sqrt(math.fsum(deviation(values_S) ** 2 for values_S in differences) / len(differences))
    reach = critical(seeds, len(differences)) + t_quantile(POWER, seeds - 1)
    return reach * pooled / math.sqrt(seeds)
