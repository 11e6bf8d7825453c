"""Progress on a terminal (one bar a step), in a pipe (a line now and then), and as a Prefect artifact."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from pipeline.console import say

QUIET_SECONDS = 2.0  # between lines, and between updates of an artifact


def shown(value: int | float | str) -> str:
    """A figure as a person reads it."""
    if isinstance(value, bool | str):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


class Terminal:
    """Progress for a person: a rich bar where standard error is a terminal, lines elsewhere.

    ``on_share`` is told the share of the current stage's step that is done; flows/ makes the Prefect artifact of it.
    """

    def __init__(self, on_share: Callable[[str, float, str], None] | None = None) -> None:
        self._on_share = on_share
        self._bar: Any = None
        self._task: Any = None
        self._done = self._total = self._records = 0
        self._stage, self._last = "", 0.0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def stage_started(self, stage: str) -> None:
        """Remembers the stage that the next steps belong to."""
        self._stage = stage

    def step_started(self, step: str, total: int, skipped: int) -> None:
        """Begins a bar, or says how much of the step is done already."""
        self._done, self._total, self._records, self._last = skipped, total, 0, time.monotonic()
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(step, total=total, completed=skipped)
        if skipped < total:
            say(f"{step}: {total - skipped} of {total} to do" + (f", {skipped} done already" if skipped else ""))

    def shard_done(self, step: str, shard: str, counts: dict[str, int], seconds: float) -> None:
        """Moves the bar; in a pipe prints a line at most every ``QUIET_SECONDS``."""
        self._done += 1
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done)
        now = time.monotonic()
        if now - self._last < QUIET_SECONDS and self._done < self._total:
            return
        self._last = now
        if self._bar is None and self._done < self._total:
            say(f"{step}: {self._done} of {self._total}")
        if self._on_share is not None:
            self._on_share(self._stage, self._done / self._total, f"{step}: {self._done} of {self._total} shards")

    def stage_finished(self, stage: str, seconds: float) -> None:
        """Says what the stage took."""
        if self._bar is not None and self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        say(f"{stage}: finished in {seconds:.1f} s")

    def note(self, text: str) -> None:
        """A line of its own."""
        say(text)
