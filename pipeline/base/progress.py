"""What work that takes a while tells the person or program that watches it.

``Progress`` is told the events of a run: stages, steps, shards.  Whatever else may be silent for more than a few
seconds says where it stands through ``each`` and ``working``, which need nobody to pass anything on: a process has one
``Watcher``, by default ``Nobody``.  A command line puts the line at the bottom of a terminal in its place
(pipeline/screen/line.py).
"""

import array
import contextlib
import mmap
import os
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pipeline.base.words import counted

Item = TypeVar("Item")


@dataclass(frozen=True)
class Moment:
    """Where a piece of work stands.

    Attributes:
        task: What is done, such as "verify".
        at: How far it is, such as "3 of 40 files"; empty where that is not known.
        words: More, the most important first: a narrow line leaves out the last ones.
        share: The share of the work that is done, of 1; None where it is not known.
        left: Seconds that are left; None: they follow from the share and the time since the task began.
        counts: What worker processes count with ``count_done`` meanwhile, such as "documents"; empty: nothing.
    """

    task: str
    at: str = ""
    words: tuple[str, ...] = ()
    share: float | None = None
    left: float | None = None
    counts: str = ""


class Progress(Protocol):
    """Receives the events of a run; flows/ shows them as bars, lines and Prefect artifacts."""

    def stage_started(self, stage: str) -> None:
        """A stage begins."""

    def step_started(self, step: str, total: int, skipped: int, unit: str = "shard") -> None:
        """A step begins with ``total`` shards, or other units, of which ``skipped`` are done already."""

    def shard_done(self, step: str, shard: str, counts: dict[str, int], seconds: float) -> None:
        """One shard is published."""

    def moment(self, moment: Moment) -> None:
        """The step at hand goes on; told as often as one likes."""

    def stage_finished(self, stage: str, seconds: float, *, earlier: float = 0.0, worked: bool = True) -> None:
        """A stage ended.

        Args:
            stage: Its name.
            seconds: What it took just now.
            earlier: What its interrupted parts took before.
            worked: Whether there was anything to do.
        """

    def note(self, text: str) -> None:
        """Something worth a line."""


class Silent:
    """Shows nothing."""

    def stage_started(self, stage: str) -> None:
        """Ignored."""

    def step_started(self, step: str, total: int, skipped: int, unit: str = "shard") -> None:
        """Ignored."""

    def shard_done(self, step: str, shard: str, counts: dict[str, int], seconds: float) -> None:
        """Ignored."""

    def moment(self, moment: Moment) -> None:
        """Ignored."""

    def stage_finished(self, stage: str, seconds: float, *, earlier: float = 0.0, worked: bool = True) -> None:
        """Ignored."""

    def note(self, text: str) -> None:
        """Ignored."""


# -- one watcher for a process


class Watcher(Protocol):
    """Shows where the work of this process stands."""

    def show(self, moment: Moment | None) -> Moment | None:
        """From now on the work stands here; None: there is none.  Returns what was shown before."""

    def above(self, *, whole: bool = True) -> contextlib.AbstractContextManager[None]:
        """What is written inside stands above the moment; ``whole``: it ends with a line feed."""

    def still(self) -> contextlib.AbstractContextManager[None]:
        """No thread of the watcher runs inside: this process may be forked."""


class Nobody:
    """Nobody watches."""

    def show(self, moment: Moment | None) -> Moment | None:
        """Ignored."""
        return None

    def above(self, *, whole: bool = True) -> contextlib.AbstractContextManager[None]:
        """As if it were not there."""
        return contextlib.nullcontext()

    def still(self) -> contextlib.AbstractContextManager[None]:
        """As if it were not there."""
        return contextlib.nullcontext()


_NOBODY = Nobody()
_watcher: Watcher = _NOBODY


def watcher() -> Watcher:
    """Who watches this process."""
    return _watcher


@contextlib.contextmanager
def watched(by: Watcher) -> Iterator[None]:
    """Inside, ``by`` watches this process; its forks are watched by nobody."""
    global _watcher
    before, _watcher = _watcher, by
    try:
        yield
    finally:
        _watcher = before


def _leave_to_parent() -> None:
    global _watcher
    _watcher = _NOBODY


os.register_at_fork(after_in_child=_leave_to_parent)


@contextlib.contextmanager
def resting() -> Iterator[None]:
    """Nothing is shown of what happens inside: a person is asked something."""
    before = _watcher.show(None)
    try:
        yield
    finally:
        _watcher.show(before)


@contextlib.contextmanager
def working(task: str) -> Iterator[None]:
    """What happens inside is shown under this name, with the time that it has taken so far."""
    before = _watcher.show(Moment(task))
    try:
        yield
    finally:
        _watcher.show(before)


def each(
    items: Iterable[Item],
    task: str,
    unit: str,
    *,
    total: int | None = None,
    plural: str = "",
    of: Callable[[Item], int] = lambda item: 1,
) -> Iterator[Item]:
    """The items, one by one; how much of them is done is shown meanwhile.

    Args:
        items: What is worked on.
        task: What is done with them, such as "verify".
        unit: What is counted, such as "file".
        total: How many of these there are, where the number of ``items`` does not tell.
        plural: What several are called, where it is not the unit and an s.
        of: How many of these an item stands for, such as the rows of a batch.
    """
    done = 0
    if total is None and isinstance(items, Sized):
        total = len(items)
    before = _watcher.show(Moment(task))
    try:
        for item in items:
            _watcher.show(_counted(task, done, total, unit, plural))
            yield item
            done += of(item)
    finally:
        _watcher.show(before)


def counter(task: str, unit: str, plural: str = "") -> Callable[[int, int], None]:
    """A function that is told how many of how many are done, and shows it."""

    def heard(done: int, total: int) -> None:
        _watcher.show(_counted(task, done, total, unit, plural))

    return heard


def _counted(task: str, done: int, total: int | None, unit: str, plural: str) -> Moment:
    if total is None:
        return Moment(task, counted(done, unit, plural))
    return Moment(task, f"{done:,} of {counted(total, unit, plural)}", share=done / total if total else None)


# -- what worker processes have done of a shard that is not finished


class Tally:
    """How much some worker processes have done so far: memory that they share, a number for each of them.

    It is for a person to look at: where two processes share a number, some is lost.
    """

    def __init__(self) -> None:
        self._descriptor = os.memfd_create("tokenmill-tally")
        os.ftruncate(self._descriptor, TALLY_NUMBERS * NUMBER_BYTES)
        self.path = f"/proc/{os.getpid()}/fd/{self._descriptor}"
        _tallies.append(self)

    def total(self) -> int:
        """The sum of the numbers."""
        return sum(array.array("q", os.pread(self._descriptor, TALLY_NUMBERS * NUMBER_BYTES, 0)))

    def close(self) -> None:
        """Gives the memory back."""
        _tallies.remove(self)
        os.close(self._descriptor)


TALLY_NUMBERS, NUMBER_BYTES = 256, 8
_tallies: list[Tally] = []  # of this process
_own_number: memoryview | None = None  # of a worker


def counted_so_far() -> int:
    """What the workers of this process have counted."""
    return sum(tally.total() for tally in _tallies)


def count_into(path: str) -> None:
    """Makes this process, a worker, count into the tally at ``path``; where it cannot be opened, it counts nothing."""
    global _own_number
    _tallies.clear()  # a forked worker has those of its parent
    with contextlib.suppress(OSError), open(path, "r+b") as file:  # /proc is not there, or not for us
        numbers = memoryview(mmap.mmap(file.fileno(), TALLY_NUMBERS * NUMBER_BYTES)).cast("q")
        _own_number = numbers[os.getpid() % TALLY_NUMBERS :][:1]


def count_done(items: int) -> None:
    """This worker has done so many more."""
    if _own_number is not None:
        _own_number[0] += items
