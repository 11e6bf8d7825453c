"""What ends a training early: SIGINT, SIGTERM and SIGHUP.

While there is nothing to save, before the first step and after the last, a signal ends the training where it is.
During the steps it is remembered until the step at hand is done: all processes stop at the same one.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from pipeline.base.console import leave_closed_terminal

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ECHO_SECONDS = 1.0  # in which torchrun passes on a SIGINT that it and its processes got together
SAVING_SECONDS = 30.0  # for the step at hand and a checkpoint, once the process that started a trainer has gone


class Stopped(Exception):  # noqa: N818  a signal, not an error
    """A signal asked for the end during the steps; a checkpoint is saved, unless the weights give no finite values."""

    def __init__(self, number: int, step: int, *, saved: bool = True) -> None:
        what = "a checkpoint is saved" if saved else "without a checkpoint, its values are not finite"
        super().__init__(f" at step {step}, {what}")
        self.number, self.step = number, step


class Interrupted(BaseException):
    """A signal asked for the end where nothing is to be saved."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def name_of(number: int) -> str:
    """What people call a signal."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


def under_torchrun() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


@contextlib.contextmanager
def answered(answer: Callable[[int, Any], None]) -> Iterator[None]:
    """Signals are answered by ``answer``; SIGHUP stays ignored where it is, as under nohup.

    Under torchrun it does not: torchrun itself answers it, and kills processes that do not.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    if before[signal.SIGHUP] == signal.SIG_IGN and not under_torchrun():
        del before[signal.SIGHUP]
    for number in before:
        signal.signal(number, answer)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore() -> None:
    """From here on signals change nothing: what is left takes a moment, or is another process's to end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def interrupt(number: int, frame: Any) -> NoReturn:
    """An answer: ends the training where it is."""
    if number == signal.SIGHUP:
        leave_closed_terminal()
    raise Interrupted(number)


class Remembered:
    """An answer: the first signal is remembered in ``number`` until the step at hand is done; a second Ctrl-C is not.

    Args:
        asked: Called at the first signal.
        at_once: Called at the second Ctrl-C; ends the process.
    """

    def __init__(self, asked: Callable[[], None], at_once: Callable[[], None]) -> None:
        self._asked, self._at_once = asked, at_once
        self.number, self._when = 0, 0.0

    def __call__(self, number: int, frame: Any) -> None:
        """Remembers the first signal."""
        if number == signal.SIGHUP:
            leave_closed_terminal()
        # torchrun passes on the first Ctrl-C as SIGINT and the second as SIGTERM
        again = (signal.SIGINT, signal.SIGTERM) if under_torchrun() else (signal.SIGINT,)
        is_echo = number == signal.SIGINT and under_torchrun() and time.monotonic() - self._when < ECHO_SECONDS
        if self.number == signal.SIGINT and number in again and not is_echo:
            self._at_once()
        elif not self.number:
            self.number, self._when = number, time.monotonic()
            self._asked()
