"""The stages by name: the one place that knows them all.

The functions are named, not imported: planning a finished run must not load a compiler or a model.
"""

from typing import Any

from pipeline.base.progress import Progress
from pipeline.run import stages
from pipeline.run.context import Context, Workers
from pipeline.run.folder import Run
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


def working_context(run: Run, workers: Workers, progress: Progress | None = None, *, rebuild: bool = False) -> Context:
    """A context whose stages do work; what was taken down of the run stays out of what they write."""
    return Context(run, workers, progress, rebuild=rebuild, before_publish=BLANK)


def plan(run: Run, chosen: list[str], *, rebuild: bool = False) -> list[StagePlan]:
    """What each stage would do; see ``pipeline.run.stages.plan``."""
    return stages.plan(run, chosen, STAGES, rebuild=rebuild)


def run_stage(stage: str, context: Context) -> dict[str, Any]:
    """Runs one stage and returns its summary; see ``pipeline.run.stages.run_stage``."""
    return stages.run_stage(stage, STAGES[stage], context)
