"""Progress on a terminal (one bar per step), in a pipe (a line now and then), and the summary at the end."""

import logging
import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from pipeline.base.console import say
from pipeline.base.words import counted, printable

LOG = logging.getLogger("tokenmill")  # flows/server/settings.py sends it to the run's page
LOG.setLevel(logging.INFO)  # Prefect adds its handler and leaves the level, which would be that of warnings
LOG.propagate = False  # and the console of a Prefect worker would show again what ``say`` has put there
ARTIFACT_SECONDS = 2.0  # between two updates of an artifact
LINE_SECONDS = 10.0  # between two lines in a pipe
RECORDS = ("records_in", "documents", "records", "tokens")  # the count that a rate is given in: the first there is
IN, OUT = ("records_in", "documents_in", "documents"), ("kept", "documents", "tokens", "steps")


def shown(value: int | float | str | None) -> str:
    """A figure as a person reads it; a dash for one that was not measured."""
    if value is None:
        return "-"
    if isinstance(value, bool | str):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def duration(seconds: float) -> str:
    """Seconds as ``42 s``, ``3 min 10 s`` or ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def tell(text: str) -> None:
    """A line for the person at the terminal, and for the run's page in Prefect."""
    say(text)
    LOG.info(printable(text))


class Terminal:
    """Progress for a person: a rich bar where standard error is a terminal, lines elsewhere.

    ``on_share`` is told the share of the current stage's step that is done; flows/ makes the Prefect artifact of it.
    """

    def __init__(self, on_share: Callable[[str, float, str], None] | None = None) -> None:
        self._on_share = on_share
        self._bar: Any = None
        self._task: Any = None
        self._stage = self._step = ""
        self._done = self._skipped = self._total = self._records = 0
        self._unit = ""
        self._started = self._told = self._sent = 0.0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (
                TextColumn("{task.description:20}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[pace]}"),
            )
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
        self._step, self._done, self._skipped, self._total = step, skipped, skipped, total
        self._records, self._unit = 0, ""
        self._started = self._told = self._sent = time.monotonic()
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(step, total=total, completed=skipped, pace="")
        if skipped < total:
            tell(f"{step}: {total - skipped} of {total} to do" + (f", {skipped} done already" if skipped else ""))

    def shard_done(self, step: str, shard: str, counts: Mapping[str, Any], seconds: float) -> None:
        """Moves the bar; in a pipe prints a line at most every ``LINE_SECONDS``."""
        self._done += 1
        self._count(counts)
        now, last = time.monotonic(), self._done >= self._total
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, pace=self.pace(now))
        elif not last and now - self._told >= LINE_SECONDS:
            self._told = now
            tell(f"{step}: {self._done} of {self._total}, {self.pace(now)}")
        if self._on_share is not None and (last or now - self._sent >= ARTIFACT_SECONDS):
            self._sent = now
            text = f"{step}: {self._done} of {counted(self._total, 'shard')}, {self.pace(now)}"
            self._on_share(self._stage, self._done / self._total, text)

    def _count(self, counts: Mapping[str, Any]) -> None:
        if "step" in counts:
            return  # training: its counts are totals, and its own lines tell the rate
        unit = self._unit or next((name for name in RECORDS if isinstance(counts.get(name), int)), "")
        self._unit = unit
        self._records += counts.get(unit, 0) if unit else 0

    def pace(self, now: float) -> str:
        """Rate and time left of the current step, as far as the shards done in this process tell it."""
        seconds, made = max(now - self._started, 1e-3), self._done - self._skipped
        rate = f"{self._records / seconds:,.0f} {self._unit.removesuffix('_in')}/s, " if self._unit else ""
        left = (self._total - self._done) * seconds / made if made else 0.0
        return f"{rate}{duration(left)} left"

    def stage_finished(self, stage: str, seconds: float) -> None:
        """Says what the stage took."""
        if self._bar is not None and self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        tell(f"{stage}: finished in {seconds:.1f} s")

    def note(self, text: str) -> None:
        """A line of its own."""
        tell(text)


def funnel_rows(summaries: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """The funnel: one row per stage with what it took in, what it passed on, its seconds, and its other figures."""
    rows = []
    for stage, summary in summaries.items():
        taken = next((key for key in IN if key in summary), "")
        passed = next((key for key in OUT if key in summary and key != taken), "")
        skipped = (taken, passed, "seconds", "shards", "skipped_shards")
        others = [
            f"{key} {shown(value)}"
            for key, value in summary.items()
            if key not in skipped and isinstance(value, int | float | str)
        ]
        rows.append(
            {
                "stage": stage,
                "in": shown(summary[taken]) if taken else "",
                "out": f"{shown(summary[passed])} {passed}" if passed else "",
                "seconds": f"{summary.get('seconds', 0.0):.1f}",
                "more": ", ".join(others),
            }
        )
    return rows


def summary_table(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """The funnel as aligned text."""
    rows = [{name: name for name in ("stage", "in", "out", "seconds", "more")}, *funnel_rows(summaries)]
    widths = {name: max(len(row[name]) for row in rows) for name in rows[0]}
    lines = [
        f"{row['stage']:<{widths['stage']}}  {row['in']:>{widths['in']}}  {row['out']:>{widths['out']}}  "
        f"{row['seconds']:>{widths['seconds']}}  {row['more']}".rstrip()
        for row in rows
    ]
    return "\n".join(lines)
