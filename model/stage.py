"""The train stage: is it done, and if not, the processes that do it.

What is done is decided by ``manifests/train/all.json``, as for every stage; it is written by the training process
itself (model/train.py), so that training alone, under torchrun and inside a flow end in the same bytes.  This module
imports no torch: a finished run is recognised without it.
"""

import queue
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from model.checkpoints.steps import next_start
from model.devices.gpus import wait_for_gpus
from model.training.continuation import RESTARTED, continuation, replaces_text
from model.training.job import SHARD, STEP, summary, training_of, unfinished
from model.training.refusals import passed_over
from pipeline.base import storage
from pipeline.base.console import say
from pipeline.base.errors import GateError, RunError, TokenmillError, UserError, parse_json
from pipeline.base.pool import GRACE_SECONDS
from pipeline.base.processes import ChildWords, descendants, end, environment
from pipeline.base.progress import Moment
from pipeline.base.words import counted
from pipeline.run import layout
from pipeline.run.context import Context, NeedsWork

OF_TORCHRUN = ("RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_", "TORCHELASTIC_")


def run(context: Context) -> dict[str, Any]:
    """The stage: trains in a process of its own (several, with ``train.processes``), unless it is done."""
    training = training_of(context.run)
    way = continuation(context.run, training, restart=context.restart, rebuild=context.rebuild)
    if way.reason is not None and context.dry:
        steps = counted(context.recipe.train.steps, "step")
        what = f"{steps}, from step {start:,} on" if (start := way.start()) else steps
        raise NeedsWork(STEP.name, 1, {SHARD: way.reason}, replaces_text(context.root, way), what)
    if way.reason is None:
        context.shards_skipped += 1
    else:
        if told := passed_over(context.recipe.model):  # what is trained is the run folder's recipe, without them
            context.progress.note(told)
        _Processes(context, anew=way.reason == RESTARTED).run()
        context.shards_run += 1
    return summary(context.run)


class _Processes:
    """The training processes of a flow: a process group of their own, told to end when the flow ends.

    They also end by themselves when this process dies, however it does: their standard input closes.  So it stays open
    while they save a checkpoint.

    Args:
        context: The run and its progress.
        anew: What earlier attempts made is given up.
    """

    def __init__(self, context: Context, *, anew: bool = False) -> None:
        self._context, self._anew = context, anew
        self._failure: tuple[str, int] | None = None
        self._begun = False  # it has said which step it goes on from
        self._step_seconds = 0.0  # of one training step, as far as it is known

    def run(self) -> None:
        """Starts them, passes on what they say, and waits.

        Raises:
            TokenmillError: What ended the training, as it was said there.
            KeyboardInterrupt: If the training was stopped by a signal.
        """
        root, train = self._context.root, self._context.run.recipe.train
        self._context.progress.moment(Moment(STEP.name, "getting ready"))
        if train.device != "cpu":
            wait_for_gpus(self._context.progress.note)
        command = launch_command(
            storage.join(root, layout.RECIPE), root, train.processes, "--events", *["--restart"] * self._context.restart
        )
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            env=_environment_of_its_own(),
        )
        assert process.stderr is not None  # it is a pipe
        words, lines = ChildWords(process.stderr), _lines(process)
        try:
            self._listen(lines)
            code = process.wait()
        except BaseException:
            self._ask_to_end(process, lines)
            raise
        finally:
            self._close(process)
            words.finish()
        self._judge(code, words)

    def _listen(self, lines: "queue.SimpleQueue[str | None]", until: float | None = None) -> None:
        """Passes on what is said, to its end; raises ``queue.Empty`` at ``until``, a time of the monotonic clock."""
        while True:
            text = lines.get(timeout=None if until is None else max(0.0, until - time.monotonic()))
            if text is None or self._hear(text) == "stopped":  # what it has to save is saved
                return

    def _hear(self, text: str) -> str:
        """Passes a line on; the kind of the event that it tells of."""
        try:
            event = parse_json(text)
        except ValueError:
            say(text.rstrip())
            return "words"
        train = self._context.recipe.train
        if event["event"] == "started":
            self._context.progress.step_started(STEP.name, train.steps, event["step"], "step")
            self._context.resumed = event["step"] > 0
            if self._anew:  # only now: what is refused before throws nothing away
                self._context.begins_anew()
            self._begun = True
        elif event["event"] == "moment":
            told = {**event, "words": tuple(event["words"])}
            del told["event"]
            self._context.progress.moment(Moment(**told))
            self._context.has_worked()
        elif event["event"] == "metrics":
            self._show(event["line"], event["steps"])
        elif event["event"] == "note":
            self._context.progress.note(event["text"])
        elif event["event"] == "failed":
            self._failure = (event["message"], event["exit_code"])
        return str(event["event"])

    def _show(self, line: dict[str, Any], steps: int) -> None:
        from model.training.report import progress_line

        if "tokens_per_second" in line:
            self._step_seconds = self._context.recipe.train.global_batch_tokens / max(1e-9, line["tokens_per_second"])
        if self._begun and "loss" in line:
            counts = {"step": line["step"], "tokens": line["tokens"]}
            self._context.progress.shard_done(STEP.name, progress_line(line, steps), counts, line["seconds"])
        else:
            self._context.progress.note(progress_line(line, steps))

    def _ask_to_end(self, process: "subprocess.Popen[str]", lines: "queue.SimpleQueue[str | None]") -> None:
        """Asks for a checkpoint, and gives time for it and the step at hand.

        One that takes longer is given up, since a cancelled run has ten seconds in all, beside that step: it is
        complete or absent, so the next run goes on from the one before it.
        """
        if process.poll() is not None:
            return
        patience, note = GRACE_SECONDS + self._step_seconds, self._context.progress.note
        deadline, asked = time.monotonic() + patience, False
        while True:
            try:
                if not asked:
                    process.send_signal(signal.SIGTERM)  # torchrun passes it on
                    asked, start = True, next_start(self._context.root)
                    note(f"saving a checkpoint, at most {patience:.0f} s; Ctrl-C again ends at once, and then {start}")
                self._listen(lines, deadline)
            except queue.Empty:
                start = next_start(self._context.root)
                note(f"the checkpoint was not saved within {patience:.0f} s and is given up: {start}")
            except Exception:
                raise
            except BaseException:  # noqa: BLE001  asked once more: closing terminals and service managers do so
                continue
            return

    def _close(self, process: "subprocess.Popen[str]") -> None:
        """Ends what is left by force."""
        end([*descendants(process.pid), process.pid] if process.poll() is None else [], 0.0)
        process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def _judge(self, code: int, words: ChildWords) -> None:
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
            raise RunError(f"training ended with exit code {code}{words.last()}")
        if unfinished(self._context.run, training_of(self._context.run)) is not None:
            raise KeyboardInterrupt


def _environment_of_its_own() -> dict[str, str]:
    """Without what a torchrun that started this process has set: the training would wait for that one's other ranks."""
    return {name: value for name, value in environment().items() if not name.startswith(OF_TORCHRUN)}


def _lines(process: "subprocess.Popen[str]") -> "queue.SimpleQueue[str | None]":
    """What a process says, line by line, then None: read in a thread, so that an interrupt loses none of it."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        assert process.stdout is not None  # it is a pipe
        with process.stdout:
            for line in process.stdout:
                lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True, name="training-lines").start()
    return lines


def launch_command(recipe: str, root: str, processes: int, *options: str) -> list[str]:
    """The command that trains a run: one Python process, or torchrun with several."""
    program = ["-m", "model.train", "--recipe", recipe, "--root", root, *options]
    if processes == 1:
        return [sys.executable, *program]
    torchrun = ["-m", "model.several", "--standalone", f"--nproc-per-node={processes}"]
    return [sys.executable, *torchrun, *program]
