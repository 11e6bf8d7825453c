"""Which checkpoints there are, by their steps, and which of them are kept.  No torch."""

from collections.abc import Collection, Sequence

from pipeline.recipe.training_options import Train
from pipeline.run import checkpoints


def complete_steps(root: str) -> list[int]:
    """Steps of the complete checkpoints of a run, in order."""
    return list(checkpoints.standing(root))


def next_start(root: str) -> str:
    """Where the next start of the training at work begins, as half a sentence."""
    replaced = checkpoints.succession(root).replaces  # of another training, as long as they stand
    own = [step for step in complete_steps(root) if step not in replaced]
    return f"the next start begins at step {max(own, default=0):,}"


def is_asked_for(step: int, train: Train) -> bool:
    """Whether the recipe asks for a checkpoint at this step: not a signal, the clock or a validation."""
    every = train.checkpoint_every_steps
    return step == train.steps or (every > 0 and step % every == 0)


def kept_steps(steps: Sequence[int], train: Train, also: Collection[int | None] = ()) -> set[int]:
    """The checkpoints that a recipe keeps: those it asks for, and what a stop would lose beyond them.

    Checkpoints that a signal or the clock made, and those that were the best once, are there to go on from.  They go
    when one that the recipe asks for is behind them, so that a finished training leaves the same ones however often it
    was stopped, and however long it took.

    Args:
        steps: Steps of complete checkpoints.
        train: The recipe's policy.
        also: Steps that are kept for a reason of their own.
    """
    asked = sorted(step for step in steps if is_asked_for(step, train))
    extra = sorted(step for step in steps if step > max(asked, default=-1))
    room = max(1, train.keep_last - len(asked))
    milestones = {step for step in asked if train.keep_every_steps and step % train.keep_every_steps == 0}
    return {*asked[-train.keep_last :], *extra[-room:], *milestones, *(step for step in steps if step in also)}
