"""The last line of a terminal, which says where the work stands; elsewhere a line now and then.

One line, erased and written again in place, by a thread that does nothing else; what a command says meanwhile stands
above it (``above``).  No colour, no cursor that would stay hidden after a kill, nothing at all in the first second.
A terminal that cannot erase a line (``TERM=dumb``), a pipe and a file get whole lines: the first after ten seconds, and
the longer it takes the rarer.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from pipeline.base import progress
from pipeline.base.console import ERASED, has_last_line, say, width_of
from pipeline.base.progress import Moment, counted_so_far
from pipeline.screen.wording import fitted, sentence

FIRST_SECONDS = 1.0  # what is done by then shows nothing
EVERY_SECONDS = 0.5
LINE_SECONDS, MOST_LINE_SECONDS = 10.0, 600.0  # between two whole lines
BARE_LINE_SECONDS = 60.0  # to one that could only say that the work goes on
LINE_SHARE = 0.1  # or a tenth of the time so far, if that lies between them
STDERR = 2


def line_seconds(worked: float) -> float:
    """Seconds to the next whole line, after so many seconds of work."""
    return min(MOST_LINE_SECONDS, max(LINE_SECONDS, LINE_SHARE * worked))


class LastLine:
    """Shows the moments of this process (a ``progress.Watcher``).

    Args:
        descriptor: Where it is shown.
        clock: Seconds.
    """

    def __init__(self, descriptor: int = STDERR, clock: Callable[[], float] = time.monotonic) -> None:
        self._descriptor, self._clock = descriptor, clock
        self._erasable = has_last_line(descriptor)
        self._encoding = sys.stderr.encoding if sys.stderr is not None else "utf-8"
        self._lock = threading.RLock()  # a handler of a signal may speak in the middle of it
        self._moment: Moment | None = None
        self._busy = self._began = self._seen = 0.0  # since when there is a moment, this task, this moment
        self._first: float | None = None  # when there was something to show for the first time
        self._told = 0.0  # the last whole line
        self._counted = 0  # by workers before this task
        self._drawn = False
        self._depth = 0  # of what is being written above
        self._whole = True  # what was written above ended with a line feed
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    # -- what the work says

    def show(self, moment: Moment | None) -> Moment | None:
        """From now on the work stands here; None: there is none."""
        before, self._moment = self._moment, moment
        if moment is None:
            self._erase()
            return before
        self._seen = self._clock()
        if before is None:
            self._busy = self._seen
        if before is None or before.task != moment.task:
            self._began, self._counted = self._seen, counted_so_far()
        if self._first is None:
            self._first = self._told = self._seen
        if self._thread is None:
            self._start()
        return before

    @contextlib.contextmanager
    def above(self, *, whole: bool = True) -> Iterator[None]:
        """What is written inside stands above the line; ``whole``: it ends with a line feed."""
        with self._lock:
            drawn, self._told = self._drawn, self._clock()
            self._erase()
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                self._whole = whole
                if drawn and not self._depth:
                    self._draw()

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        """No thread of ours runs inside: this process may be forked."""
        ran = self._thread is not None
        self._end_thread()
        try:
            yield
        finally:
            if ran:
                self._start()

    def close(self) -> None:
        """Erases the line and ends the thread."""
        self._end_thread()
        self.show(None)

    # -- the thread

    def _start(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._stop,), daemon=True, name="last-line")
        self._thread.start()

    def _end_thread(self) -> None:
        thread, self._thread = self._thread, None
        self._stop.set()
        if thread is not None:
            thread.join()

    def _run(self, stop: threading.Event) -> None:
        wait = FIRST_SECONDS
        while not stop.wait(wait):
            wait = EVERY_SECONDS
            self.tick()

    def tick(self) -> None:
        """Writes the line again, or a whole line if it is time."""
        with self._lock:
            if self._erasable and _in_foreground(self._descriptor):
                self._draw()
                return
            now, moment = self._clock(), self._moment
            if moment is None or self._first is None:
                return
            moment = self._with_counts(moment, now)
            bare = not (moment.at or moment.words)
            if now - self._told >= max(line_seconds(now - self._first), BARE_LINE_SECONDS * bare):
                self._told = now
                say(sentence(moment, now - self._began, now - self._seen))

    # -- the line

    def _draw(self) -> None:
        now, moment = self._clock(), self._moment
        if moment is None or now - self._busy < FIRST_SECONDS or self._depth or not self._whole:
            return
        width = (width_of(self._descriptor) or 1) - 1  # a full line would begin the next one
        line = fitted(self._with_counts(moment, now), now - self._began, now - self._seen, width)
        self._drawn = self._write(f"{ERASED}{line}")

    def _with_counts(self, moment: Moment, now: float) -> Moment:
        """The moment with what worker processes have done meanwhile of shards that are not finished."""
        done = counted_so_far() - self._counted if moment.counts else 0
        if done <= 0:
            return moment
        rate = done / max(now - self._began, 1e-3)
        return replace(moment, words=(f"{done:,} {moment.counts}", f"{rate:,.0f} {moment.counts}/s"))

    def _erase(self) -> None:
        with self._lock:
            if self._drawn:
                self._write(ERASED)
                self._drawn = False

    def _write(self, text: str) -> bool:
        try:
            os.write(self._descriptor, text.encode(self._encoding, "replace"))
        except OSError:  # a terminal that is gone
            return False
        return True


def _in_foreground(descriptor: int) -> bool:
    """Whether the terminal is ours to draw on: not where a shell, or ``timeout``, has put us in the background."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:  # a terminal that is not the one that controls us
        return True


@contextlib.contextmanager
def last_line() -> Iterator[None]:
    """Inside, the work of this process is shown on standard error, unless it is shown already."""
    if not isinstance(progress.watcher(), progress.Nobody):
        yield
        return
    line = LastLine()
    with progress.watched(line):
        try:
            yield
        finally:
            line.close()
