"""The train stage: is it done, and if not, the processes that do it.

What is done is decided by ``manifests/train/all.json``, as for every stage; it is written by the training process
itself (model/train.py), so that training alone, under torchrun and inside a flow end in the same bytes.  This module
imports no torch: a finished run is recognised without it.
"""

import json
import os
import signal
import subprocess
import sys
from typing import Any

from model.training.continuation import continuation, replaces_text
from model.training.job import SHARD, STEP, summary, training_of, unfinished
from pipeline.base import storage
from pipeline.base.console import say
from pipeline.base.errors import GateError, RunError, TokenmillError, UserError
from pipeline.base.pool import GRACE_SECONDS
from pipeline.run import layout
from pipeline.run.context import Context, NeedsWork


def run(context: Context) -> dict[str, Any]:
    """The stage: trains in a process of its own (several, with ``train.processes``), unless it is done."""
    training = training_of(context.run)
    way = continuation(context.run, training, restart=context.restart, rebuild=context.rebuild)
    if way.reason is not None and context.dry:
        raise NeedsWork(STEP.name, 1, {SHARD: way.reason}, replaces_text(context.root, way))
    if way.reason is None:
        context.shards_skipped += 1
    else:
        _Processes(context).run()
        context.shards_run += 1
    return summary(context.run)


class _Processes:
    """The training processes of a flow: a process group of their own, told to end when the flow ends.

    They also end by themselves when this process dies, however it does: their standard input closes.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._failure: tuple[str, int] | None = None

    def run(self) -> None:
        """Starts them, passes on what they say, and waits.

        Raises:
            TokenmillError: What ended the training, as it was said there.
            KeyboardInterrupt: If the training was stopped by a signal.
        """
        root, train = self._context.root, self._context.run.recipe.train
        command = launch_command(
            storage.join(root, layout.RECIPE), root, train.processes, "--events", *["--restart"] * self._context.restart
        )
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONSAFEPATH": "1"},
        )
        try:
            self._listen(process)
            code = process.wait()
        finally:
            self._end(process)
        self._judge(code)

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None  # it is a pipe
        train = self._context.recipe.train
        started = False
        for text in process.stdout:
            try:
                event = json.loads(text)
            except ValueError:
                say(text.rstrip())
                continue
            if event["event"] == "started":
                lines = -(-train.steps // train.log_every_steps)
                done = event["step"] // train.log_every_steps
                self._context.progress.step_started(STEP.name, max(1, lines), min(done, lines))
                started = True
            elif event["event"] == "metrics":
                self._show(event["line"], event["steps"], started)
            elif event["event"] == "note":
                self._context.progress.note(event["text"])
            elif event["event"] == "failed":
                self._failure = (event["message"], event["exit_code"])

    def _show(self, line: dict[str, Any], steps: int, started: bool) -> None:
        from model.training.report import progress_line

        if started and "loss" in line:
            counts = {"step": line["step"], "tokens": line["tokens"]}
            self._context.progress.shard_done(STEP.name, progress_line(line, steps), counts, line["seconds"])
        else:
            self._context.progress.note(progress_line(line, steps))

    def _end(self, process: "subprocess.Popen[str]") -> None:
        """Ends the whole group: a request, time to save a checkpoint, then by force.

        A checkpoint that takes longer is given up, since a cancelled run has ten seconds in all: it is complete or
        absent, so the next run goes on from the one before it.
        """
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.communicate(timeout=GRACE_SECONDS)  # also drains the pipe, so that nothing blocks on it
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _judge(self, code: int) -> None:
        if self._failure is not None:
            message, exit_code = self._failure
            kinds: dict[int, type[TokenmillError]] = {2: UserError, 3: GateError}
            raise kinds.get(exit_code, RunError)(message)
        if code < 0 or code == 128 + signal.SIGKILL:
            raise RunError(
                f"training was killed by signal {abs(code)}; if the system ran out of memory, lower "
                "train.micro_batch_sequences (`tokenmill plan` shows what is needed). Run the same command to go on"
            )
        if code != 0:
            raise RunError(f"training ended with exit code {code}; what it said stands above")
        if unfinished(self._context.run, training_of(self._context.run)) is not None:
            raise KeyboardInterrupt


def launch_command(recipe: str, root: str, processes: int, *options: str) -> list[str]:
    """The command that trains a run: one Python process, or torchrun with several."""
    program = ["-m", "model.train", "--recipe", recipe, "--root", root, *options]
    if processes == 1:
        return [sys.executable, *program]
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return [sys.executable, *torchrun, *program]
