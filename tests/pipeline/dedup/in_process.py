"""Workers that are the test's own process: no start-up time, and an error arrives as it was raised."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self


class InProcess:
    def run(
        self, function: Callable[..., Any], jobs: Sequence[tuple[tuple[Any, ...], Any]]
    ) -> Iterator[tuple[Any, Any]]:
        for arguments, job in jobs:
            yield job, function(*arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        pass
