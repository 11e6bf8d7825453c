"""Guards of a training step: what is not finite, or far above the last steps, is not applied.

A spike passes.  Where step after step is refused although the weights stand still, the data have changed (a source has
reached its max_epochs): ``LASTING_STEPS`` in a row are the new level, by which the next ones are judged.

Source of the rule: OLMo-core's skip-step optimizer (a window of losses and gradient norms, a bound in deviations).
"""

import math
from dataclasses import dataclass, field
from statistics import fmean, pstdev
from typing import Any

WINDOW_STEPS = 128
MINIMUM_STEPS = 64  # before that, a bound in deviations means nothing
LASTING_STEPS = 8


@dataclass
class Guard:
    """Judges each step by the ones before it.

    Attributes:
        spike_sigmas: Deviations above the window's mean from which a value is a spike.
        losses: Losses of the last steps that were applied.
        norms: Their gradient norms.
        skipped: Steps skipped in all.
        refused: Loss and norm of the finite steps that were refused in a row, up to the last one.
        sound: Whether the weights at hand are: they gave finite values since they were last changed, or none as yet.
    """

    spike_sigmas: float
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    skipped: int = 0
    refused: list[tuple[float, float]] = field(default_factory=list)
    sound: bool = True
    _tried: bool = field(default=False, repr=False, compare=False)

    def refuse(self, loss: float, norm: float) -> str | None:
        """Why this step must not be applied, or None; counts and remembers it."""
        reason, finite = None, math.isfinite(loss) and math.isfinite(norm)
        for name, value, window in (("loss", loss, self.losses), ("gradient norm", norm, self.norms)):
            if not math.isfinite(value):
                reason = reason or f"{name} is {value}"
            elif len(window) >= MINIMUM_STEPS and value > self.bound(window):
                reason = reason or f"{name} {value:.4g} is a spike above {self.bound(window):.4g}"
        if reason is None:
            self.losses = [*self.losses, loss][-WINDOW_STEPS:]
            self.norms = [*self.norms, norm][-WINDOW_STEPS:]
            self.refused, self.sound, self._tried = [], True, False  # other weights from here on
            return None
        self.skipped += 1
        self._tried = self._tried or finite
        self.sound = self._tried
        if finite:
            self._begin_anew_if_it_lasts(loss, norm)
        return reason

    def _begin_anew_if_it_lasts(self, loss: float, norm: float) -> None:
        self.refused = [*self.refused, (loss, norm)]
        if len(self.refused) == LASTING_STEPS:
            self.losses, self.norms = ([pair[n] for pair in self.refused] for n in (0, 1))
            self.refused = []

    def bound(self, window: list[float]) -> float:
        """Largest value that is no spike; never below 1.5 times the mean, so that a flat window is no trap."""
        mean = fmean(window)
        return max(mean + self.spike_sigmas * pstdev(window), 1.5 * mean)

    def state(self) -> dict[str, Any]:
        """What a checkpoint stores."""
        return {"losses": self.losses, "norms": self.norms, "skipped": self.skipped, "refused": self.refused}

    def load(self, state: dict[str, Any]) -> None:
        """The inverse of ``state``."""
        self.losses, self.norms, self.skipped = list(state["losses"]), list(state["norms"]), int(state["skipped"])
        self.refused = [(loss, norm) for loss, norm in state.get("refused", [])]
