"""``-`` in the place of a file: what standard input holds, as a file that is thrown away afterwards."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.base.errors import UserError

STANDARD = "-"


@contextlib.contextmanager
def as_files(*names: str, ending: str = "txt") -> Iterator[list[str]]:
    """The names, with that of a file that holds standard input in the place of ``-``.

    Args:
        names: Of files, as they were given on the command line.
        ending: What such a file is called, since a reader may tell its format by that.

    Raises:
        UserError: If ``-`` stands there twice: standard input is read once.
    """
    if names.count(STANDARD) > 1:
        raise UserError(f"{STANDARD}: standard input can be read once; name a file for the other")
    if STANDARD not in names:
        yield list(names)
        return
    with tempfile.TemporaryDirectory(prefix="tokenmill-") as folder:
        place = os.path.join(folder, f"stdin.{ending}")
        with open(place, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield [place if name == STANDARD else name for name in names]


def standard_text(name: str) -> str:
    """The text of standard input.

    Args:
        name: How the option is called that stands for it.

    Raises:
        UserError: If it is not UTF-8.
    """
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{name} {STANDARD}: not UTF-8 at byte {error.start}") from error


def lines_of(option: str, path: Path) -> list[str]:
    """The lines of a file, or of standard input, that hold something.

    Args:
        option: How it was named, for the error.
        path: The file, or ``-``.

    Raises:
        UserError: If it cannot be read.
    """
    try:
        text = standard_text(option) if str(path) == STANDARD else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{option} {path}: cannot be read: {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]
