"""Where a training is, and how it is saved and taken up again: the state beside the tensors, and the checkpoints.

The files themselves are written and read by model/checkpoints/checkpoint.py.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import torch

from model.checkpoints import checkpoint
from model.checkpoints.checkpoint import (
    MODEL_FILE,
    OPTIMIZER_FILE,
    TOKENIZER_FILE,
    TRAINING_FILE,
    complete_steps,
)
from model.checkpoints.steps import is_asked_for, kept_steps
from model.checkpoints.tensor_file import Rows
from model.checkpoints.writer import Writer
from model.devices.shards import whole
from model.network.config import ModelConfig
from model.network.transformer import Transformer, load_weights
from model.training.guards import Guard
from model.training.prepare import Prepared
from model.training.report import Reporter
from model.updates.optimizers import Optimizers
from model.updates.schedule import last_stable_step
from pipeline.base import storage
from pipeline.base.errors import RunError, UserError
from pipeline.run import layout
from pipeline.run.checkpoints import read_state, succession, url_of
from pipeline.run.context import changed
from pipeline.run.manifest import canonical_json


@dataclass
class Progress:
    """Where a training is, beside its tensors.

    Attributes:
        guard: Losses and norms of the last steps.
        validation: Figures of the last validation.
        best: Step and loss of the lowest validation loss; empty before the first validation.
        step: Steps made.
    """

    guard: Guard
    validation: dict[str, Any]
    best: dict[str, Any] = field(default_factory=dict)
    step: int = 0

    def improves(self, validation_loss: float | None) -> bool:
        """Whether this validation loss is the lowest so far; it is then the best."""
        lowest = validation_loss is not None and (not self.best or validation_loss < self.best["validation_loss"])
        if lowest:
            self.best = {"step": self.step, "validation_loss": validation_loss}
        return lowest


class Checkpoints:
    """The checkpoints of one training: goes on from the last one, saves new ones, drops those that are not kept.

    Every process calls the same methods.  Of a sharded model each writes what it holds; else the leading one writes.

    Args:
        prepared: The training.
        reporter: Shows which checkpoint the training goes on from, and which could not be written.
        replaces: Steps of another training's checkpoints, which go when the first one of this training is complete.
    """

    def __init__(self, prepared: Prepared, reporter: Reporter, replaces: Collection[int] = ()) -> None:
        self._prepared, self._reporter, self._replaces = prepared, reporter, replaces
        self._root, self._train = prepared.run.root, prepared.run.recipe.train
        self._tokenizer = prepared.corpus.tokenizer.read_bytes()
        world = prepared.world
        # on several hosts only a run folder on a disk is the same for all
        self._group = world.writers if world.one_host or storage.is_local(self._root) else None
        self._writer = Writer(self._root, self._group) if world.leads or self._group is not None else None
        self._extra = False  # the one that is being written is more than the recipe asks for

    def load_weights(self, model: Transformer, step: int) -> dict[str, Any]:
        """Reads a checkpoint's weights into the model; returns its state.

        Args:
            model: Whole, or sharded.
            step: Of the checkpoint.

        Raises:
            UserError: If the checkpoint is of another model or training.
            RunError: If it is damaged.
        """
        state = read_state(self._root, step)
        self._check(state, url_of(self._root, step))
        file = checkpoint.open_tensors(self._root, step, MODEL_FILE)
        load_weights(model, file, f"{layout.checkpoint(step)}/{MODEL_FILE}")
        return state

    def _check(self, state: dict[str, Any], where: str) -> None:
        wanted, again = self._prepared.model.config.to_dict(), "or begin anew with --restart"
        found = ModelConfig.from_dict(state["model"]).to_dict()  # with what an earlier tokenmill did not write
        if found != wanted:
            keys = [key for key, value in wanted.items() if found[key] != value]
            was = ", ".join(f"{key} {changed(found[key], wanted[key])}" for key in keys)
            raise UserError(f"{where}: a checkpoint of another architecture ({was}); restore the recipe, {again}")
        if not self._prepared.training.led_to(state):
            raise UserError(
                f"{where}: this checkpoint was trained on other tokens or with other [train] settings than the recipe "
                f"asks for; restore them, {again}"
            )

    def restore(self, state: dict[str, Any], progress: Progress, optimizers: Optimizers) -> None:
        """Takes up a checkpoint's state, after ``load_weights`` has found it."""
        progress.step = int(state["step"])
        progress.guard.load(state["guard"])
        progress.validation, progress.best = dict(state["validation"]), dict(state["best"])
        optimizers.load(checkpoint.open_tensors(self._root, progress.step, OPTIMIZER_FILE), int(state["updates"]))
        self._reporter.note(f"training continues from {layout.checkpoint(progress.step)}")
        if self._prepared.world.leads:
            for later in complete_steps(self._root):
                if later > progress.step and later not in self._replaces:  # damaged, passed over with --previous
                    checkpoint.remove(self._root, later)

    def save(self, progress: Progress, optimizers: Optimizers) -> None:
        """Begins to write a checkpoint in the background, after the one before it is written."""
        model = self._prepared.model
        tensors = {MODEL_FILE: model.state_dict(), OPTIMIZER_FILE: optimizers.tensors()}
        if self._group is None:
            tensors = {file: {name: whole(value) for name, value in of.items()} for file, of in tensors.items()}
        if self._writer is None:
            return
        self.settle(progress)
        self._extra = not is_asked_for(progress.step, self._train) and progress.step != self._stable_step()
        state = {
            "model": model.config.to_dict(),
            "trajectory": self._prepared.training.trajectory_at(progress.step),
            "tokenizer": self._prepared.corpus.train.data.format.tokenizer,
            **self._prepared.corpus.delimiters,
            "tokens": progress.step * self._train.global_batch_tokens,
            "updates": optimizers.updates,
            "guard": progress.guard.state(),
            "validation": progress.validation,
            "best": progress.best,
            "threads": torch.get_num_threads(),
            "precision": str(model.precision).removeprefix("torch."),
        }
        beside = {
            TOKENIZER_FILE: self._tokenizer,
            TRAINING_FILE: canonical_json(self._prepared.training.recorded(progress.step)).encode(),
        }
        files = {file: {name: Rows.of(value) for name, value in of.items()} for file, of in tensors.items()}
        self._writer.save(progress.step, files, state, beside)

    def settle(self, progress: Progress, *, last: bool = False) -> None:
        """Waits for the checkpoint that is being written, then drops those that the policy does not keep.

        Raises:
            RunError: If it could not be written; with ``train.disk_full`` other than "stop" only for the last one.
        """
        if self._writer is None:
            return
        try:
            self._writer.wait()
        except RunError as error:
            if last or (self._train.disk_full == "stop" and not self._extra):
                raise
            self._reporter.note(f"{error}; training goes on to the next checkpoint")
            return
        if not self._prepared.world.leads or succession(self._root).replaces:  # none of this training's is complete yet
            return
        self._replaces = ()
        for step in set(complete_steps(self._root)) - self._kept(progress):
            checkpoint.remove(self._root, step)

    def _kept(self, progress: Progress) -> set[int]:
        """The checkpoints that stay: those of the policy, and with wsd the one before the rate falls."""
        best = progress.best.get("step") if self._train.keep_best else None
        return kept_steps(complete_steps(self._root), self._train, also=(best, self._stable_step()))

    def _stable_step(self) -> int | None:
        """With wsd the last step before the rate falls: from its checkpoint the training can be extended."""
        return last_stable_step(self._train) if self._train.schedule == "wsd" else None

    def close(self) -> None:
        """Ends the background writing after the last write."""
        if self._writer is not None:
            self._writer.close()
