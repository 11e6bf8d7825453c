"""The seconds of a stage: what interrupted attempts took counts, what is made anew begins anew."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import GateError
from pipeline.base.progress import Silent
from pipeline.run import logs
from pipeline.run.context import Context
from pipeline.run.folder import Run
from pipeline.run.logs import RECORD_SECONDS, Attempt
from pipeline.run.stages import run_stage
from tests.pipeline.run.dummy_run import RECIPE


class Clock:
    """Seconds that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(str(tmp_path / "run"), RECIPE)


def attempt(run: Run, seconds: float) -> Attempt:
    clock = Clock()
    made = Attempt(run, "clean", clock)
    clock.now = seconds
    return made


def test_seconds_of_interrupted_attempts_are_summed(run: Run) -> None:
    attempt(run, 400.0).interrupted(goes_on=False)
    assert logs.stage_seconds(run) == {"clean": 400.0}
    attempt(run, 80.0).broken_off(goes_on=True)
    last = attempt(run, 20.0)
    assert last.interrupted_seconds == 480.0
    assert last.finished(worked=True, goes_on=True) == 500.0
    assert logs.stage_seconds(run) == {"clean": 500.0}
    assert logs.unfinished_stages(run) == []


def test_attempt_that_was_killed_counts_to_its_last_record(run: Run) -> None:
    killed = attempt(run, RECORD_SECONDS + 1.0)
    killed.worked(goes_on=False)
    assert attempt(run, 5.0).finished(worked=True, goes_on=True) == RECORD_SECONDS + 6.0


def test_record_is_not_written_with_every_shard(run: Run) -> None:
    attempt(run, RECORD_SECONDS - 1.0).worked(goes_on=False)
    assert logs.stage_seconds(run) == {}


def test_stage_that_makes_everything_anew_counts_anew_and_one_that_mends_goes_on(run: Run) -> None:
    attempt(run, 400.0).finished(worked=True, goes_on=False)
    assert attempt(run, 3.0).finished(worked=True, goes_on=True) == 403.0
    assert attempt(run, 50.0).finished(worked=True, goes_on=False) == 50.0


def test_stage_with_nothing_to_do_keeps_its_seconds(run: Run) -> None:
    attempt(run, 400.0).finished(worked=True, goes_on=False)
    assert attempt(run, 2.9).finished(worked=False, goes_on=True) == 400.0
    assert logs.stage_seconds(run) == {"clean": 400.0}


def test_stage_whose_last_shard_was_made_before_an_interruption_is_recorded(run: Run) -> None:
    attempt(run, 400.0).interrupted(goes_on=False)
    assert attempt(run, 2.0).finished(worked=False, goes_on=True) == 402.0


class Told(Silent):
    """Remembers how stages ended."""

    def __init__(self) -> None:
        self.ends: list[tuple[str, bool]] = []

    def stage_finished(self, stage: str, seconds: float, *, earlier: float = 0.0, worked: bool = True) -> None:
        self.ends.append((stage, worked))


ENDS: Iterator[BaseException | None]


def stage(context: Context) -> Mapping[str, Any]:
    """Works, and ends as the test says."""
    end = next(ENDS)
    if end is not None:
        context.shards_run += 1
        raise end
    context.shards_skipped += 1
    return {}


def test_gate_and_interrupt_count_and_a_stage_that_did_nothing_is_not_called_finished(run: Run) -> None:
    global ENDS
    ENDS = iter([GateError("too many"), KeyboardInterrupt(), None, None])
    told = Told()
    context, name = Context(run, progress=told), f"{__name__}:stage"
    for kind in (GateError, KeyboardInterrupt):
        with pytest.raises(kind):
            run_stage("report", name, context)
    first = run_stage("report", name, context)["seconds"]
    assert run_stage("report", name, context)["seconds"] == first == logs.stage_seconds(run)["report"]
    assert told.ends == [("report", False), ("report", False)]


def test_attempt_that_begins_anew_counts_alone_and_so_does_one_that_goes_on_from_it(run: Run) -> None:
    attempt(run, 400.0).interrupted(goes_on=False)
    clock = Clock()
    anew = Attempt(run, "clean", clock)
    clock.now = 3.0
    anew.begins_anew()
    assert logs.stage_seconds(run) == {"clean": 3.0}, "a kill from here on leaves no time of what is thrown away"
    clock.now = 10.0
    assert (anew.interrupted_seconds, anew.total(goes_on=False)) == (0.0, 10.0)
    anew.interrupted(goes_on=False)
    assert attempt(run, 20.0).finished(worked=True, goes_on=True) == 30.0
