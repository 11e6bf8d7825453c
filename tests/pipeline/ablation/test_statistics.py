"""Intervals cover what they say, and are not wider than they need to be."""

import numpy as np
import pytest
from scipy import stats

from pipeline.ablation.statistics import critical, detection_limit, interval


def test_interval_is_that_of_the_t_test() -> None:
    values = [0.012, 0.031, 0.017, 0.025]
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    found = interval(values)
    assert found.low == pytest.approx(expected.low)
    assert found.high == pytest.approx(expected.high)
    assert found.excludes_zero


def test_equal_scores_are_no_difference() -> None:
    found = interval([0.0, 0.0, 0.0], comparisons=2)
    assert (found.mean, found.low, found.high) == (0.0, 0.0, 0.0)
    assert not found.excludes_zero


def test_one_false_claim_in_twenty_ablations_among_all_comparisons() -> None:
    draw = np.random.default_rng(3)
    claims = 0
    for _ in range(4000):
        several = draw.normal(0.0, 0.01, (3, 4))  # three variants without any effect, four seeds
        claims += any(interval(values.tolist(), comparisons=3).excludes_zero for values in several)
    assert 0.035 < claims / 4000 < 0.055


def test_difference_as_large_as_the_detection_limit_is_shown_four_times_in_five() -> None:
    draw = np.random.default_rng(4)
    seeds = 20
    sample = draw.normal(0.0, 1.0, seeds)
    measured = (sample - sample.mean()) / sample.std(ddof=1) * 0.01
    limit = detection_limit([measured.tolist()])
    shown = sum(interval(draw.normal(limit, 0.01, seeds).tolist()).excludes_zero for _ in range(2000))
    assert 0.75 < shown / 2000 < 0.88


def test_more_comparisons_and_fewer_seeds_widen() -> None:
    assert critical(3, 1) == pytest.approx(4.3027, abs=1e-3)
    assert critical(3, 4) > critical(3, 1) > critical(10, 1)
