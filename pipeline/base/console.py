"""What a command prints: one JSON object or plain lines on standard output, everything else on standard error.

``claim_stdout`` runs before any library loads: with ``--json`` file descriptor 1 is kept aside and pointed at standard
error, so that a library's print cannot spoil the object.
"""

import errno
import json
import os
import sys
import termios
from collections.abc import Mapping
from typing import Any, TextIO

from pipeline.base.words import printable

_stdout: TextIO | None = None


def claim_stdout() -> None:
    """Keeps the real standard output for ``emit`` and points file descriptor 1 at standard error."""
    global _stdout
    if _stdout is None:
        _stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)


def release_stdout(*, restore: bool = True) -> None:
    """Undoes ``claim_stdout``: for a program that takes this process over and claims it itself, or a next test.

    Args:
        restore: Point file descriptor 1 at the real standard output again; without, it stays as it is.
    """
    global _stdout
    if _stdout is not None:
        if restore:
            os.dup2(_stdout.fileno(), 1)
        _stdout.close()
        _stdout = None


def say(text: str) -> None:
    """A line for a person, on standard error; nowhere once the terminal is closed or nobody reads the pipe."""
    try:
        sys.stderr.write(printable(text) + "\n")
        sys.stderr.flush()
    except OSError as error:
        if error.errno not in (errno.EIO, errno.EPIPE):
            raise
        to_nowhere(2)  # the work goes on: what it makes is worth more than the words about it


def leave_closed_terminal() -> None:
    """Points the standard streams of a terminal that was closed at nothing: writing to one is an error from then on."""
    for descriptor in (1, 2):
        try:
            termios.tcgetattr(descriptor)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                to_nowhere(descriptor)


def to_nowhere(descriptor: int) -> None:
    """Points a descriptor at nothing: what is written to it from now on is dropped."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)


def out(text: str) -> None:
    """A line of the command's result, on standard output."""
    sys.stdout.write(printable(text) + "\n")


def emit(value: Mapping[str, Any]) -> None:
    """The one JSON object of ``--json``."""
    stream = _stdout or sys.stdout
    stream.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
    stream.flush()
