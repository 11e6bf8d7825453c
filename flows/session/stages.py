"""The stages by name: the one place that knows them all.

The functions are named, not imported: planning a finished run must not load a compiler or a model.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from pipeline.base.pool import Pool
from pipeline.base.progress import Progress
from pipeline.recipe.stage_names import CURATION
from pipeline.run import ahead, checkpoints, stages
from pipeline.run.ahead import Begun
from pipeline.run.checkpoints import TRAIN
from pipeline.run.context import Context, Workers
from pipeline.run.folder import Run
from pipeline.run.manifest import sound_manifest
from pipeline.run.stages import StagePlan
from pipeline.takedown import BLANK

STAGES = {
    "clean": "pipeline.clean.stage:run",
    "dedup": "pipeline.dedup.stage.plan:run",
    "filter": "pipeline.filter.stage:run",
    "tokenize": "pipeline.tokens.stage:run",
    "train": "model.stage:run",
    "report": "pipeline.report.stage:run",
}
# what the fork server loads for the workers of a stage: the first of them a second of Numba and libraries
LOADED = {
    "clean": ("pipeline.clean.worker",),
    "dedup": ("pipeline.dedup.stage.signatures", "pipeline.dedup.stage.select"),
    "filter": ("pipeline.filter.worker",),
    "tokenize": ("pipeline.tokens.encode", "pipeline.tokens.tokenizer.training"),
}


def loaded_for(working: Iterable[str]) -> list[str]:
    """Modules that the workers of these stages need."""
    return [name for stage in working for name in LOADED.get(stage, ())]


def working_context(
    run: Run,
    workers: Workers,
    progress: Progress | None = None,
    *,
    rebuild: bool = False,
    restart: bool = False,
    begun: Begun | None = None,
) -> Context:
    """A context whose stages do work; what was taken down of the run stays out of what they write."""
    jobs = begun.jobs if begun else ()
    return Context(run, workers, progress, rebuild=rebuild, restart=restart, before_publish=BLANK, begun=jobs)


def plan(run: Run, chosen: list[str], *, rebuild: bool = False, restart: bool = False) -> list[StagePlan]:
    """What each stage would do; see ``pipeline.run.stages.plan``."""
    return stages.plan(run, chosen, STAGES, rebuild=rebuild, restart=restart)


def replacements(run: Run, plans: list[StagePlan]) -> list[StagePlan]:
    """The plans, with a word on the finished model where it depends on tokens that may come out different."""
    working = next((planned.stage for planned in plans if planned.state == "run"), None)
    found = sound_manifest(run.root, *TRAIN)
    standing = checkpoints.standing(run.root)
    if working not in CURATION or found is None or not standing:
        return plans
    model = f"the finished model {standing[max(standing)]} was trained on the tokens that are there: if they come out"
    trains = any(planned.stage == "train" for planned in plans)
    after = "train replaces it once its own first checkpoint is complete" if trains else "it stays"
    text = (
        f"{model} different, {after}; as long as it stands, sample and export use the tokenizer that it carries, while "
        "eval, trace, explain and licences say that its tokens are gone"
    )
    last = "train" if trains else working
    return [replace(planned, replaces=text) if planned.stage == last else planned for planned in plans]


def begin(run: Run, working: Sequence[str], pool: Pool) -> Begun | None:
    """Begins the first jobs of the stages with work; see ``pipeline.run.ahead.begin``."""
    return ahead.begin(run, working, STAGES, pool)


def run_stage(stage: str, context: Context, began: float | None = None) -> dict[str, Any]:
    """Runs one stage and returns its summary; see ``pipeline.run.stages.run_stage``."""
    return stages.run_stage(stage, STAGES[stage], context, began)
