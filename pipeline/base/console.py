"""What a command prints: one JSON object or plain lines on standard output, everything else on standard error.

``claim_stdout`` runs before any library loads: with ``--json`` file descriptor 1 is kept aside and pointed at standard
error, so that a library's print cannot spoil the object.
"""

import json
import os
import sys
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


def say(text: str) -> None:
    """A line for a person, on standard error."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def out(text: str) -> None:
    """A line of the command's result, on standard output."""
    sys.stdout.write(printable(text) + "\n")


def emit(value: Mapping[str, Any]) -> None:
    """The one JSON object of ``--json``."""
    stream = _stdout or sys.stdout
    stream.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
    stream.flush()
