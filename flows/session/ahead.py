"""What the command does of a run before its flow: it holds the folder, and its workers begin while Prefect starts.

Prefect and its server take some four seconds to start, most of them on another processor.  The command has found out
by then what there is to do, so it begins the first jobs; the session of the flow takes all of it over.  A flow that is
not called by the command, as in a deployment, finds nothing here and does the same itself.
"""

import contextlib
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from flows.session.stages import begin, loaded_for
from pipeline.base.pool import Pool
from pipeline.run.ahead import Begun
from pipeline.run.engines.options import EngineOptions
from pipeline.run.folder import Run
from pipeline.run.stages import StagePlan


class Ahead:
    """A run folder that is locked, and workers that may have begun; whoever takes it over ends them.

    Args:
        run: The run, for which it was found that its stages can work.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.lock = contextlib.ExitStack()
        self.workers: Pool | None = None
        self.begun: Begun | None = None
        self._working: list[str] = []

    def __enter__(self) -> Self:
        self.lock.enter_context(self.run.lock())
        _ahead[self.run.root] = self
        return self

    def prepare(self, plans: Sequence[StagePlan], options: EngineOptions, workers: int) -> None:
        """Writes the recipe, and where this machine works on curation, starts what loads its workers' modules."""
        self.run.write_recipe()
        self._working = [planned.stage for planned in plans if planned.state != "done"]
        modules = loaded_for(self._working)
        if options.kind == "local" and modules:
            self.workers = Pool(workers or None, loads=modules)
            self.workers.prepare()

    def begin(self) -> None:
        """Begins the first jobs; waits until the modules are loaded."""
        if self.workers is not None:
            self.begun = begin(self.run, self._working, self.workers)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if _ahead.pop(self.run.root, None) is None:
            return  # taken over
        with self.lock:
            if self.workers is not None:
                self.workers.kill()
                self.workers.close()


# What the command of this process has prepared, by run folder.  The process is its scope: the flow finds it there,
# which Prefect would look through as an argument.
_ahead: dict[str, Ahead] = {}


def take(run: Run) -> Ahead | None:
    """What the command has prepared for this run; lock and workers are the caller's to end from now on."""
    return _ahead.pop(run.root) if run.root in _ahead and _ahead[run.root].run == run else None
