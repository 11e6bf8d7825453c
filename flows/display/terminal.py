"""The events of a run for a person: the line at the bottom, lines that stay, and the summary at the end."""

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from pipeline.base.console import say
from pipeline.base.progress import Moment, watcher
from pipeline.base.words import aligned, cells, counted, duration, figure, printable, wrapped
from pipeline.screen.line import last_line, line_seconds
from pipeline.screen.wording import sentence

LOG = logging.getLogger("tokenmill")  # flows/server/settings.py sends it to the run's page
LOG.setLevel(logging.INFO)  # Prefect adds its handler and leaves the level, which would be that of warnings
LOG.propagate = False  # and the console of a Prefect worker would show again what ``say`` has put there
ARTIFACT_SECONDS = 2.0  # between two updates of an artifact
RECORDS = ("records_in", "documents", "records", "tokens")  # the count that a rate is given in: the first there is
IN, OUT = ("records_in", "documents_in", "documents"), ("kept", "documents", "tokens", "steps")
GLUE = "\N{NO-BREAK SPACE}"
LEAST_COLUMN = 24  # columns of a terminal that a last column needs beside the others
COLUMNS = ("stage", "in", "out", "seconds", "more")


def tell(text: str) -> None:
    """A line for the person at the terminal, and for the run's page in Prefect."""
    say(text)
    LOG.info(printable(text))


class Terminal:
    """Progress for a person.

    ``on_share`` is told the share of the current stage's step that is done; flows/ makes the Prefect artifact of it.
    """

    def __init__(self, on_share: Callable[[str, float, str], None] | None = None) -> None:
        self._on_share = on_share
        self._shown = contextlib.ExitStack()
        self._stage = self._step = ""
        self._done = self._skipped = self._total = self._records = 0
        self._unit = ""  # of what is counted, such as documents
        self._units = "shard"
        self._started = self._told = self._sent = 0.0

    def __enter__(self) -> Self:
        self._shown.enter_context(last_line())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        watcher().show(None)
        self._shown.close()

    def stage_started(self, stage: str) -> None:
        """Remembers the stage that the next steps belong to."""
        self._stage = stage
        watcher().show(Moment(stage))

    def step_started(self, step: str, total: int, skipped: int, unit: str = "shard") -> None:
        """Begins a step, and says how much of it is done already."""
        self._step, self._done, self._skipped, self._total = step, skipped, skipped, total
        self._records, self._unit, self._units = 0, "", unit
        self._started = self._told = self._sent = time.monotonic()
        if skipped < total:
            watcher().show(self._moment(self._started))
        if skipped < total > 1:
            left = f"{total - skipped:,} of {counted(total, unit)} to do"
            tell(f"{step}: {left}" + (f", {skipped:,} done already" if skipped else ""))

    def shard_done(self, step: str, shard: str, counts: Mapping[str, Any], seconds: float) -> None:
        """Another shard is done, or in training the steps that ``counts`` names."""
        self._done = counts.get("step", self._done + 1)
        self._count(counts)
        if "step" not in counts:
            moment = self._moment(time.monotonic())
            watcher().show(moment)
            self._pass_on(moment)

    def moment(self, moment: Moment) -> None:
        """Shows what the step at hand says of itself."""
        watcher().show(moment)
        self._pass_on(moment)

    def _pass_on(self, moment: Moment) -> None:
        """To the run's pages in Prefect: the artifact every two seconds, a line now and then."""
        now, last = time.monotonic(), moment.share is not None and moment.share >= 1.0
        text = sentence(moment, now - self._started, 0.0)
        if self._on_share is not None and moment.share is not None and (last or now - self._sent >= ARTIFACT_SECONDS):
            self._sent = now
            self._on_share(self._stage, moment.share, text)
        if now - self._told >= line_seconds(now - self._started):
            self._told = now
            LOG.info(printable(text))

    def _moment(self, now: float) -> Moment:
        counts = "records" if self._step == "clean" else "documents"
        if self._total == 1:
            return Moment(self._step, counts=counts)
        at = f"{self._done:,} of {counted(self._total, self._units)}"
        rate, left = self.pace(now)
        return Moment(self._step, at, (rate,) if rate else (), self._done / self._total, left, counts)

    def _count(self, counts: Mapping[str, Any]) -> None:
        if "step" in counts:
            return  # training: its counts are totals, and its own lines tell the rate
        unit = self._unit or next((name for name in RECORDS if isinstance(counts.get(name), int)), "")
        self._unit = unit
        self._records += counts.get(unit, 0) if unit else 0

    def pace(self, now: float) -> tuple[str, float | None]:
        """Rate and seconds left of the current step, as far as the shards done in this process tell them."""
        seconds, made = max(now - self._started, 1e-3), self._done - self._skipped
        rate = f"{self._records / seconds:,.0f} {self._unit.removesuffix('_in')}/s" if self._records else ""
        return rate, (self._total - self._done) * seconds / made if made else None

    def stage_finished(self, stage: str, seconds: float, *, earlier: float = 0.0, worked: bool = True) -> None:
        """Says what the stage took."""
        watcher().show(None)
        if not worked:
            tell(f"{stage}: nothing to do")
        elif earlier:
            whole = duration(seconds + earlier)
            tell(f"{stage}: finished in {_taken(seconds)}; {whole} with what was interrupted before")
        else:
            tell(f"{stage}: finished in {_taken(seconds)}")

    def note(self, text: str) -> None:
        """A line of its own."""
        tell(text)


def _taken(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


def funnel_rows(summaries: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """The funnel: one row per stage with what it took in, what it passed on, its seconds, and its other figures."""
    rows = []
    for stage, summary in summaries.items():
        taken = next((key for key in IN if key in summary), "")
        passed = next((key for key in OUT if key in summary and key != taken), "")
        skipped = (taken, passed, "seconds", "shards", "skipped_shards")
        others = [
            f"{key} {figure(value)}"
            for key, value in summary.items()
            if key not in skipped and isinstance(value, int | float | str)
        ]
        rows.append(
            {
                "stage": stage,
                "in": figure(summary[taken]) if taken else "",
                "out": f"{figure(summary[passed])} {passed}" if passed else "",
                "seconds": f"{summary.get('seconds', 0.0):.1f}",
                "more": ", ".join(others),
            }
        )
    return rows


def summary_table(summaries: Mapping[str, Mapping[str, Any]], width: int | None = None) -> str:
    """The funnel as aligned text; in ``width`` columns, if a terminal has so many."""
    rows = [{name: name for name in COLUMNS}, *funnel_rows(summaries)]
    lines = [f"{line}  " for line in aligned([[row[name] for name in COLUMNS[:-1]] for row in rows])]
    if width is not None and len(lines[0]) > width:
        return "\n".join(wrapped(_in_words(row), width) for row in rows[1:])
    return "\n".join(with_more(line, row["more"], width).rstrip() for line, row in zip(lines, rows, strict=True))


def _in_words(row: Mapping[str, str]) -> str:
    """A row for a window that has no room for columns."""
    parts = [f"{row[name]} in" if name == "in" else row[name] for name in ("in", "out", "more") if row[name]]
    return f"{row['stage']}: " + ", ".join([*parts, f"{row['seconds']} s"])


def with_more(line: str, more: str, width: int | None) -> str:
    """A row with its last column, which goes on below itself, or where there is no room for that, below the row."""
    if width is None or len(line) + len(more) <= width:
        return line + more
    if width - len(line) >= LEAST_COLUMN:
        first, *others = _wrapped_items(more, width - len(line)).split("\n")
        return "\n".join([line + first, *(" " * len(line) + other for other in others)])
    if more == "more":  # the heading of what stands below the rows
        return line
    return "\n".join([line.rstrip(), "  " + _wrapped_items(more, width - 2).replace("\n", "\n  ")])


def _wrapped_items(more: str, width: int) -> str:
    """The last column, broken between its items; within one only where it has no room on a line of its own."""
    items = [item.replace(" ", GLUE) if cells(item) < width else item for item in more.split(", ")]
    return wrapped(", ".join(items), width, 0).replace(GLUE, " ")
