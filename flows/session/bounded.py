"""Flows that are called from Python with more than a Prefect server takes as parameters: refused in a sentence.

Prefect 3.8.8 refuses them before the flow begins, with an error that repeats all of them.
"""

from typing import Any, ParamSpec, TypeVar, cast

from prefect.flows import Flow

from pipeline.base.errors import UserError

REFUSED = "Flow run parameters must be less than"  # how Prefect begins its sentence
P = ParamSpec("P")
R = TypeVar("R")


class _Bounded(Flow[Any, Any]):
    def __call__(self, *arguments: Any, **named: Any) -> Any:
        try:
            return super().__call__(*arguments, **named)
        except Exception as error:
            said = str(error)
            if REFUSED not in said:
                raise
            start = said.index(REFUSED)
            why = said[start : said.find(")", start) + 1]
        raise UserError(
            f"{self.name}: its parameters are too large for the Prefect server ({why}): give folders or globs in the "
            "place of many files, and what many overrides say in a recipe file"
        )


def bounded(made: Flow[P, R]) -> Flow[P, R]:
    """The flow, which says in a sentence what its server refuses; it stays the object that Prefect has made."""
    cast(Any, made).__class__ = _Bounded
    return made
