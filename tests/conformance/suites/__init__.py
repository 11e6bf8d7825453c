"""The suites: each is a function from clones to cases.

Every module registers its suites with ``suite``, which names the repositories that they are in; ``ALL`` has them in the
order of the table.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.conformance.cases import Case
from tests.conformance.clones import Clone, Repository


@dataclass(frozen=True)
class Suite:
    """One line of the table."""

    name: str
    repositories: tuple[Repository, ...]
    cases: Callable[..., Iterable[Case]]


ALL: dict[str, Suite] = {}
Maker = Callable[..., Iterable[Case]]


def suite(name: str, *repositories: str) -> Callable[[Maker], Maker]:
    """Registers a suite.

    Args:
        name: In the table.
        repositories: Owner and name of each, as on GitHub; their clones are the arguments of the function.
    """

    def register(cases: Maker) -> Maker:
        ALL[name] = Suite(name, tuple(Repository(*each.split("/")) for each in repositories), cases)
        return cases

    return register


__all__ = ["ALL", "Clone", "Suite", "suite"]
