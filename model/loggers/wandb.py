"""Weights & Biases, in ``metrics/wandb/`` of the run: offline, unless ``WANDB_MODE`` says otherwise.

`wandb sync RUN/metrics/wandb/offline-run-*` sends it to a server, when its owner wants that.  The record of an offline
run cannot be cut back: at each start it is written anew, from the lines of metrics that are kept.  Online, W&B itself
goes on from the step that it has.
"""

import os
import shutil
from typing import Any

from model.loggers.bridges import Line, Start, numbers
from pipeline.base import storage
from pipeline.run import layout

OFFLINE = "offline"


class Tool:
    """One run of W&B."""

    def __init__(self, start: Start) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # to W&B's makers
        import wandb

        mode: Any = os.environ.get("WANDB_MODE", OFFLINE)
        folder = storage.local_path(start.run.url(layout.METRICS))
        if mode == OFFLINE:
            for earlier in (folder / "wandb").glob(f"offline-run-*-{start.name}"):
                shutil.rmtree(earlier)
        self._run = wandb.init(
            project=start.run.recipe.name,
            id=start.name,
            dir=folder,
            mode=mode,
            config=start.settings,
            resume=None if mode == OFFLINE else "allow",
            # nothing but the metrics: no console, no code, no figures of the machine
            settings=wandb.Settings(
                console="off", silent=True, disable_git=True, save_code=False, disable_code=True, x_disable_stats=True
            ),
        )
        for line in start.kept if mode == OFFLINE else ():
            self.write(line)

    def write(self, line: Line) -> None:
        """Takes a line of metrics; lines of one step are one row there."""
        self._run.log(dict(numbers(line)), step=line["step"])

    def flush(self) -> None:
        """Nothing to do: W&B's own process writes as it gets."""

    def close(self, *, finished: bool) -> None:
        """Ends the run; one that was stopped is marked as failed, until it goes on."""
        self._run.finish(exit_code=0 if finished else 1)
