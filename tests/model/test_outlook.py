"""How long the rest of a training takes: the whole of it, with validations and samples."""

import pytest

from model.plan.outlook import EVERY_SECONDS, Outlook
from pipeline.base.progress import Moment
from pipeline.recipe.training_options import Train

TRAIN = Train(steps=40, global_batch_tokens=1000, validate_every_steps=20, checkpoint_every_steps=0)


class Clock:
    """Seconds that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def outlook(clock: Clock, told: list[Moment], train: Train = TRAIN, **values: int) -> Outlook:
    known = {"parameters": 0, "validation_tokens": 0, "sample_tokens": 0, **values}
    return Outlook(train, 0, tell=told.append, clock=clock, **known)  # type: ignore[arg-type]


def steps(made: Outlook, clock: Clock, first: int, last: int, seconds: float = 2.0) -> None:
    for step in range(first, last + 1):
        clock.now += seconds
        made.stepped(step, 6.9)


def test_left_are_the_steps_and_what_comes_between_and_after_them() -> None:
    clock = Clock()
    made = outlook(clock, [], validation_tokens=30_000)
    assert made.seconds_left() is None
    steps(made, clock, 1, 10)
    guessed = 30_000 / 1000 / 3 * 2.0  # a validation: its tokens, a third of a step's time each
    assert made.seconds_left() == pytest.approx(30 * 2.0 + 2 * guessed)
    steps(made, clock, 11, 20)
    with made.doing("validation"):
        clock.now += 50.0
    assert made.seconds_left() == pytest.approx(20 * 2.0 + 50.0)


def test_time_goes_on_at_the_last_step_until_validation_and_samples_are_done() -> None:
    clock, told = Clock(), list[Moment]()
    made = outlook(clock, told, validation_tokens=3_000, sample_tokens=288)
    steps(made, clock, 1, 20)
    with made.doing("validation"):
        clock.now += 12.0
    steps(made, clock, 21, 40)
    told.clear()
    clock.now += 1.0
    with made.doing("validation") as heard:
        heard(0, 12)
        clock.now += 3.0
        heard(3, 12)
        samples = told[-1].left
        assert told[-1].at == "step 40 of 40"
        assert told[-1].words == ("validation 4 of 12", "loss 6.9000", "500 tokens/s")
        assert samples is not None
        assert samples > 9.0
        assert told[-1].share is not None
        assert told[-1].share < 1.0
        clock.now += 9.0
    with made.doing("sample") as heard:
        clock.now += 4.0
        heard(1, 3)
        assert told[-1].words[0] == "sample 2 of 3"
        assert told[-1].left == pytest.approx(8.0)


def test_it_is_told_a_few_times_a_second_however_quick_the_steps_are() -> None:
    clock, told = Clock(), list[Moment]()
    steps(outlook(clock, told, TRAIN.model_copy(update={"steps": 2000})), clock, 1, 1000, EVERY_SECONDS / 50)
    assert 18 <= len(told) <= 21


def test_loss_that_is_not_finite_is_said_in_words() -> None:
    clock, told = Clock(), list[Moment]()
    made = outlook(clock, told)
    clock.now += 1.0
    made.stepped(1, float("nan"))
    assert "loss not finite" in told[-1].words
