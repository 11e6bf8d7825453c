"""The training loop: ``Trainer._steps`` is the page to read.

1. The last complete checkpoint, if any, is read: weights, optimizer state, guard (``progress``).  The data need no
   state: step N's batch is arithmetic.
2. Each step: micro-batches forward and backward, gradients shared and clipped, the guard asked, one update.
3. Once in a while a line of metrics, a validation, a checkpoint, samples; at the end all of them.

A signal (``signals``) saves a checkpoint and ends the training.  The same command goes on from there, bit for bit.
"""

import math
import os
import re
import signal
import time
from collections.abc import Collection
from typing import Any, NamedTuple

import torch
from torch import Tensor

from model.checkpoints.checkpoint import describe_last
from model.checkpoints.steps import next_start
from model.data.batches import BatchReader
from model.devices.hardware import chosen_precision, compiles
from model.plan.flops import count_parameters
from model.plan.memory import memory_advice
from model.plan.outlook import CHECKPOINT, Outlook
from model.training.guards import Guard
from model.training.metrics import Metrics
from model.training.parallel import shared
from model.training.passes import pass_over
from model.training.prepare import Prepared, init_optimizer
from model.training.progress import Checkpoints, Progress
from model.training.report import Reporter
from model.training.samples import sample_tokens, write_samples
from model.training.signals import Remembered, Stopped, answered
from model.training.step_clock import StepClock
from model.updates.optimizers import Optimizers
from model.updates.schedule import last_stable_step, rate_factor
from pipeline.base.errors import RunError

_NO_MEMORY = re.compile(r"out of memory|not enough memory|can't allocate memory|cannot allocate memory", re.IGNORECASE)
RECENT_STEPS = 20  # training loss of the summary: mean over the last steps


class Done(NamedTuple):
    """What came of one step."""

    loss: float  # of the global batch, nats per token
    norm: float  # of the gradient, before clipping
    rate_factor: float  # learning rate, relative to its peak
    signal: int  # the signal that asks for the end, known to all processes; 0: none
    timed: bool  # whether train.checkpoint_every_minutes have passed since the last checkpoint, for the leading one


class Trainer:
    """One training in one process of a world, from its last checkpoint, if there is one, to its last step.

    Args:
        prepared: What was read of the run.
        reporter: Where lines for people go.
        start: Step of the checkpoint to go on from; None: from the beginning.
        replaces: Steps of checkpoints that go when the first one of this training is complete.

    Raises:
        UserError: If the checkpoint is of another model or training.
        RunError: If it is damaged.
    """

    def __init__(
        self, prepared: Prepared, reporter: Reporter, *, start: int | None = None, replaces: Collection[int] = ()
    ) -> None:
        self.prepared, self.reporter, self.start = prepared, reporter, start
        self.train, self.world = prepared.run.recipe.train, prepared.world
        self.model = prepared.model
        self.model.precision = chosen_precision(self.train.precision, self.world.device)
        self.model.recompute(self.train.activation_checkpointing)
        self.parameters = count_parameters(self.model)  # of the whole model, before it is sharded
        self.checkpoints = Checkpoints(prepared, reporter, replaces)
        torch.manual_seed(self.train.seed)
        self.objective = shared(self.model, self.world, self.train)
        state = None if start is None else self.checkpoints.load_weights(self.model, start)
        if compiles(self.train.compile, self.world.device):
            for block in self.model.blocks:
                block.compile(mode="reduce-overhead" if self.train.compile == "graphs" else None)
        self.optimizers = Optimizers(self.model, self.train)
        self.progress = Progress(Guard(self.train.spike_sigmas), dict(prepared.unigram))
        if state is not None:
            self.checkpoints.restore(state, self.progress, self.optimizers)
        elif self.train.init_optimizer:
            self.optimizers.load(*init_optimizer(prepared))
        self.metrics = None
        if self.world.leads:
            self.metrics = Metrics(prepared.run, after_step=self.progress.step, tell=reporter.note)
        seconds_before = self.metrics.seconds_before if self.metrics else 0.0
        self.clock = StepClock(self.model.config, self.world, self.train.global_batch_tokens, seconds_before)
        self.outlook = self._outlook()
        self._signal = Remembered(self._will_stop, self._end_at_once)
        self._saved_at = time.monotonic()

    def _outlook(self) -> Outlook:
        validator = self.prepared.validator
        return Outlook(
            self.train,
            self.progress.step,
            parameters=self.parameters,
            validation_tokens=0 if validator is None else validator.tokens,
            sample_tokens=sample_tokens(self.prepared),
            tell=self.reporter.moment if self.world.leads else None,
        )

    def execute(self) -> dict[str, Any]:
        """Trains to the last step; returns the result (see ``result``).

        Raises:
            Stopped: If a signal asked for the end; a checkpoint is saved.
            RunError: If too many steps had to be skipped, or a checkpoint cannot be written.
        """
        try:
            with answered(self._signal):
                self._steps()
                self._finish()
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not isinstance(error, torch.OutOfMemoryError) and not _NO_MEMORY.search(str(error)):
                raise  # such as an illegal memory access
            on_cpu = self.world.device.type == "cpu"
            advice = memory_advice(self.model.config, self.train, self.world.size, cpu=on_cpu)
            raise RunError(f"out of memory at step {self.progress.step}: {advice}") from error
        finally:
            self.checkpoints.close()
            if self.metrics is not None:
                self.metrics.close()
        return self.result()

    def result(self) -> dict[str, Any]:
        """The figures of the finished run; no timings."""
        recent = self.progress.guard.losses[-RECENT_STEPS:]
        return {
            "steps": self.progress.step,
            "tokens": self.progress.step * self.train.global_batch_tokens,
            "parameters": self.parameters,
            "train_loss": round(sum(recent) / len(recent), 6) if recent else None,
            "skipped_steps": self.progress.guard.skipped,
            **self.progress.validation,
        }

    # -- the loop

    def _steps(self) -> None:
        """Every step, and what is done once in a while."""
        train, progress = self.train, self.progress
        steps = train.steps - progress.step
        with BatchReader(self._read, first_step=progress.step, steps=steps) as reader:
            for batch in self.clock.steps(iter(reader)):
                done = self._one_step(batch)
                progress.step += 1
                self.outlook.stepped(progress.step, done.loss)
                last = progress.step == train.steps
                if self._due(train.log_every_steps):
                    self._log(self._line(done))
                with self.clock.paused():
                    improved = self._due(train.validate_every_steps) and self._validate()
                    saves = self._due(train.checkpoint_every_steps)
                    stops = self._signal.number if self.world.size == 1 else done.signal
                    wanted = saves or stops or done.timed or (improved and train.keep_best) or self._rate_falls()
                    if wanted and self._is_sound(last=last):
                        if saves and not (last or stops):  # the last are written when the training is done
                            self.write_samples()
                        self._save()
                if stops and not last:
                    self.checkpoints.settle(progress, last=True)
                    raise Stopped(stops, progress.step, saved=progress.guard.sound)

    def _is_sound(self, *, last: bool) -> bool:
        """Whether the weights are worth a checkpoint: they give finite values.

        Raises:
            RunError: If they do not, and the training is at its end.
        """
        if self.progress.guard.sound:
            return True
        step, good = self.progress.step, describe_last(self.prepared.run.root)
        if last and self.progress.validation.get("validation_loss") is not None:  # of these weights
            return True
        if last:
            raise RunError(
                f"the last step, {step}, gave values that are not finite, so the training has no model; last good "
                f"checkpoint: {good}. Lower train.learning_rate, and begin anew with --restart"
            )
        self.reporter.note(f"step {step}: no checkpoint, its values are not finite; last good checkpoint: {good}")
        return False

    def _due(self, every_steps: int) -> bool:
        """Whether it is time for what is done every ``every_steps`` steps (0: never) and after the last one."""
        step = self.progress.step
        return step == self.train.steps or (every_steps > 0 and step % every_steps == 0)

    def _rate_falls(self) -> bool:
        """Whether the rate of wsd falls from here on: its checkpoint is kept, since more steps can go on from it."""
        return self.train.schedule == "wsd" and self.progress.step == last_stable_step(self.train)

    def _finish(self) -> None:
        self.checkpoints.settle(self.progress, last=True)
        if self.train.steps == 0 and self.start is None:
            self._validate()
            self._save()
            self.checkpoints.settle(self.progress, last=True)

    # -- one step

    def _read(self, step: int) -> tuple[Tensor, ...]:
        """This process's part of a step's global batch."""
        dataset = self.prepared.corpus.train
        read = dataset.masked_batch if self.train.mask_documents else dataset.batch
        batch = read(step, self.prepared.sequences, self.world.rank, self.world.size)
        if self.world.device.type == "cpu":
            return batch
        return tuple(tensor.pin_memory() for tensor in batch)  # so that the copy to the device keeps nobody waiting

    def _one_step(self, batch: tuple[Tensor, ...]) -> Done:
        """Forward, backward and (unless the guard refuses) the update."""
        figures = pass_over(self.objective, self.model, batch, self.world, self.train)
        read = figures.read(self.world, (self._signal.number, self._is_time_to_save()))
        signals, timed = read.asked
        factor = rate_factor(self.progress.step, self.train)
        stops = (self._signal.number or signal.SIGTERM) if signals else 0
        done = Done(read.loss, read.norm, factor, stops, timed > 0.0)
        refusal = self.progress.guard.refuse(done.loss, done.norm)
        if refusal is None:
            self.optimizers.step(factor)
        else:
            self._skip(refusal)
        self.optimizers.zero_grad()
        return done

    def _skip(self, reason: str) -> None:
        step, skipped, most = self.progress.step, self.progress.guard.skipped, self.train.max_skipped_steps
        documents = self.prepared.corpus.train.documents(step, self.prepared.sequences)
        named = ", ".join(documents[:5]) + (f" and {len(documents) - 5} more" if len(documents) > 5 else "")
        self.reporter.note(f"step {step + 1} skipped: {reason}; documents in its batch: {named}")
        if skipped > most:
            raise RunError(
                f"{skipped} steps skipped, more than train.max_skipped_steps = {most}; the last at step {step + 1}: "
                f"{reason}. Last good checkpoint: {describe_last(self.prepared.run.root)}. Documents in the batch "
                f"(`tokenmill trace RUN --step {step}`): {named}"
            )

    # -- once in a while

    def _line(self, done: Done) -> dict[str, Any]:
        """A line of metrics for the steps since the last one; JSON has no number that is not finite."""
        lap = self.clock.lap()
        return {
            "step": self.progress.step,
            "tokens": self.progress.step * self.train.global_batch_tokens,
            "loss": done.loss if math.isfinite(done.loss) else None,
            "learning_rate": self.train.learning_rate * done.rate_factor,
            "grad_norm": done.norm if math.isfinite(done.norm) else None,
            "tokens_per_second": lap.tokens_per_second,
            "mfu": lap.mfu,
            "seconds": lap.seconds,
            "skipped_steps": self.progress.guard.skipped,
            "loader_seconds": lap.loader_seconds,
        }

    def _log(self, line: dict[str, Any]) -> None:
        if self.metrics is not None:
            self.metrics.write(line)
            self.reporter.metrics(line, self.train.steps, self.outlook.seconds_left())

    def _validate(self) -> bool:
        """Scores the validation set and writes its line; True if its loss is the lowest so far."""
        if self.prepared.validator is None:
            return False
        with self.outlook.doing("validation") as heard:
            found = self.prepared.validator.score(self.model, heard)
        total = found.total.summary()
        figures = {"validation_loss": total["validation_loss"], "bits_per_byte": total["bits_per_byte"]}
        groups = {"by_source": found.by_source(), "by_language": found.by_language()}
        self.progress.validation = {**self.progress.validation, **figures, **groups}
        tokens = self.progress.step * self.train.global_batch_tokens
        self._log({"step": self.progress.step, "tokens": tokens, **figures, **groups})
        return self.progress.improves(total["validation_loss"])

    def write_samples(self) -> None:
        """What the model makes of some beginnings now."""
        with self.outlook.doing("sample") as heard:
            write_samples(self.prepared, self.progress.step, heard)

    def _save(self) -> None:
        if self.metrics is not None:
            self.metrics.flush()
        with self.outlook.doing(CHECKPOINT):
            self.checkpoints.save(self.progress, self.optimizers)
        self._saved_at = time.monotonic()

    def _is_time_to_save(self) -> bool:
        """Whether the time between two checkpoints is over; the leading process, whose clock counts, says so."""
        seconds = 60.0 * self.train.checkpoint_every_minutes
        return self.world.leads and 0.0 < seconds <= time.monotonic() - self._saved_at

    def _will_stop(self) -> None:
        start = next_start(self.prepared.run.root)
        self.reporter.from_handler(f"saving a checkpoint after this step; Ctrl-C again ends at once, and then {start}")

    def _end_at_once(self) -> None:
        """At the second Ctrl-C: no checkpoint, no clean-up."""
        self.reporter.from_handler(f"interrupted twice, ended at once; {next_start(self.prepared.run.root)}")
        os._exit(130)
