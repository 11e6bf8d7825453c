"""Training: ``python -m model.train --recipe RECIPE --root RUN``, alone or under torchrun.

1. The tokens are opened and checked (model/data/corpus.py); the model is made, or read from ``model.init``.
2. The last complete checkpoint, if any, is read: weights, optimizer state, guard.  The data need no state: step N's
   batch is arithmetic.
3. Each step: micro-batches forward and backward, gradients shared and clipped, the guard asked, one update.
4. Now and then a line of metrics, a validation, a checkpoint; at the end all three, samples, and the manifest.

SIGTERM saves a checkpoint and ends with exit code 0.  The same command goes on from there, bit for bit.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from model.checkpoints import checkpoint
from model.checkpoints.checkpoint import (
    Writer,
    chosen_step,
    complete_steps,
    kept_steps,
    model_tensors,
    read_state,
    read_tensors,
)
from model.data.batches import NOT_SCORED, BatchReader
from model.data.corpus import Corpus
from model.devices.hardware import chosen_precision, peak_flops
from model.devices.world import World
from model.evaluation.evaluate import Validator
from model.network.config import ModelConfig
from model.network.transformer import Transformer, load_weights
from model.plan.flops import count_parameters, flops_per_token
from model.plan.memory import memory_advice
from model.training.guards import Guard
from model.training.metrics import Metrics
from model.training.optimizer import Optimizers
from model.training.parallel import gradient_norm, shared, synchronised
from model.training.report import Reporter
from model.training.schedule import rate_factor
from pipeline.base.errors import RunError, UserError
from pipeline.run import layout
from pipeline.run.folder import Run

RECENT_STEPS = 20  # training loss of the summary: mean over the last steps


class Stopped(Exception):  # noqa: N818  a signal, not an error
    """A signal asked for the end; the checkpoint is saved."""

    def __init__(self, number: int, step: int) -> None:
        super().__init__(f"stopped by signal {number} at step {step}")
        self.number, self.step = number, step


class Trainer:
    """One training run in one process of a world.

    Args:
        run: The run folder and its recipe.
        corpus: Its tokens.
        model: The initial model, in float32, on the CPU.
        world: This process among those that train together.
        reporter: Where lines for people go.
        trajectory: Fingerprint of what decides the weights; a checkpoint of another one is refused.
    """

    def __init__(
        self, run: Run, corpus: Corpus, model: Transformer, world: World, reporter: Reporter, trajectory: str
    ) -> None:
        self.run, self.corpus, self.world, self.reporter = run, corpus, world, reporter
        self.train, self.trajectory = run.recipe.train, trajectory
        self.config: ModelConfig = model.config
        self.sequences = check_batch(self.config, run, world.size)
        self.model = model.to(world.device)
        self.model.precision = chosen_precision(self.train.precision, world.device)
        self.on_checkpoint: Callable[[], None] | None = None  # called after each regular checkpoint
        self.model.checkpoint_activations = self.train.activation_checkpointing
        self.guard = Guard(self.train.spike_sigmas)
        self.step = 0
        self.validation: dict[str, Any] = {}
        self.best: dict[str, Any] = {}
        self.validator: Validator | None = None
        self._signal = 0

    # -- the whole

    def execute(self, *, previous: bool = False) -> dict[str, Any]:
        """Trains to the last step; returns the result (see ``result``).

        Raises:
            Stopped: If a signal asked for the end; a checkpoint is saved.
            RunError: If too many steps had to be skipped, or a checkpoint is damaged or cannot be written.
        """
        state = self._restore_weights(previous)
        self.callable = shared(self.model, self.world, self.train)
        if self.train.compile == "on" or (self.train.compile == "auto" and self.world.device.type == "cuda"):
            for block in self.model.blocks:
                block.compile()
        self.optimizers = Optimizers(self.model, self.train)
        if state is not None:
            self._restore(state)
        self.metrics = Metrics(self.run.root, after_step=self.step) if self.world.leads else None
        self.writer = Writer(self.run.root) if self.world.leads else None
        try:
            with self._signals():
                self._steps()
                self._finish()
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if "memory" not in str(error).lower():
                raise
            on_cpu = self.world.device.type == "cpu"
            advice = memory_advice(self.config, self.train, self.world.size, cpu=on_cpu)
            raise RunError(f"out of memory at step {self.step}: {advice}") from error
        finally:
            for closing in (self.writer, self.metrics):
                if closing is not None:
                    closing.close()
        return self.result()

    def result(self) -> dict[str, Any]:
        """The figures of the finished run; no timings."""
        recent = self.guard.losses[-RECENT_STEPS:]
        return {
            "steps": self.step,
            "tokens": self.step * self.train.global_batch_tokens,
            "parameters": self.parameters,
            "train_loss": round(sum(recent) / len(recent), 6) if recent else None,
            "skipped_steps": self.guard.skipped,
            **self.validation,
        }

    # -- one step

    def _steps(self) -> None:
        read = self._reader()
        remaining = self.train.steps - self.step
        clock = _Clock(self)
        with BatchReader(read, first_step=self.step, steps=remaining) as reader:
            batches = iter(reader)
            while self.step < self.train.steps:
                waited = time.perf_counter()
                _, batch = next(batches)
                clock.loader_seconds += time.perf_counter() - waited
                loss, norm, rate = self._one_step(batch)
                self.step += 1
                clock.steps += 1
                self._after_step(loss, norm, rate, clock)

    def _reader(self) -> Any:
        dataset, world = self.corpus.train, self.world
        batch = dataset.masked_batch if self.train.mask_documents else dataset.batch
        return lambda step: batch(step, self.sequences, world.rank, world.size)

    def _one_step(self, batch: tuple[Tensor, ...]) -> tuple[float, float, float]:
        """Forward, backward and (unless the guard refuses) the update; loss of the global batch, norm, rate factor."""
        device, world = self.world.device, self.world
        micro = self.train.micro_batch_sequences
        parts = [tuple(tensor.to(device, non_blocking=True) for tensor in chunk) for chunk in _chunks(batch, micro)]
        figures = torch.zeros(3, dtype=torch.float64, device=device)  # likelihood, valid targets, signal
        valid = self._valid_targets(batch)
        for number, (inputs, targets, *documents) in enumerate(parts):
            with synchronised(self.callable, last=number == len(parts) - 1):
                loss = self.callable(inputs, targets, documents=tuple(documents) or None, z_loss=self.train.z_loss)
                # the processes' gradients are averaged: times their number makes it the sum
                (loss.total * (world.size / valid)).backward()
            figures[0] += loss.likelihood
        figures[2] = float(self._signal)
        likelihood, _, signalled = world.total(figures).tolist()
        self._signal = self._signal or int(signalled > 0) * signal.SIGTERM
        loss_value = likelihood / valid
        norm = gradient_norm(self.model)
        if self.train.clip:
            torch.nn.utils.clip_grads_with_norm_(self.model.parameters(), self.train.clip_norm, norm)
        factor = rate_factor(self.step, self.train)
        refusal = self.guard.refuse(loss_value, float(norm))
        if refusal is None:
            self.optimizers.step(factor)
        else:
            self._skip(refusal)
        self.optimizers.zero_grad()
        return loss_value, float(norm), factor

    def _valid_targets(self, batch: tuple[Tensor, ...]) -> float:
        """Targets of the global batch that count: not those across masked documents or of blanked ones."""
        count = (batch[1] != NOT_SCORED).sum().double().to(self.world.device)
        return max(1.0, float(self.world.total(count)))

    def _skip(self, reason: str) -> None:
        documents = self.corpus.train.documents(self.step, self.sequences)
        named = ", ".join(documents[:5]) + (f" and {len(documents) - 5} more" if len(documents) > 5 else "")
        self.reporter.note(f"step {self.step + 1} skipped: {reason}; documents in its batch: {named}")
        if self.guard.skipped > self.train.max_skipped_steps:
            raise RunError(
                f"{self.guard.skipped} steps skipped, more than train.max_skipped_steps = "
                f"{self.train.max_skipped_steps}; the last at step {self.step + 1}: {reason}. Last good checkpoint: "
                f"{checkpoint.describe_last(self.run.root)}. Documents in the batch (`tokenmill trace RUN --step "
                f"{self.step}`): {named}"
            )

    # -- between steps

    def _after_step(self, loss: float, norm: float, factor: float, clock: "_Clock") -> None:
        train, last = self.train, self.step == self.train.steps
        if self.step % train.log_every_steps == 0 or last:
            self._log(clock.line(loss, norm, factor))
        validates = last or (train.validate_every_steps and self.step % train.validate_every_steps == 0)
        saves = last or (train.checkpoint_every_steps and self.step % train.checkpoint_every_steps == 0)
        if not (validates or saves or self._signal):
            return
        with clock.paused():
            improved = self._validate() if validates else False
            if saves or self._signal or (improved and train.keep_best):
                self._save()
            if saves and self.on_checkpoint is not None and not self._signal:
                self.on_checkpoint()
        if self._signal and not last:
            self._wait_for_writer(last=True)
            raise Stopped(self._signal, self.step)

    def _log(self, line: dict[str, Any]) -> None:
        if self.metrics is not None:
            self.metrics.write(line)
            self.reporter.metrics(line, self.train.steps)

    def _validate(self) -> bool:
        """Scores the validation set and writes its line; True if it is the lowest loss so far."""
        if self.validator is None:
            return False
        self.model.eval()
        found = self.validator.score(self.callable)
        self.model.train()
        total = found.total.summary()
        figures = {"validation_loss": total["validation_loss"], "bits_per_byte": total["bits_per_byte"]}
        line = {"step": self.step, "tokens": self.step * self.train.global_batch_tokens, **figures}
        self.validation = {**self.validation, **figures, "by_source": found.by(0), "by_language": found.by(1)}
        self._log({**line, "by_source": self.validation["by_source"], "by_language": self.validation["by_language"]})
        loss = total["validation_loss"]
        if loss is not None and (not self.best or loss < self.best["validation_loss"]):
            self.best = {"step": self.step, "validation_loss": loss}
            return True
        return False

    # -- checkpoints

    def _save(self) -> None:
        weights, states = model_tensors(self.model), self.optimizers.tensors()
        if self.writer is None or self.metrics is None:
            return
        self._wait_for_writer(last=False)
        self.metrics.flush()
        state = {
            "model": self.config.to_dict(),
            "trajectory": self.trajectory,
            "tokenizer": self.corpus.train.data.format.tokenizer,
            "tokens": self.step * self.train.global_batch_tokens,
            "updates": self.optimizers.updates,
            "guard": self.guard.state(),
            "validation": self.validation,
            "best": self.best,
            "threads": torch.get_num_threads(),
            "precision": str(self.model.precision).removeprefix("torch."),
        }
        self.writer.save(self.step, weights, states, state)

    def _wait_for_writer(self, *, last: bool) -> None:
        """Waits for the checkpoint that is being written, then drops those that the policy does not keep."""
        if self.writer is None:
            return
        try:
            self.writer.wait()
        except RunError as error:
            if last or self.train.disk_full == "stop":
                raise
            self.reporter.note(f"{error}; training goes on to the next checkpoint")
            return
        steps, best = complete_steps(self.run.root), self.best.get("step") if self.train.keep_best else None
        kept = kept_steps(steps, last=self.train.keep_last, every=self.train.keep_every_steps, best=best)
        for step in steps:
            if step not in kept:
                checkpoint.remove(self.run.root, step)

    def _restore_weights(self, previous: bool) -> dict[str, Any] | None:
        """Reads the weights of the last checkpoint into the whole model, before it is shared or sharded."""
        torch.manual_seed(self.train.seed)
        self.parameters = count_parameters(self.model)
        root = self.run.root
        if not complete_steps(root):
            return None
        step = chosen_step(root, previous=previous)
        state = read_state(root, step)
        self._check_checkpoint(state, step)
        where = f"{layout.checkpoint(step)}/{checkpoint.MODEL_FILE}"
        load_weights(self.model, read_tensors(root, step, checkpoint.MODEL_FILE), where)
        return state

    def _check_checkpoint(self, state: dict[str, Any], step: int) -> None:
        where, again = f"{self.run.root}/{layout.checkpoint(step)}", "or begin anew with --restart"
        if state["model"] != self.config.to_dict():
            keys = [k for k, v in self.config.to_dict().items() if state["model"].get(k) != v]
            was = ", ".join(f"{k} was {state['model'].get(k)!r}, is {self.config.to_dict()[k]!r}" for k in keys)
            raise UserError(f"{where}: a checkpoint of another architecture ({was}); restore the recipe, {again}")
        if state["trajectory"] != self.trajectory:
            raise UserError(
                f"{where}: this checkpoint was trained on other tokens or with other [train] settings than the recipe "
                f"asks for; restore them, {again}"
            )

    def _restore(self, state: dict[str, Any]) -> None:
        self.step = int(state["step"])
        tensors = read_tensors(self.run.root, self.step, checkpoint.OPTIMIZER_FILE)
        self.optimizers.load(tensors, int(state["updates"]))
        self.guard.load(state["guard"])
        self.validation, self.best = dict(state["validation"]), dict(state["best"])
        self.reporter.note(f"going on from {layout.checkpoint(self.step)}")
        if self.world.leads:
            for later in complete_steps(self.run.root):
                if later > self.step:  # damaged ones, passed over with --previous
                    checkpoint.remove(self.run.root, later)

    def _finish(self) -> None:
        self._wait_for_writer(last=True)
        if self.step not in complete_steps(self.run.root) and self.train.steps == 0:
            self._validate()
            self._save()
            self._wait_for_writer(last=True)

    # -- signals

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the run after the step at hand, with a checkpoint."""

        def remember(number: int, frame: Any) -> None:
            self._signal = number

        before = {number: signal.signal(number, remember) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Clock:
    """Times the steps between two lines of metrics, without validations and checkpoints."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._peak = peak_flops(trainer.world.device)
        self._begun = self._since = time.perf_counter()
        self._pause = self.loader_seconds = 0.0
        self.steps = 0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens inside does not count."""
        started = time.perf_counter()
        yield
        self._pause += time.perf_counter() - started

    def line(self, loss: float, norm: float, factor: float) -> dict[str, Any]:
        """A line of metrics for the steps since the last one."""
        trainer, now = self._trainer, time.perf_counter()
        seconds = max(now - self._since - self._pause, 1e-9)
        rate = self.steps * trainer.train.global_batch_tokens / seconds
        mfu = rate * flops_per_token(trainer.config) / (self._peak * trainer.world.size) if self._peak else None
        before = trainer.metrics.seconds_before if trainer.metrics else 0.0
        line = {
            "step": trainer.step,
            "tokens": trainer.step * trainer.train.global_batch_tokens,
            "loss": loss,
            "learning_rate": trainer.train.learning_rate * factor,
            "grad_norm": norm,
            "tokens_per_second": round(rate, 1),
            "mfu": None if mfu is None else round(mfu, 4),
            "seconds": round(before + now - self._begun, 3),
            "skipped_steps": trainer.guard.skipped,
            "loader_seconds": round(self.loader_seconds, 6),
        }
        self._since, self._pause, self.loader_seconds, self.steps = now, 0.0, 0.0, 0
        return {
            k: (v if v == v and abs(v) != float("inf") else None) if isinstance(v, float) else v
            for k, v in line.items()
        }


def _chunks(batch: tuple[Tensor, ...], size: int) -> Iterator[tuple[Tensor, ...]]:
    yield from zip(*(torch.split(tensor, size) for tensor in batch), strict=True)


def check_batch(config: ModelConfig, run: Run, world_size: int) -> int:
    """Sequences of a global batch.

    Raises:
        UserError: If the batch does not divide into sequences, processes and micro-batches.
    """
    train, length = run.recipe.train, config.context_length
    if train.global_batch_tokens % length:
        near = max(1, round(train.global_batch_tokens / length)) * length
        raise UserError(
            f"train.global_batch_tokens = {train.global_batch_tokens}: not a multiple of model.context_length = "
            f"{length}; {near} is"
        )
    sequences = train.global_batch_tokens // length
    if sequences % world_size:
        raise UserError(
            f"train.global_batch_tokens = {train.global_batch_tokens} are {sequences} sequences, which "
            f"{world_size} processes cannot share evenly; use a multiple of {world_size * length} tokens"
        )
    share = sequences // world_size
    if share > train.micro_batch_sequences and share % train.micro_batch_sequences:
        fitting = [n for n in range(1, train.micro_batch_sequences + 1) if share % n == 0]
        raise UserError(
            f"train.micro_batch_sequences = {train.micro_batch_sequences}: does not divide the {share} sequences of a "
            f"process's part of the global batch; {fitting[-1]} does"
        )
    return sequences
