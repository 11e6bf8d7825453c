"""Begins the first work of a run before whoever watches it is there: Prefect takes seconds to start.

``begin`` looks for the first step with work, as a plan does, and hands its first jobs to the pool.  The stage finds
them there: its context counts a job that was begun as work of its own, and ``Pool.run`` takes its result.  Only what
was never made is begun: what takes the place of something else waits for the step itself, which first removes shards
that are no longer part of the run.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.base.pool import Pool
from pipeline.run import step_digests
from pipeline.run.context import NOT_MADE, Context, NeedsWork
from pipeline.run.engine import Job, Step, load_function, run_job
from pipeline.run.folder import Run
from pipeline.run.manifest import Manifest

JOBS_PER_WORKER = 8  # that wait in the pool: more than it does while Prefect starts


@dataclass(frozen=True)
class Begun:
    """Jobs that were begun.

    Attributes:
        stage: Of which stage.
        at: When, by ``time.perf_counter``.
        jobs: Name of the step, and the job.
    """

    stage: str
    at: float
    jobs: list[tuple[str, Job]]


class _Beginning(Context):
    """Looks for work, and begins it."""

    def __init__(self, run: Run, pool: Pool) -> None:
        super().__init__(run, dry=True)
        self._workers, self.jobs = pool, list[tuple[str, Job]]()

    def run_steps(self, *work: tuple[Step, Iterable[Job]]) -> list[dict[str, Manifest]]:
        """Begins the first step that has work, and ends the look with ``NeedsWork``."""
        if len(work) == 1:  # else each comes by itself
            step, jobs = work[0][0], list(work[0][1])
            found = self._compare(step, jobs)
            if {*found.reasons.values()} == {NOT_MADE}:
                self._begin(step, found.undone())
            work = ((step, jobs),)
        return super().run_steps(*work)

    def _begin(self, step: Step, jobs: list[Job]) -> None:
        step_digests.forget(self.root, step.name)  # the manifests of its shards change from here on
        begun = jobs[: JOBS_PER_WORKER * self._workers.workers]
        self._workers.begin(run_job, [(self.root, step, job) for job in begun])
        self.jobs = [(step.name, job) for job in begun]


def begin(run: Run, stages: Sequence[str], functions: Mapping[str, str], pool: Pool) -> Begun | None:
    """Begins the first jobs of the first of ``stages`` that has work; None where there are none to begin.

    Args:
        run: The run, which this process has locked.
        stages: In their order.
        functions: Name of the function of each.
        pool: Where they are begun; ``close`` or ``kill`` it if they are not asked for.
    """
    context = _Beginning(run, pool)
    if context.takedown:  # what was taken down is blanked by the stage
        return None
    for stage in stages:
        at = time.perf_counter()
        try:
            load_function(functions[stage])(context)
        except NeedsWork:
            return Begun(stage, at, context.jobs) if context.jobs else None
    return None
