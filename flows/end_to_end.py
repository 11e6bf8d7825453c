"""The whole job and its two halves as Prefect flows: ``curate``, ``pretrain``, and ``end_to_end`` over both.

Prefect observes; the manifests decide.  Tasks take and return small dicts, never data; nothing is cached or persisted
by Prefect.  What a stage does is in pipeline/ and model/.
"""

from typing import Any, cast

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from flows.server.lost_server import is_lost, observed
from flows.session.bounded import bounded
from flows.session.parameters import (
    LOCAL,
    NONE,
    CurationStages,
    Engine,
    Location,
    Overrides,
    Stages,
    WorkerCount,
)
from flows.session.run_names import run_name
from flows.session.session import Session, current, session
from pipeline.base.errors import PassingError
from pipeline.base.words import counted
from pipeline.recipe.stage_names import CURATION
from pipeline.run.stages import chosen_stages

Summaries = dict[str, dict[str, Any]]


def passes(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """True for an error of reading or writing that may pass: no other is worth another try."""
    return isinstance(state.result(raise_on_failure=False), PassingError | ConnectionError | TimeoutError)


@task(
    cache_policy=NO_CACHE,
    persist_result=False,
    task_run_name="{stage}",
    retries=2,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=passes,
)
def stage_task(stage: str) -> dict[str, Any]:
    """Runs one stage of the open session; what an earlier try finished is skipped by its manifests."""
    opened = current()
    opened.artifacts.start(stage)
    summary = opened.run_stage(stage)
    opened.artifacts.update(
        stage, 1.0, f"{stage}: {counted(summary['shards'], 'shard')}, {summary['skipped_shards']} of them done before"
    )
    return summary


def _run_stages(opened: Session, stages: list[str]) -> Summaries:
    for stage in stages:
        if not (is_lost() and stage in opened.summaries):  # finished before the server was lost
            opened.summaries[stage] = observed(stage_task, stage)
    return {stage: opened.summaries[stage] for stage in stages}


@bounded
@flow(name="curate", flow_run_name=run_name, persist_result=False)
def curate(
    recipe: Location,
    root: Location,
    overrides: Overrides = NONE,
    stages: CurationStages = NONE,
    workers: WorkerCount = 0,
    engine: Engine = LOCAL,
    rebuild: bool = False,
) -> Summaries:
    """Raw files to token shards: clean, dedup, filter and tokenize, as far as the recipe has them.

    Args:
        recipe: Path or URL of the recipe, a TOML file.
        root: Run folder: a local path or an fsspec URL such as s3://bucket/run.
        overrides: KEY=VALUE pairs that override the recipe, such as dedup.threshold=0.75.
        stages: Stages to run; empty: all of the recipe.
        workers: Worker processes, or shards at a time on a cluster; 0: one for each processor.
        engine: Where the shards are worked on.
        rebuild: Rebuild what was made with other library versions.
    """
    with session(recipe, root, overrides, workers, engine, rebuild, stages) as opened:
        chosen = [stage for stage in chosen_stages(opened.run, list(stages)) if stage in CURATION]
        summaries = _run_stages(opened, chosen)
        opened.artifacts.funnel(opened.summaries)
        return summaries


@bounded
@flow(name="pretrain", flow_run_name=run_name, persist_result=False)
def pretrain(
    recipe: Location,
    root: Location,
    overrides: Overrides = NONE,
    workers: WorkerCount = 0,
    engine: Engine = LOCAL,
    rebuild: bool = False,
    restart: bool = False,
) -> Summaries:
    """Token shards to a checkpoint: the training stage of the recipe, resumed from its last checkpoint.

    Args:
        recipe: Path or URL of the recipe, a TOML file.
        root: Run folder with finished token shards.
        overrides: KEY=VALUE pairs that override the recipe, such as train.steps=1000.
        workers: Worker processes; 0: one for each processor.
        engine: Where the work is done.
        rebuild: Rebuild what was made with other library versions.
        restart: Begin the training anew; the finished model goes when the first new checkpoint is complete.
    """
    with session(recipe, root, overrides, workers, engine, rebuild, ["train"], restart) as opened:
        summaries = _run_stages(opened, ["train"])
        opened.artifacts.loss_curve(opened.run)
        return summaries


@bounded
@flow(name="end_to_end", flow_run_name=run_name, persist_result=False)
def end_to_end(
    recipe: Location,
    root: Location,
    overrides: Overrides = NONE,
    stages: Stages = NONE,
    workers: WorkerCount = 0,
    engine: Engine = LOCAL,
    rebuild: bool = False,
    restart: bool = False,
) -> Summaries:
    """Raw files to a checkpoint and a report: every stage of the recipe that is not done yet.

    Args:
        recipe: Path or URL of the recipe, a TOML file.
        root: Run folder: a local path or an fsspec URL such as s3://bucket/run.
        overrides: KEY=VALUE pairs that override the recipe, such as train.steps=1000.
        stages: Stages to run; empty: all of the recipe.
        workers: Worker processes, or shards at a time on a cluster; 0: one for each processor.
        engine: Where the shards are worked on.
        rebuild: Rebuild what was made with other library versions.
        restart: Begin the training anew; the finished model goes when the first new checkpoint is complete.
    """
    with session(recipe, root, overrides, workers, engine, rebuild, stages, restart) as opened:
        chosen = chosen_stages(opened.run, list(stages))
        curation = cast(CurationStages, [stage for stage in chosen if stage in CURATION])
        summaries: Summaries = {}
        if curation:
            summaries |= observed(curate, recipe, root, overrides, curation, workers, engine, rebuild)
        if "train" in chosen:
            summaries |= observed(pretrain, recipe, root, overrides, workers, engine, rebuild, restart)
        if "report" in chosen:
            summaries |= _run_stages(opened, ["report"])
        opened.artifacts.report_link(opened.run)
        return summaries
