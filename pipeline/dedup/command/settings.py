"""The options of deduplication on the command line: those of the recipe's ``[dedup]``, checked by the same model."""

from typing import Any

from pydantic import ValidationError

from pipeline.base.errors import UserError
from pipeline.recipe.options import Dedup

_FLAGS = {"prefer_sources": "--prefer-source", "prefer_licences": "--prefer-licence"}


def checked_options(**given: Any) -> Dedup:
    """The options as the recipe's section.

    Raises:
        UserError: With every option that is out of its range, by its name on the command line.
    """
    try:
        return Dedup(**given)
    except ValidationError as error:
        problems = []
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else ""
            message = problem["msg"].removeprefix("Value error, ")
            if name == "memory":
                message = "expected a number and its unit, such as 500MB or 2GB"
            flag = _FLAGS.get(name, f"--{name.replace('_', '-')}") if name else ""
            problems.append(f"{flag} {problem['input']}: {message}" if flag else message)
        raise UserError("\n".join(problems)) from error


def positive(flag: str, value: int) -> int:
    """``value``, which must be at least 1.

    Raises:
        UserError: If it is not.
    """
    if value < 1:
        raise UserError(f"{flag} {value:,}: must be at least 1")
    return value
