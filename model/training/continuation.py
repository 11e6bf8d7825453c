"""Whether a training has to run, from which checkpoint, and what it replaces; or why it may not.  No torch.

What is finished stays until its successor is complete (pipeline/run/checkpoints.py), and nobody's settings change what
it is: a training that was made with other settings is refused, with each key, unless ``--restart`` says to begin anew.
More steps go on from a checkpoint that lies on the way of both: with wsd each one before the rate begins to fall.
Tokens that came out different are no setting: a finished training is then made anew, and the plan says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.training.job import SHARD, STEP, Training, keys_of, unfinished
from model.updates.schedule import last_stable_step, warmup_steps
from pipeline.base.errors import UserError
from pipeline.base.words import counted
from pipeline.run import checkpoints, layout
from pipeline.run import manifest as manifests
from pipeline.run.checkpoints import Succession
from pipeline.run.folder import Run

NONE = Succession()
RESTARTED = "--restart: it begins anew"
NAMED = 3  # keys that a message names


@dataclass(frozen=True)
class Continuation:
    """How a training goes on.

    Attributes:
        reason: Why it has to run; None where it is finished.
        steps: Its own checkpoints, from which it may go on.
        succession: Who it is and which checkpoints it replaces; empty for a training that replaces none.
    """

    reason: str | None
    steps: tuple[int, ...] = ()
    succession: Succession = NONE

    def start(self, *, previous: bool = False) -> int | None:
        """The checkpoint to go on from, the one before the last if asked; None: from the first step.

        Raises:
            UserError: If there is none before the last.
        """
        if previous and len(self.steps) < 2:
            raise UserError(f"--previous: no checkpoint before the last one in {layout.CHECKPOINTS}")
        return None if not self.steps else self.steps[-2 if previous else -1]


def continuation(
    run: Run, training: Training, *, restart: bool = False, rebuild: bool = False, previous: bool = False
) -> Continuation:
    """Decides how the training of a run goes on; with ``previous`` the last checkpoint, maybe damaged, is not read.

    Raises:
        UserError: If checkpoints are there that it may neither go on from nor replace.
    """
    standing = checkpoints.standing(run.root)
    under_way = checkpoints.succession(run.root)
    reason = unfinished(run, training, rebuild=rebuild)
    if under_way.training == training.trajectory and reason is not None:
        own = _own(run, training, [step for step in standing if step not in under_way.replaces])
        return Continuation(reason, own, under_way)
    if restart:
        return Continuation(RESTARTED, (), Succession(training.trajectory, tuple(standing)))
    if reason is None or not standing:
        return Continuation(reason)
    own, last, finished = _own(run, training, list(standing), but=previous), max(standing), _finished(run)
    if previous and not finished:
        return Continuation(reason, own)
    changed = _changed(run, training, finished=finished)
    if own and own[-1] == last and not (finished and changed):
        return Continuation(reason, own)
    if own and training.recipe.steps > last:  # extended
        return Continuation(reason, own, Succession(training.trajectory, tuple(s for s in standing if s not in own)))
    if finished and not changed:  # other tokens, or another version of the training itself
        return Continuation(reason, (), Succession(training.trajectory, tuple(standing)))
    raise UserError(_refusal(run, training, standing[last], changed, last))


def replaces_text(root: str, way: Continuation) -> str:
    """Which finished work goes, and when, in a sentence; empty if none does."""
    steps, standing = way.succession.replaces, checkpoints.standing(root)
    if not steps:
        return ""
    paths = ", ".join(standing.get(step, layout.checkpoint(step)) for step in steps)
    return (
        f"{paths}: replaced as soon as the first checkpoint of this training is complete; until then sample, eval, "
        "export and trace go on using what is there"
    )


def _own(run: Run, training: Training, steps: Sequence[int], *, but: bool = False) -> tuple[int, ...]:
    """The checkpoints that lie on the way of this training; ``but`` takes the last one for its own unread."""
    known = {steps[-1]} if but else set()
    return tuple(step for step in steps if step in known or training.led_to(checkpoints.read_state(run.root, step)))


def _finished(run: Run) -> bool:
    """Whether a manifest says so; a damaged one does not, and its checkpoints are gone on from as they are."""
    return manifests.sound_manifest(run.root, STEP.name, SHARD) is not None


def _changed(run: Run, training: Training, *, finished: bool) -> dict[str, tuple[Any, Any]]:
    """Key -> was, is, of each setting with which the last checkpoint was made; empty where none is known to differ."""
    found = manifests.sound_manifest(run.root, STEP.name, SHARD) if finished else None
    was = (
        found.config
        if found is not None
        else checkpoints.recorded(run.root, max(checkpoints.standing(run.root)))["config"]
    )
    return keys_of(was, training.job.config)


def _refusal(run: Run, training: Training, path: str, changed: Mapping[str, tuple[Any, Any]], last: int) -> str:
    state = "finished training" if _finished(run) else "unfinished training"
    where = f"{run.url(path)}: the {state} of this run"
    ways = (
        "It stays as it is. Restore the settings to use it or to go on with it; or train anew in another run folder "
        "(--root); or add --restart: the new training then takes its place once its first checkpoint is complete"
    )
    if not changed:
        return f"{where} was made from {_other_tokens(run, training, last)}. {ways}"
    pairs = [f"{_setting(key, was)}, and the recipe now asks for {_asked(now)}" for key, (was, now) in changed.items()]
    more = f"; and {counted(len(pairs) - NAMED, 'other key')}" if len(pairs) > NAMED else ""
    why = f" {_why_not(training, changed, last)}" if set(changed) <= {"train.steps", "train.warmup_steps"} else ""
    return f"{where} was made with {'; with '.join(pairs[:NAMED])}{more}.{why} {ways}"


def _setting(key: str, was: Any) -> str:
    return f"{key} left out" if was is None else f"{key} = {was!r}"


def _asked(now: Any) -> str:
    return "none" if now is None else repr(now)


def _other_tokens(run: Run, training: Training, last: int) -> str:
    was, now = checkpoints.recorded(run.root, last)["inputs"], training.tokens
    paths = [path for path in sorted(was.keys() | now.keys()) if was.get(path) != now.get(path)]
    if not was or not paths:
        return "other tokens or with other [train] settings than the recipe asks for"
    named = [f"{path} (digest {was.get(path, 'none')}, now {now.get(path, 'none')})" for path in paths[:NAMED]]
    more = f" and {counted(len(paths) - NAMED, 'other file')}" if len(paths) > NAMED else ""
    return f"other tokens than stand in the run folder now: {', '.join(named)}{more}"


def _why_not(training: Training, changed: Mapping[str, tuple[Any, Any]], last: int) -> str:
    """Why a training of other steps cannot go on from the checkpoints there are."""
    recipe = training.recipe
    was = recipe.model_copy(update={key.removeprefix("train."): old for key, (old, _) in changed.items()})
    if recipe.steps <= last:
        return f"A model of {last:,} steps cannot be taken back to {recipe.steps:,}."
    if recipe.schedule != "wsd":
        return (
            f"With train.schedule = {recipe.schedule!r} the rate of each step depends on train.steps, so a training of "
            f"{recipe.steps:,} steps takes another way from the start; one with 'wsd' can be extended."
        )
    if warmup_steps(was) != warmup_steps(recipe):
        return (
            f"Its warm-up took {warmup_steps(was):,} steps, and would now take {warmup_steps(recipe):,} (a twentieth "
            f"of train.steps unless it is given): to extend it, add --set train.warmup_steps={warmup_steps(was)}."
        )
    return f"Its rate fell from step {last_stable_step(was):,} on, and no checkpoint up to there is left to go on from."
