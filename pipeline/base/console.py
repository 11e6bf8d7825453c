"""What a command prints: one JSON object or plain lines on standard output, everything else on standard error.

``claim_stdout`` runs before any library loads: with ``--json`` file descriptor 1 is kept aside and pointed at standard
error, so that a library's print cannot spoil the object.
"""

import json
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_stdout: TextIO | None = None


def claim_stdout() -> None:
    """Keeps the real standard output for ``emit`` and points file descriptor 1 at standard error."""
    global _stdout
    if _stdout is None:
        _stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)


def printable(text: str) -> str:
    """``text`` without control characters other than tab and newline: what a terminal may be shown."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def say(text: str) -> None:
    """A line for a person, on standard error."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def out(text: str) -> None:
    """A line of the command's result, on standard output."""
    sys.stdout.write(printable(text) + "\n")


def counted(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun: ``1 record``, ``2,000 records``; ``plural`` where that is not the noun and an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def emit(value: Mapping[str, Any]) -> None:
    """The one JSON object of ``--json``."""
    stream = _stdout or sys.stdout
    stream.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
    stream.flush()
