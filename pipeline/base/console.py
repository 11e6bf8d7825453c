"""What a command prints: one JSON object or plain lines on standard output, everything else on standard error.

``claim_stdout`` runs before any library loads: with ``--json`` file descriptor 1 is kept aside and pointed at standard
error, so that a library's print cannot spoil the object.

What a run makes is worth more than the words about it.  ``guard_streams`` gives a process standard streams that do not
end its work: what cannot be written on standard error is dropped, and so is what nobody reads any more on standard
output.  Only a result that finds no room there (a full disk) is an error, as with any other program.

On a terminal the last line may say where the work stands (``progress.watcher``): what is written stands above it.
"""

import contextlib
import errno
import io
import json
import os
import select
import sys
import termios
from collections.abc import Mapping
from typing import Any, TextIO

from pipeline.base.progress import watcher
from pipeline.base.words import printable, wrapped

ERASED = "\r\x1b[K"  # the line that the cursor stands in, on a terminal
USUAL_WIDTH = 80
GONE = frozenset({errno.EPIPE, errno.EIO, errno.EBADF})  # no reader any more, a closed terminal, a closed descriptor

_stdout: TextIO | None = None
_works_for_another = False


class _Stream(io.FileIO):
    """A standard stream: what it drops, it counts as written.

    Args:
        descriptor: Of the stream; it stays open.
        words: Whether all that cannot be written is dropped, for whatever reason; else what has no reader any more.
    """

    def __init__(self, descriptor: int, *, words: bool) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._words = words
        self._at_begin = True  # of a line
        self._on_terminal = os.isatty(descriptor)

    def write(self, data: Any) -> int:
        """Writes some of ``data``; returns how many bytes are dealt with."""
        if not self._on_terminal:
            return self._write(data)
        whole = bytes(data)[-1:] == b"\n"
        with watcher().above(whole=whole):
            if _works_for_another and self._at_begin and has_last_line(self.fileno()):
                self._write(ERASED.encode())
            self._at_begin = whole
            return self._write(data)

    def _write(self, data: Any) -> int:
        try:
            written = super().write(data)
        except OSError as error:
            if error.errno in GONE:
                to_nowhere(self.fileno())
            elif not self._words:
                raise
            return len(data)
        if written is None:  # full, and another process has set the pipe that we share with it to not wait
            select.select([], [self], [])
            return 0
        return written


def _text_stream(descriptor: int, like: TextIO | None, *, words: bool) -> TextIO:
    raw = _Stream(descriptor, words=words)
    encoding, errors = (like.encoding, like.errors) if like is not None else ("utf-8", "strict")
    kept = "backslashreplace" if errors == "strict" else errors  # a name that the locale has no letters for
    lines = words or raw.isatty()
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors=kept, line_buffering=lines)


def has_last_line(descriptor: int) -> bool:
    """Whether it is a terminal on which a line can be erased and written again."""
    return os.isatty(descriptor) and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")


def width_of(descriptor: int) -> int | None:
    """Columns of a terminal; None for a descriptor that is none."""
    try:
        return os.get_terminal_size(descriptor).columns or USUAL_WIDTH  # 0: nobody has told it
    except OSError:
        return None


def guard_streams(*, worker: bool = False) -> None:
    """Opens the standard descriptors that are closed, on nothing, and lets no stream end the work of this process.

    Call it first of all: the next file to be opened would else take the number of a closed one.  Streams that somebody
    has put in place of Python's own are left as they are.

    Args:
        worker: This process works for another one, which may show a line on the terminal that both write on.
    """
    global _works_for_another
    _works_for_another = worker
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
    if sys.stdout is sys.__stdout__:
        sys.stdout = _text_stream(1, sys.stdout, words=False)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text_stream(2, sys.stderr, words=True)


def claim_stdout() -> None:
    """Keeps the real standard output for ``emit`` and points file descriptor 1 at standard error."""
    global _stdout
    if _stdout is None:
        raw = _Stream(os.dup(1), words=False)
        _stdout = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8")
        os.dup2(2, 1)


def release_stdout(*, restore: bool = True) -> None:
    """Undoes ``claim_stdout``: for a program that takes this process over and claims it itself, or a next test.

    Args:
        restore: Point file descriptor 1 at the real standard output again; without, it stays as it is.
    """
    global _stdout
    if _stdout is not None:
        descriptor = _stdout.fileno()
        if restore:
            os.dup2(descriptor, 1)
        _stdout.close()
        os.close(descriptor)
        _stdout = None


def say(text: str) -> None:
    """A line for a person, on standard error; nowhere where that cannot be written.

    On a terminal it is broken between words, at the width that the terminal has now.
    """
    if sys.stderr is None:
        return
    text = printable(text)
    try:
        width = width_of(2) if sys.stderr.isatty() else None
        with watcher().above():
            sys.stderr.write((wrapped(text, width) if width else text) + "\n")
            sys.stderr.flush()
    except (OSError, ValueError) as error:  # a process whose streams are not guarded; ValueError: closed in Python
        if isinstance(error, OSError) and error.errno in GONE:
            to_nowhere(2)


def say_at_once(text: str) -> None:
    """A line for a person from the handler of a signal, which may have come in the middle of another line."""
    with contextlib.suppress(OSError):  # nobody is there
        os.write(2, f"{ERASED if has_last_line(2) else ''}{text}\n".encode())


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


def out(text: str, *, words: bool = False, verbatim: bool = False) -> None:
    """A line on standard output; on a terminal it is broken between words.

    Args:
        text: The line.
        words: It only tells of a result that lies elsewhere: what cannot be written is dropped.
        verbatim: It is somebody's text and is left as it is.
    """
    text = printable(text)
    width = width_of(1) if not verbatim and sys.stdout.isatty() else None
    sys.stdout.write((wrapped(text, width) if width else text) + "\n")
    if words:
        try:
            flush_result()
        except OSError as error:
            say(f"standard output cannot be written ({error.strerror}); what it would tell of is made")


def emit(value: Mapping[str, Any]) -> None:
    """The one JSON object of ``--json``."""
    stream = _stdout or sys.stdout
    stream.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
    flush_result(stream)


def flush_result(stream: TextIO | None = None) -> None:
    """Writes what a stream, by default standard output, still holds of the result.

    Raises:
        OSError: If there is no room for it; it is dropped then.
    """
    stream = stream or sys.stdout
    try:
        stream.flush()
    except OSError as error:
        to_nowhere(stream.fileno())
        stream.flush()  # it would be tried again at the end of the process
        raise OSError(error.errno, error.strerror, "standard output") from error
