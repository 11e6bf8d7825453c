"""What a terminal shows of the bytes that were written to it."""

import os
import re
import select
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl


def shown(written: bytes) -> list[str]:
    """The lines on a wide terminal that knows carriage return, line feed and "erase to the end of the line"."""
    lines, column = [""], 0
    for part in re.findall(r"\x1b\[K|\r|\n|[^\x1b\r\n]+", written.decode()):
        if part == "\x1b[K":
            lines[-1] = lines[-1][:column]
        elif part == "\r":
            column = 0
        elif part == "\n":
            lines.append("")
            column = 0
        else:
            lines[-1] = lines[-1][:column] + part + lines[-1][column + len(part) :]
            column += len(part)
    return lines


def read(end: int) -> bytes:
    """All that has been written to a terminal so far."""
    data = b""
    while select.select([end], [], [], 0.1)[0]:
        data += os.read(end, 65536)
    return data


def resize(terminal: int, columns: int) -> None:
    """Makes the window of a terminal so wide."""
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


@contextmanager
def terminal(columns: int = 80) -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: the one that is looked at, and the one that a program writes to."""
    ours, theirs = os.openpty()
    resize(theirs, columns)
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)
