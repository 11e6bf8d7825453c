"""A figure of a measure, the measures by name, and the table that they make."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.conformance.clones import Clone, Repository

RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True)
class Figure:
    """So many of so many.

    Attributes:
        what: What is counted.
        right: How many are as they should be; a mean over groups where ``of`` is a number of groups.
        of: Of how many.
        mean: Whether ``right`` is a share, the mean over ``of`` groups.
    """

    what: str
    right: float
    of: int
    mean: bool = False

    def shown(self) -> str:
        """The figure in a cell of the table."""
        return f"{self.right:.1%}, mean of {self.of:,}" if self.mean else f"{self.right:,.0f} of {self.of:,}"


Measure = Callable[[Clone], Iterator[Figure]]
ALL: dict[str, tuple[Repository, Measure]] = {}


def measure(name: str, repository: Repository) -> Callable[[Measure], Measure]:
    """Registers a measure under the name of its suite."""

    def register(made: Measure) -> Measure:
        ALL[name] = (repository, made)
        return made

    return register


def results_of(name: str, clone: Clone) -> dict[str, Any]:
    """The figures of a suite, with where they are from."""
    repository, made = ALL[name]
    figures = [asdict(figure) for figure in made(clone)]
    return {"suite": name, "url": repository.url, "commit": clone.commit(), "figures": figures}


def table(results: dict[str, Any]) -> Iterator[str]:
    """The section of the page."""
    yield "## Facts about texts"
    yield ""
    yield "What the stages tell of a text, beside what other people's tests say: the encoding of undeclared bytes, what"
    yield "is mojibake, the language, a page's day of publication, personal data, and whether a document holds an"
    yield "edited item of an evaluation set. A language is accepted with a score of 0.65, the default of"
    yield "`filter.min_language_score`. By the same command as the first table."
    yield ""
    yield "| suite | what | right |"
    yield "|---|---|--:|"
    for suite in results["suites"]:
        for figure in suite["figures"]:
            yield f"| {suite['suite']} | {figure['what']} | {Figure(**figure).shown()} |"
    yield ""
    for suite in results["suites"]:
        yield f"- {suite['suite']}: {suite['url']}, commit `{suite['commit']}`"
    yield ""
    yield f"Measured on {results['date']} with tokenmill {results['version']} (commit `{results['tokenmill']}`)."
