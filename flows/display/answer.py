"""How every command ends: with one JSON object, or with text for a person."""

from collections.abc import Mapping
from typing import Any

from pipeline.base.console import emit, out


def answer(as_json: bool, result: Mapping[str, Any], text: str, *, made: bool = False, verbatim: bool = False) -> int:
    """Prints ``result`` with ``--json``, else ``text``; returns the exit code of a command that has done its work.

    Args:
        as_json: Whether the object was asked for.
        result: The object.
        text: What a person is told instead.
        made: What the command is for lies in files: that ``text`` cannot be written is no failure.
        verbatim: ``text`` is a text of somebody's, not about one.
    """
    if as_json:
        emit(result)
    else:
        out(text, words=made, verbatim=verbatim)
    return 0
