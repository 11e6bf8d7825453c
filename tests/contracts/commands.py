"""The commands of the program, as its own parser knows them."""

from collections.abc import Iterator
from typing import Any


def commands(app: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command of the app and of the apps in it, by its path."""
    if app.default_command is not None:
        yield path, app
    for name in app:
        if not name.startswith("-"):
            yield from commands(app[name], (*path, name))
