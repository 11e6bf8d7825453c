"""Class paths of a recipe -> datatrove classes."""

import importlib
from typing import Any

from pipeline.base.errors import UserError


def load_class(path: str) -> Any:
    """The class that a dotted path names.

    Raises:
        UserError: If there is no such class.
    """
    module, _, name = path.rpartition(".")
    try:
        loaded = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"{path}: no such class ({error}); name it like datatrove.pipeline.readers.JsonlReader"
        ) from error
    if not isinstance(loaded, type):
        raise UserError(f"{path}: not a class")
    return loaded


def make(path: str, arguments: dict[str, Any]) -> Any:
    """An instance of the class that a dotted path names.

    Raises:
        UserError: If it cannot be made with these arguments.
    """
    loaded = load_class(path)
    try:
        return loaded(**arguments)
    except TypeError as error:
        raise UserError(f"{path}: {error}; set its arguments with `options` of the source") from error
    except ImportError as error:
        raise UserError(f"{path}: {error}") from error
