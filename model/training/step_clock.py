"""Times the steps of a training between two lines of metrics."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from model.devices.hardware import peak_flops
from model.devices.world import World
from model.network.config import ModelConfig
from model.plan.flops import flops_per_token

Batch = TypeVar("Batch")


class Lap(NamedTuple):
    """What is measured of the steps since the last line; rounded as it is stored."""

    tokens_per_second: float
    mfu: float | None  # None where the device's peak is not known
    seconds: float  # of the whole training so far
    loader_seconds: float


class StepClock:
    """Counts and times steps; what happens in ``paused`` does not count.

    Args:
        config: The model.
        world: The processes that train.
        step_tokens: Tokens of a global batch.
        seconds_before: What the training had taken before it was stopped and went on.
    """

    def __init__(self, config: ModelConfig, world: World, step_tokens: int, seconds_before: float) -> None:
        peak = peak_flops(world.device)
        self._share_of_peak = flops_per_token(config) / (peak * world.size) if peak else None
        self._step_tokens, self._seconds_before = step_tokens, seconds_before
        self._begun = self._since = time.perf_counter()
        self._pause = self._loader_seconds = 0.0
        self._steps = 0

    def steps(self, batches: Iterator[tuple[int, Batch]]) -> Iterator[Batch]:
        """Each batch, the wait for it timed; one step each."""
        while True:
            waited = time.perf_counter()
            step_and_batch = next(batches, None)
            if step_and_batch is None:
                return
            self._loader_seconds += time.perf_counter() - waited
            self._steps += 1
            yield step_and_batch[1]

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens inside does not count."""
        started = time.perf_counter()
        yield
        self._pause += time.perf_counter() - started

    def lap(self) -> Lap:
        """The figures since the last lap; begins the next."""
        now = time.perf_counter()
        rate = self._steps * self._step_tokens / max(now - self._since - self._pause, 1e-9)
        mfu = None if self._share_of_peak is None else round(rate * self._share_of_peak, 4)
        seconds = self._seconds_before + now - self._begun
        lap = Lap(round(rate, 1), mfu, round(seconds, 3), round(self._loader_seconds, 6))
        self._since, self._pause, self._loader_seconds, self._steps = now, 0.0, 0.0, 0
        return lap
