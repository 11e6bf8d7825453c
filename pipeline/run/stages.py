"""The plan of a run, and the running of one stage: what is done, what will run, and why.

A stage is a function ``run(context) -> summary``.  Its name ``module:run`` is given by the caller
(flows/session/stages.py has them all): this floor knows no stage, and planning a finished run must not
load a compiler or a model.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.base.errors import UnansweredError, UserError
from pipeline.base.words import counted, nearest
from pipeline.run import logs
from pipeline.run.context import Context, NeedsWork
from pipeline.run.engine import load_function
from pipeline.run.folder import Run
from pipeline.run.logs import Attempt
from pipeline.run.outcome import outcome_lines


@dataclass(frozen=True)
class StagePlan:
    """What a stage will do: its state ("done", "run", "after" or "refused"), the step, and the cause for each shard.

    Of a stage that refuses what it is asked for, the one cause says why.  ``replaces`` says which finished work goes,
    or may go; empty where none does.  ``what`` is there to do, where it is not counted in shards.
    """

    stage: str
    state: str
    step: str = ""
    shards_total: int = 0
    reasons: dict[str, str] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    replaces: str = ""
    what: str = ""

    def line(self) -> str:
        """The plan of this stage in one line."""
        if self.state == "done":
            return f"{self.stage:9} done, skipped"
        if self.state == "after":
            return f"{self.stage:9} to be checked after {self.step}"
        if self.state == "refused":
            return f"{self.stage:9} would be refused"
        shards = f"{self.step} {len(self.reasons):,} of {counted(self.shards_total, 'shard')}"
        causes = list(dict.fromkeys(self.reasons.values()))
        more = f" and {counted(len(causes) - 1, 'other cause')}" if len(causes) > 1 else ""
        return f"{self.stage:9} runs: {self.what or shards} ({causes[0]}{more})"


def chosen_stages(run: Run, only: list[str] | None) -> list[str]:
    """The recipe's stages, or those of them that were asked for.

    Raises:
        UserError: If one is not a stage of this recipe.
    """
    if not only:
        return list(run.recipe.stages)
    unknown = [stage for stage in only if stage not in run.recipe.stages]
    if unknown:
        problems = "; ".join(
            f"{stage!r} is no stage of this recipe{nearest(stage, run.recipe.stages)}" for stage in unknown
        )
        raise UserError(f"--stages {','.join(only)}: {problems}; its stages are {','.join(run.recipe.stages)}")
    return [stage for stage in run.recipe.stages if stage in only]


def plan(
    run: Run, stages: list[str], functions: Mapping[str, str], *, rebuild: bool = False, restart: bool = False
) -> list[StagePlan]:
    """Finds out, without writing or computing anything, what each stage would do; ``functions`` is stage -> name.

    A stage that refuses what it is asked for is planned as "refused", with its words as the cause.
    """
    plans: list[StagePlan] = []
    blocked = ""
    for stage in stages:
        if blocked:
            plans.append(StagePlan(stage, "after", step=blocked))
            continue
        context = Context(run, dry=True, rebuild=rebuild, restart=restart)
        try:
            plans.append(StagePlan(stage, "done", summary=load_function(functions[stage])(context)))
        except NeedsWork as work:
            plans.append(
                StagePlan(stage, "run", work.step, work.total, work.reasons, replaces=work.replaces, what=work.what)
            )
            blocked = stage
        except UserError as error:
            plans.append(StagePlan(stage, "refused", reasons={stage: str(error)}))
            blocked = stage
    return plans


def run_stage(stage: str, function: str, context: Context, began: float | None = None) -> dict[str, Any]:
    """Runs one stage and returns its summary with ``seconds``, ``shards`` and ``skipped_shards``.

    Seconds are remembered in the run's logs, over all attempts, so that a later look at a finished run can tell them;
    and so is why the stage failed, until it does not.

    Args:
        stage: Its name.
        function: Name of its function.
        context: What it is given.
        began: When its first jobs were begun, by ``time.perf_counter``; None: none were (pipeline/run/ahead.py).
    """
    context.progress.stage_started(stage)
    context.begin(attempt := Attempt(context.run, stage, began=began))
    try:
        summary = load_function(function)(context)
    except BaseException as error:
        _remember_end(context, attempt, stage, error)
        raise
    logs.forget_failures(context.run, [stage])
    worked, took = context.shards_run > 0, attempt.seconds
    seconds = attempt.finished(worked=worked, goes_on=context.goes_on)
    context.progress.stage_finished(stage, took, earlier=attempt.interrupted_seconds, worked=worked)
    for line in outcome_lines(stage, summary):
        context.progress.note(line)
    if worked:
        logs.remember_environment(context.run, stage)
    shards = {"shards": context.shards_run + context.shards_skipped, "skipped_shards": context.shards_skipped}
    return {"seconds": round(seconds, 3), **shards, **summary}


def _remember_end(context: Context, attempt: Attempt, stage: str, error: BaseException) -> None:
    """Records that, and when, a stage came to no good end."""
    try:
        if not isinstance(error, Exception):
            attempt.interrupted(goes_on=context.goes_on)
            return
        attempt.broken_off(goes_on=context.goes_on)
        logs.remember_failure(context.run, stage, error)
    except (OSError, UnansweredError) as second:  # of the same disk or store: the first error is the one to tell
        context.progress.note(f"{stage}: why it failed could not be written into the run folder: {second}")
