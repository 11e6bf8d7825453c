import math
from itertools import pairwise

import pytest

from model.training.guards import LASTING_STEPS, MINIMUM_STEPS, Guard
from model.updates.schedule import rate_factor
from pipeline.recipe.training_options import Train


def filled() -> Guard:
    guard = Guard(6.0)
    for step in range(MINIMUM_STEPS):
        assert guard.refuse(3.0 + 0.1 * (step % 3), 1.0 + 0.1 * (step % 2)) is None
    return guard


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_from_the_first_step(value: float) -> None:
    guard = Guard(6.0)
    assert "loss" in str(guard.refuse(value, 1.0))
    assert "gradient norm" in str(guard.refuse(1.0, value))
    assert guard.skipped == 2
    assert guard.losses == []


def test_spike_is_refused_and_not_remembered() -> None:
    guard = filled()
    losses = list(guard.losses)
    assert "spike" in str(guard.refuse(30.0, 1.0))
    assert "gradient norm" in str(guard.refuse(3.0, 50.0))
    assert guard.losses == losses
    assert guard.refuse(3.3, 1.2) is None


def test_early_high_loss_is_no_spike() -> None:
    guard = Guard(6.0)
    assert guard.refuse(1.0, 1.0) is None
    assert guard.refuse(11.0, 1.0) is None


def test_flat_window_is_no_trap() -> None:
    guard = Guard(6.0)
    for _ in range(MINIMUM_STEPS):
        guard.refuse(2.0, 1.0)
    assert guard.refuse(2.1, 1.1) is None


def test_state_round_trips() -> None:
    guard = filled()
    guard.refuse(30.0, 1.0)
    again = Guard(6.0)
    again.load(guard.state())
    assert again == guard
    assert again.refused == [(30.0, 1.0)]


def test_lasting_rise_is_the_new_level_and_a_spike_is_not() -> None:
    guard = filled()
    told = [guard.refuse(9.0 + 0.1 * (step % 3), 1.0) is not None for step in range(40)]
    assert told == [True] * LASTING_STEPS + [False] * (40 - LASTING_STEPS)
    guard = filled()
    for _ in range(20):
        assert guard.refuse(9.0, 1.0) is not None
        assert guard.refuse(3.1, 1.0) is None, "each spike alone"


def test_weights_that_gave_nothing_finite_since_they_were_changed_are_not_sound() -> None:
    guard = filled()
    assert guard.sound
    guard.refuse(math.nan, 1.0)
    assert not guard.sound, "never tried"
    guard.refuse(30.0, 1.0)
    guard.refuse(math.nan, 1.0)
    assert guard.sound, "a spike is finite: the weights are the same"
    guard.refuse(3.0, 1.0)
    guard.refuse(math.nan, 1.0)
    assert not guard.sound, "changed since"


def test_cosine_schedule_matches_its_formula() -> None:
    train = Train(steps=100, warmup_steps=10, final_learning_rate_ratio=0.1)
    factors = [rate_factor(step, train) for step in range(100)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert factors[55] == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * 0.5)))
    assert 0.1 < factors[-1] < 0.101
    assert all(a >= b for a, b in pairwise(factors[10:]))


def test_wsd_is_flat_then_falls_in_a_line() -> None:
    train = Train(steps=100, warmup_steps=0, schedule="wsd", decay_share=0.4, final_learning_rate_ratio=0.0)
    factors = [rate_factor(step, train) for step in range(100)]
    assert factors[:60] == [1.0] * 60
    assert factors[60:] == pytest.approx([(100 - step) / 40 for step in range(60, 100)])
