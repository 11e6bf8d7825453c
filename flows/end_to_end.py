"""The whole job as one Prefect flow run: a task a stage, each with a progress artifact.

Prefect observes; the manifests decide.  Tasks take and return small dicts, never data; nothing is cached or persisted
by Prefect.  What a stage does is in pipeline/ and model/.
"""

from typing import Any, Literal, cast
from uuid import UUID

from prefect import flow, task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from pydantic import BaseModel, Field

from flows.repair import crash_dead_runs
from flows.show import Terminal, shown
from pipeline.engine import Context
from pipeline.pool import Pool
from pipeline.recipe import load_recipe
from pipeline.run import Run
from pipeline.stages import chosen_stages, run_stage


class RunParameters(BaseModel):
    """Parameters of a run, as the form in Prefect's page shows them."""

    recipe: str = Field(description="path or URL of the recipe, a TOML file")
    root: str = Field(description="run folder: a local path or an fsspec URL")
    overrides: list[str] = Field(default_factory=list, description="KEY=VALUE pairs that override the recipe")
    stages: list[Literal["clean", "dedup", "filter", "tokenize", "train", "report"]] = Field(
        default_factory=list, description="stages to run; empty: all of the recipe"
    )
    workers: int = Field(0, ge=0, description="worker processes; 0: one for each processor")
    rebuild: bool = Field(False, description="rebuild what was made with other library versions")


class StageArtifact:
    """One progress artifact for each stage, updated as its shards finish."""

    def __init__(self) -> None:
        self._ids: dict[str, UUID] = {}

    def start(self, stage: str) -> None:
        """Creates the artifact at 0 %."""
        made = create_progress_artifact(0.0, key=f"tokenmill-{stage}", description=f"{stage}: started")
        self._ids[stage] = cast(UUID, made)  # a coroutine only inside an async flow

    def update(self, stage: str, share: float, text: str) -> None:
        """Sets the artifact's percentage."""
        if stage in self._ids:
            update_progress_artifact(self._ids[stage], progress=round(100.0 * share, 1), description=text)


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="{stage}")
def stage_task(stage: str, context: Context, artifact: StageArtifact) -> dict[str, Any]:
    """Runs one stage."""
    artifact.start(stage)
    summary = run_stage(stage, context)
    artifact.update(stage, 1.0, f"{stage}: {summary['shards']} shards, {summary['skipped_shards']} of them done before")
    return summary


@flow(name="end_to_end", persist_result=False, validate_parameters=True)
def end_to_end(parameters: RunParameters) -> dict[str, dict[str, Any]]:
    """Raw files to a checkpoint and a report: every stage of the recipe that is not done yet."""
    run = Run(parameters.root, load_recipe(parameters.recipe, parameters.overrides))
    artifact = StageArtifact()
    summaries: dict[str, dict[str, Any]] = {}
    with run.lock(), Pool(parameters.workers or None) as pool, Terminal(artifact.update) as progress:
        crash_dead_runs(run.root, UUID(flow_run.get_id()))
        run.write_recipe()
        for stage in chosen_stages(run, list(parameters.stages)):
            context = Context(run, pool, progress, rebuild=parameters.rebuild)
            summaries[stage] = stage_task(stage, context, artifact)
    create_table_artifact(key="tokenmill-funnel", table=funnel_rows(summaries), description="what each stage kept")
    create_markdown_artifact(f"Report: `{run.url('report/index.html')}`", key="tokenmill-report")
    return summaries


def funnel_rows(summaries: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The funnel as rows of a table: one for each stage, its plain numbers only."""
    rows = []
    for stage, summary in summaries.items():
        figures = [f"{k} {shown(v)}" for k, v in summary.items() if isinstance(v, int | float | str)]
        rows.append({"stage": stage, "figures": ", ".join(figures)})
    return rows
