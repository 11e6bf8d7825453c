"""Where a training stands and how long all the rest takes: steps, validations, samples and checkpoints.

How often each is still to come is arithmetic.  What one takes is measured; before the first it is guessed from the
steps: a validation's token costs a third of a training step's, since nothing goes backward, and a token of a sample
reads every weight once.
"""

import contextlib
import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator

from pipeline.base.progress import Moment
from pipeline.recipe.training_options import Train

CHECKPOINT = "saving a checkpoint"
EVERY_SECONDS = 0.5  # between two moments: the steps must not feel it
RECENT = 15  # steps and parts whose median is what one takes
FORWARD_SHARE = 1 / 3
WEIGHTS_PER_SECOND = 2.5e9  # that a processor reads
LEAST_TOKEN_SECONDS = 1e-3

Heard = Callable[[int, int], None]


class Outlook:
    """What a training says of itself while it runs.

    Args:
        train: What was asked for.
        step: The step that it begins after.
        parameters: Of the model.
        validation_tokens: Of one validation; 0: there is none.
        sample_tokens: That are written at a time to see what the model makes; 0: none.
        tell: Who is told; None: nobody is, as in all processes but the leading one.
        clock: Seconds.
    """

    def __init__(
        self,
        train: Train,
        step: int,
        *,
        parameters: int,
        validation_tokens: int,
        sample_tokens: int,
        tell: Callable[[Moment], None] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._train, self._step, self._tell, self._clock = train, step, tell, clock
        self._sample_seconds = sample_tokens * max(LEAST_TOKEN_SECONDS, parameters / WEIGHTS_PER_SECOND)
        self._validation_steps = validation_tokens / train.global_batch_tokens * FORWARD_SHARE
        self._validates = validation_tokens > 0
        self._took: dict[str, deque[float]] = {}
        self._loss: float | None = None
        self._doing, self._part, self._since = "", 0.0, 0.0  # what is done beside the steps, and its share
        self._marked, self._told = clock(), -math.inf

    def stepped(self, step: int, loss: float) -> None:
        """One more step is done."""
        now = self._clock()
        self._record("step", now - self._marked)
        self._step, self._loss, self._marked = step, loss, now
        self._say(now)

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[Heard]:
        """What is done inside is a ``what``; the function is told how many of how many of its parts are done."""
        self._doing, self._part, self._since = what, 0.0, self._clock()

        def heard(done: int, total: int) -> None:
            self._doing, self._part = f"{what} {min(done + 1, total):,} of {total:,}", done / max(1, total)
            self._say(self._clock())

        self._say(self._since)
        try:
            yield heard
        finally:
            now = self._clock()
            self._record(what, now - self._since)
            self._doing, self._marked = "", now

    def _record(self, what: str, seconds: float) -> None:
        self._took.setdefault(what, deque(maxlen=RECENT)).append(seconds)

    def _one(self, what: str, guess: float) -> float:
        """Seconds that one of them takes."""
        return statistics.median(self._took[what]) if what in self._took else guess

    def seconds_left(self) -> float | None:
        """Of the whole training; None before its first step."""
        return self._seconds_after(self._step, self._clock()) if "step" in self._took else None

    def _seconds_after(self, step: int, now: float | None = None) -> float:
        train, one_step = self._train, self._one("step", 0.0)
        validation, sample = self._one("validation", self._validation_steps * one_step), self._sample_time()
        seconds = (train.steps - step) * one_step
        seconds += _times(step, train.steps, train.validate_every_steps) * validation * self._validates
        saves = _times(step, train.steps, train.checkpoint_every_steps)
        seconds += saves * (self._one(CHECKPOINT, 0.0) + sample)
        return seconds if now is None or not self._doing else seconds + self._seconds_of_now(validation, sample, now)

    def _seconds_of_now(self, validation: float, sample: float, now: float) -> float:
        """Seconds that are left of what is done beside the steps, and of what follows it at the last step."""
        last = self._step == self._train.steps
        spent = now - self._since
        if self._doing.startswith("validation"):
            own = spent * (1 - self._part) / self._part if self._part else max(0.0, validation - spent)
            return own + (sample + self._one(CHECKPOINT, 0.0) if last else 0.0)
        if self._doing.startswith("sample"):
            return spent * (1 - self._part) / self._part if self._part else max(0.0, sample - spent)
        return sample if last else 0.0

    def _sample_time(self) -> float:
        return self._one("sample", self._sample_seconds) if self._sample_seconds else 0.0

    # -- what is said

    def _say(self, now: float) -> None:
        if self._tell is not None and now - self._told >= EVERY_SECONDS:
            self._told = now
            self._tell(self.moment())

    def moment(self) -> Moment:
        """Where the training stands now."""
        left = self.seconds_left()
        total = self._seconds_after(0) if left is not None else 0.0
        words = [self._doing] if self._doing else []
        if self._loss is not None:
            words.append(f"loss {self._loss:.4f}" if math.isfinite(self._loss) else "loss not finite")
            rate = self._train.global_batch_tokens / max(1e-9, self._one("step", 1.0))
            words.append(f"{rate:,.0f} tokens/s")
        at = f"step {self._step:,} of {self._train.steps:,}"
        share = None if left is None or not total else min(1.0, max(0.0, 1.0 - left / total))
        return Moment("train", at, tuple(words), share, left)


def _times(step: int, steps: int, every: int) -> int:
    """How often something comes after ``step`` that is due every so many steps (0: never) and after the last one."""
    if step >= steps:
        return 0
    regular = steps // every - step // every if every else 0
    return regular + (0 if every and steps % every == 0 else 1)
