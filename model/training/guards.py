"""Guards of a training step: what is not finite, or far above the last steps, is not applied.

Source of the rule: OLMo-core's skip-step optimizer (a window of losses and gradient norms, a bound in deviations).
"""

import math
from dataclasses import dataclass, field
from statistics import fmean, pstdev
from typing import Any

WINDOW_STEPS = 128
MINIMUM_STEPS = 64  # before that, a bound in deviations means nothing


@dataclass
class Guard:
    """Judges each step by the ones before it.

    Attributes:
        spike_sigmas: Deviations above the window's mean from which a value is a spike.
        losses: Losses of the last steps that were applied.
        norms: Their gradient norms.
        skipped: Steps skipped in all.
    """

    spike_sigmas: float
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    skipped: int = 0

    def refuse(self, loss: float, norm: float) -> str | None:
        """Why this step must not be applied, or None; counts and remembers it."""
        reason = None
        for name, value, window in (("loss", loss, self.losses), ("gradient norm", norm, self.norms)):
            if not math.isfinite(value):
                reason = reason or f"{name} is {value}"
            elif len(window) >= MINIMUM_STEPS and value > self.bound(window):
                reason = reason or f"{name} {value:.4g} is a spike above {self.bound(window):.4g}"
        if reason is None:
            self.losses = [*self.losses, loss][-WINDOW_STEPS:]
            self.norms = [*self.norms, norm][-WINDOW_STEPS:]
        else:
            self.skipped += 1
        return reason

    def bound(self, window: list[float]) -> float:
        """Largest value that is no spike; never below 1.5 times the mean, so that a flat window is no trap."""
        mean = fmean(window)
        return max(mean + self.spike_sigmas * pstdev(window), 1.5 * mean)

    def state(self) -> dict[str, Any]:
        """What a checkpoint stores."""
        return {"losses": self.losses, "norms": self.norms, "skipped": self.skipped}

    def load(self, state: dict[str, Any]) -> None:
        """The inverse of ``state``."""
        self.losses, self.norms, self.skipped = list(state["losses"]), list(state["norms"]), int(state["skipped"])
