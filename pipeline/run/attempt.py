"""The time that a stage takes, over all of its attempts: what an interrupted one took counts too.

The record in the run's logs is brought up to date while the stage works, so that a kill loses seconds of it, not the
whole.  Nothing is written as long as there is nothing to do.
"""

import time
from collections.abc import Callable

from pipeline.base import storage
from pipeline.run import logs
from pipeline.run.folder import Run

RECORD_SECONDS = 10.0  # between two records of a stage that works


class Attempt:
    """One attempt at a stage, from now on.

    Args:
        run: The run.
        stage: The stage.
        clock: Seconds.
    """

    def __init__(self, run: Run, stage: str, clock: Callable[[], float] = time.perf_counter) -> None:
        self._run, self._stage, self._clock = run, stage, clock
        self._began = self._recorded = clock()
        self._before = logs.stage_seconds(run).get(stage, 0.0)
        self._interrupted = stage in logs.unfinished_stages(run)

    @property
    def seconds(self) -> float:
        """What this attempt took so far."""
        return self._clock() - self._began

    @property
    def interrupted_seconds(self) -> float:
        """What the attempts took that did not come to the stage's end, since it last did."""
        return self._before if self._interrupted else 0.0

    def total(self, *, goes_on: bool) -> float:
        """All attempts together.

        Args:
            goes_on: Some of what is there was made before this attempt, so what that took counts.
        """
        return self.seconds + (self._before if goes_on or self._interrupted else 0.0)

    def worked(self, *, goes_on: bool) -> None:
        """Something was made: records the time so far, now and then."""
        if self._clock() - self._recorded >= RECORD_SECONDS:
            self.broken_off(goes_on=goes_on)

    def broken_off(self, *, goes_on: bool) -> None:
        """Records the time of an attempt that does not come to its end, or has not yet."""
        self._recorded = self._clock()
        logs.remember_seconds(self._run, self._stage, self.total(goes_on=goes_on), finished=False)

    def interrupted(self, *, goes_on: bool) -> None:
        """As ``broken_off``, where seconds count: an object store, which may keep one waiting, is not asked."""
        if storage.is_local(self._run.root):
            self.broken_off(goes_on=goes_on)

    def finished(self, *, worked: bool, goes_on: bool) -> float:
        """Records the time of the stage if there was work to do, now or before an interruption; returns it."""
        if not (worked or self._interrupted):
            return self._before
        seconds = self.total(goes_on=goes_on)
        logs.remember_seconds(self._run, self._stage, seconds)
        return seconds
