"""Everything that can be refused, refused before anything starts: by ``--dry-run``, and by a real run."""

from collections.abc import Iterator, Sequence

from pipeline.base.errors import UserError
from pipeline.run.engines.options import EngineOptions
from pipeline.run.folder import Run
from pipeline.run.stages import StagePlan


def refuse_what_cannot_work(run: Run, plans: Sequence[StagePlan], engine: EngineOptions) -> None:
    """Asks every stage that has work, or may have, what it would refuse in its turn.

    Raises:
        UserError: With everything that was found.
    """
    if problems := what_cannot_work(run, plans, engine):
        raise UserError(problems)


def what_cannot_work(run: Run, plans: Sequence[StagePlan], engine: EngineOptions) -> str:
    """All that the stages with work would refuse, a line each; empty where they can work."""
    working = [planned.stage for planned in plans if planned.state != "done"]
    if not working:
        return ""
    refused = [words for planned in plans if planned.state == "refused" for words in planned.reasons.values()]
    from pipeline.run.engines import why_not

    problems = [*why_not(engine), *refused, *(words for stage in working for words in _of_stage(stage, run))]
    return "\n".join(dict.fromkeys(problems))


def _of_stage(stage: str, run: Run) -> Iterator[str]:
    if stage == "train":
        from model.training.refusals import of_training

        yield from of_training(run)
    else:
        from pipeline.preview import refusals

        yield from refusals.of_stage(stage, run)
