"""Docstrings as help: a line of source ends where the editor's does, a line of help where the terminal does."""

import inspect
import re
from typing import Any

PARAMETERS = "\n\nParameters\n----------\n"
_DESCRIPTION = re.compile(r"^ {4}\S.*(?:\n {4}\S.*)*", re.MULTILINE)


def unfold_help(app: Any) -> None:
    """Puts each paragraph of what a command and its sub-commands say of themselves on one line, to be broken anew."""
    command = app.default_command
    if command is not None and command.__doc__:
        command.__doc__ = unfolded(command.__doc__)
    for name in app:
        if not name.startswith("-"):
            unfold_help(app[name])


def unfolded(docstring: str) -> str:
    r"""A docstring with each of its paragraphs, and the description of each parameter, on one line.

    Example:
        >>> unfolded("Write it\nwhole.\n\nParameters\n----------\nroot\n    The run\n    folder.")
        'Write it whole.\n\nParameters\n----------\nroot\n    The run folder.'
    """
    text, heading, parameters = inspect.cleandoc(docstring).partition(PARAMETERS)
    paragraphs = (" ".join(paragraph.split()) for paragraph in re.split(r"\n\n+", text))
    described = _DESCRIPTION.sub(lambda lines: f"    {' '.join(lines.group().split())}", parameters)
    return "\n\n".join(paragraphs) + heading + described
