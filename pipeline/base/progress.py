"""What a running stage tells the person or program that watches it."""

from typing import Protocol


class Progress(Protocol):
    """Receives the events of a run; flows/ shows them as bars, lines and Prefect artifacts."""

    def stage_started(self, stage: str) -> None:
        """A stage begins."""

    def step_started(self, step: str, total: int, skipped: int) -> None:
        """A step begins with ``total`` shards, of which ``skipped`` are done already."""

    def shard_done(self, step: str, shard: str, counts: dict[str, int], seconds: float) -> None:
        """One shard is published."""

    def stage_finished(self, stage: str, seconds: float) -> None:
        """A stage ended."""

    def note(self, text: str) -> None:
        """Something worth a line."""


class Silent:
    """Shows nothing."""

    def stage_started(self, stage: str) -> None:
        """Ignored."""

    def step_started(self, step: str, total: int, skipped: int) -> None:
        """Ignored."""

    def shard_done(self, step: str, shard: str, counts: dict[str, int], seconds: float) -> None:
        """Ignored."""

    def stage_finished(self, stage: str, seconds: float) -> None:
        """Ignored."""

    def note(self, text: str) -> None:
        """Ignored."""
