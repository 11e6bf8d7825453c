"""A batch of shards that somebody works on: what the run asks of it while it watches the results appear."""

from abc import ABC, abstractmethod
from collections.abc import Sequence


class Batch(ABC):
    """A batch that has been handed over.

    Attributes:
        poll_seconds: The longest time between two looks at its results.
        late_seconds: How long after its end a result may still appear: a shared file system may show it late.
    """

    poll_seconds: float
    late_seconds: float

    @abstractmethod
    def ended(self, seconds: Sequence[float]) -> bool:
        """True when no task of the batch runs or waits any more.

        Args:
            seconds: What each shard took whose result was seen.

        Raises:
            RunError: If the cluster is lost.
        """

    @abstractmethod
    def cancel(self, *, done: bool) -> None:
        """Ends every task that is left; ``done``: every shard has its result."""

    def why_missing(self) -> tuple[str, str]:
        """Why shards have no result after the end, and what a person has to change before another try, in words.

        The first is empty where nothing is known, the second where another try may help.
        """
        return "", ""
