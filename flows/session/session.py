"""What the flows of one run share: its lock, its workers, its progress and its artifacts.

The outermost flow opens the session; a sub-flow of the same run finds it open and goes on in it, so that
``end_to_end`` holds one lock and one pool while ``curate`` and ``pretrain`` do the work, and each of them can also be
run alone.  Only the outermost flow reads the recipe, by its path: a deployment can give it nothing else.
"""

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from prefect.runtime import flow_run

from flows.display.terminal import Terminal, tell
from flows.server.dead_runs import claim_run
from flows.server.in_service import in_service
from flows.server.lost_server import interruptible, is_lost, told_if_possible
from flows.session.ahead import take
from flows.session.artifacts import Artifacts
from flows.session.refusals import refuse_what_cannot_work
from flows.session.stages import loaded_for, plan, run_stage, working_context
from pipeline.base import storage
from pipeline.base.progress import Progress
from pipeline.recipe.load import load_recipe
from pipeline.run.ahead import Begun
from pipeline.run.context import Workers
from pipeline.run.engines import EngineOptions, make_workers
from pipeline.run.folder import Run
from pipeline.run.stages import chosen_stages


@dataclass
class Session:
    """An open run: every stage runs in it."""

    run: Run
    workers: Workers
    progress: Progress
    artifacts: Artifacts
    rebuild: bool
    restart: bool
    summaries: dict[str, dict[str, Any]] = field(default_factory=dict)
    begun: Begun | None = None

    def run_stage(self, stage: str) -> dict[str, Any]:
        """Runs a stage, and goes on with what was begun of it."""
        begun = self.begun if self.begun and self.begun.stage == stage else None
        if begun:
            self.begun = None  # a second try finds what is finished by its manifests
        context = working_context(
            self.run, self.workers, self.progress, rebuild=self.rebuild, restart=self.restart, begun=begun
        )
        return run_stage(stage, context, begun.at if begun else None)


# Summaries of the last session by run folder, for the session that goes on where a lost server broke it off.  The
# process is their scope: the flow is called again in it (flows/server/lost_server.py), with the same parameters only.
_finished: dict[str, dict[str, dict[str, Any]]] = {}
_open: ContextVar[Session | None] = ContextVar("tokenmill_session", default=None)


def current() -> Session:
    """The open session; a task finds it here, since Prefect would look through it as an argument."""
    opened = _open.get()
    if opened is None:
        raise RuntimeError("no session is open: stage tasks run inside a flow of flows/")
    return opened


@contextlib.contextmanager
def session(
    recipe: str,
    root: str,
    overrides: Sequence[str],
    workers: int,
    engine: EngineOptions,
    rebuild: bool,
    stages: Sequence[str],
    restart: bool = False,
) -> Iterator[Session]:
    """Joins the open session of this run, or opens one: takes the lock, repairs dead records, starts the workers.

    Raises:
        UserError: If the recipe is wrong, lacks one of ``stages``, or planning them shows that they cannot run; the
            recipe of the run is the earlier one then.
        RunError: If another process works on the run folder, and this is no flow run of a deployment, which waits.
    """
    root = storage.absolute(root)
    outer = _open.get()
    if outer is not None and outer.run.root == root:
        with interruptible():
            yield outer
        return
    run = Run(root, load_recipe(recipe, overrides))
    ahead = take(run)
    if ahead is None:
        run.refuse_foreign()
    with (
        in_service(),
        interruptible(),
        ahead.lock if ahead else run.lock(tell),
        Artifacts() as artifacts,
        contextlib.ExitStack() as held,
    ):
        if not is_lost():
            with told_if_possible():
                claim_run(root, UUID(flow_run.get_id()))
        loads: list[str] = []
        if ahead is None:
            plans = plan(run, chosen_stages(run, list(stages)), rebuild=rebuild, restart=restart)
            refuse_what_cannot_work(run, plans, engine)  # before the recipe is written
            run.write_recipe()
            loads = loaded_for(planned.stage for planned in plans if planned.state != "done")
        pool = held.enter_context((ahead and ahead.workers) or make_workers(engine, workers, loads))
        progress = held.enter_context(Terminal(artifacts.update))
        summaries = _finished.pop(root, {}) if is_lost() else {}
        begun = ahead.begun if ahead else None
        opened = Session(run, pool, progress, artifacts, rebuild, restart, summaries, begun)
        token = _open.set(opened)
        try:
            yield opened
        finally:
            _open.reset(token)
            _finished.clear()
            _finished[root] = opened.summaries
