"""How every command ends: with one JSON object, or with text for a person."""

from collections.abc import Mapping
from typing import Any

from pipeline.base.console import emit, out


def answer(as_json: bool, result: Mapping[str, Any], text: str) -> int:
    """Prints ``result`` with ``--json``, else ``text``; returns the exit code of a command that has done its work."""
    if as_json:
        emit(result)
    else:
        out(text)
    return 0
