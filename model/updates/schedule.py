"""Learning-rate schedules: the rate of a step, relative to the peak, as a pure function of the step.

Sources: warm-up + cosine, Loshchilov & Hutter, arXiv:1608.03983; warm-up-stable-decay, Hu et al., arXiv:2404.06395.
"""

import math

from pipeline.recipe.training_options import Train

LONGEST_WARMUP_STEPS = 2_000


def warmup_steps(train: Train) -> int:
    """Steps of warm-up: the recipe's, or a twentieth of all steps, at most 2,000."""
    if train.warmup_steps is not None:
        return train.warmup_steps
    return min(LONGEST_WARMUP_STEPS, train.steps // 20)


def last_stable_step(train: Train) -> int:
    """After how many steps the rate of ``wsd`` begins to fall: until then it knows nothing of ``train.steps``."""
    return train.steps - round(train.steps * train.decay_share)


def misfit(train: Train) -> str:
    """What of the schedule does not go together, in a sentence; empty where it does."""
    warmup, schedule = warmup_steps(train), train.schedule
    until = last_stable_step(train) if schedule == "wsd" else train.steps
    if not train.steps or warmup <= until:
        return ""
    end = "the rate begins to fall" if schedule == "wsd" else "the training ends"
    return (
        f"train.warmup_steps = {warmup:,}: the warm-up is not over when {end}, at step {until:,} of {train.steps:,}, "
        f"so the rate never stands at its peak; at most {until:,} steps of warm-up fit"
    )


def rate_factor(step: int, train: Train) -> float:
    """The learning rate of step ``step`` (counted from 0), relative to its peak.

    Example:
        >>> train = Train(steps=100, warmup_steps=10, schedule="wsd", decay_share=0.5, final_learning_rate_ratio=0.0)
        >>> [round(rate_factor(step, train), 2) for step in (0, 9, 10, 49, 75, 99)]
        [0.1, 1.0, 1.0, 1.0, 0.5, 0.02]
    """
    warmup = warmup_steps(train)
    if step < warmup:
        return (step + 1) / warmup
    final = train.final_learning_rate_ratio
    if train.schedule == "cosine":
        share = (step - warmup) / max(1, train.steps - warmup)
        return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
    stable = last_stable_step(train)
    if step < stable:
        return 1.0
    left = (train.steps - step) / max(1, train.steps - stable)
    return final + (1.0 - final) * min(1.0, max(0.0, left))
