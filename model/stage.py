"""The train stage: is it done, and if not, the processes that do it.

What is done is decided by ``manifests/train/all.json``, as for every stage; it is written by the training process
itself (model/launch.py), so that training alone, under torchrun and inside a flow end in the same bytes.  This module
imports no torch: a finished run is recognised without it.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, cast

from model import metrics
from pipeline import manifest as manifests
from pipeline import storage
from pipeline.console import say
from pipeline.engine import Context, NeedsWork, Step, difference
from pipeline.engine import Job as EngineJob
from pipeline.errors import GateError, RunError, TokenmillError, UserError
from pipeline.lineage import ledger
from pipeline.manifest import Manifest, digest_file
from pipeline.pool import GRACE_SECONDS
from pipeline.run import RECIPE_FILE, Run
from pipeline.tokens import restored
from pipeline.tokens.shards import original_digest

STEP = Step("train", 1, "model.launch:main", libraries=("torch", "safetensors"))
SHARD = "all"

# [train] keys that say how to hurry, watch and keep, not which weights come out
_NOT_DEFINING = {
    "log_every_steps",
    "validate_every_steps",
    "checkpoint_every_steps",
    "keep_last",
    "keep_every_steps",
    "keep_best",
    "disk_full",
    "device",
    "threads",
    "processes",
    "parallel",
    "runs",  # folders: their tokens' digests stand in the configuration
}
# and those that change rounding only: a checkpoint may go on under another value
_ROUNDING_ONLY = {
    "micro_batch_sequences",
    "precision",
    "compile",
    "activation_checkpointing",
    "max_validation_tokens",
    "max_skipped_steps",
}


@dataclass(frozen=True)
class Training:
    """What defines a training run."""

    job: EngineJob
    trajectory: str
    takedown: str  # digest of the run's takedown.jsonl

    @property
    def fingerprint(self) -> str:
        """As in its manifest."""
        return manifests.fingerprint(STEP.name, STEP.logic_version, self.job.config, self.job.inputs, self.takedown)


def training_of(run: Run) -> Training:
    """What defines the training of a run.

    Raises:
        UserError: If there are no training tokens.
    """
    from model.corpus import token_inputs

    recipe = run.recipe
    inputs = token_inputs(run)
    train = {key: value for key, value in recipe.train.model_dump(mode="json").items() if key not in _NOT_DEFINING}
    sources = {source.name: [source.weight, source.max_epochs] for source in recipe.sources}
    sequences = recipe.train.steps * max(1, recipe.train.global_batch_tokens // recipe.model.context_length)
    config = {
        "model": recipe.model.model_dump(mode="json", exclude={"init"}),
        "train": train,
        "sources": sources,
        "validates": recipe.tokenize.validation_share > 0.0,
        "init": _init_digests(recipe.model.init),
        "runs": [before_takedown(other, token_inputs(other)) for other in map(Run.open, recipe.train.runs)],
    }
    config = json.loads(json.dumps(config))
    steering = {key: value for key, value in train.items() if key not in _ROUNDING_ONLY}
    trajectory = manifests.fingerprint(
        "train.trajectory", STEP.logic_version, {**config, "train": steering}, before_takedown(run, inputs)
    )
    # what came back joins in an epoch that had not begun, so it is no part of what led to a checkpoint
    inputs |= restored.inputs(run, sequences)
    return Training(EngineJob(SHARD, config, inputs), trajectory, ledger.digest(run.root))


def before_takedown(run: Run, inputs: dict[str, str]) -> dict[str, str]:
    """The digests that token shards had before documents were taken down from them.

    A takedown moves no token, so a checkpoint goes on from the shards as they are now.
    """
    removed = ledger.load(run.root)
    originals = {path: original_digest(run.local(path)) for path in inputs if path in removed.tokens}
    return {path: originals.get(path) or digest for path, digest in inputs.items()}


def _init_digests(folder: str | None) -> dict[str, str]:
    if folder is None:
        return {}
    names = [name for name in storage.list_files(folder) if name.endswith((".safetensors", "config.json"))]
    if not names:
        raise UserError(f"model.init = {folder!r}: no such Hugging Face folder (config.json and *.safetensors)")
    return {name: digest_file(storage.open_local(storage.join(folder, name))) for name in names}


def unfinished(run: Run, training: Training, *, rebuild: bool = False) -> str | None:
    """Why the training has to run; None when it is done."""
    found = manifests.load_manifest(run.root, STEP.name, SHARD)
    if found is None:
        return "not made yet"
    if found.fingerprint != training.fingerprint:
        return difference(found, STEP, training.job)
    versions = manifests.library_versions(STEP.libraries)
    if rebuild and found.libraries != versions:
        return f"made with other versions: {found.libraries}, now {versions}"
    return manifests.missing_output(run.root, found)


def run(context: Context) -> dict[str, Any]:
    """The stage: trains in a process of its own (several, with ``train.processes``), unless it is done."""
    training = training_of(context.run)
    reason = unfinished(context.run, training, rebuild=context.rebuild)
    if reason is not None and context.dry:
        raise NeedsWork(STEP.name, 1, {SHARD: reason})
    if reason is None:
        context.shards_skipped += 1
    else:
        _Processes(context).run()
        context.shards_run += 1
    return summary(context.run)


def summary(run: Run) -> dict[str, Any]:
    """The finished training in figures.

    Raises:
        RunError: If it is not finished.
    """
    found = manifests.load_manifest(run.root, STEP.name, SHARD)
    if found is None:
        raise RunError(f"{run.root}: training is not finished; run the same command again to go on")
    rates = [line["tokens_per_second"] for line in metrics.read_lines(run.root) if "tokens_per_second" in line]
    nested = {"by_source", "by_language"}
    return {
        **{name: value for name, value in found.counts.items() if name not in nested},
        "tokens_per_second": sorted(rates)[len(rates) // 2] if rates else None,
        "checkpoint": os.path.dirname(found.outputs[0].path),
    }


def write_manifest(run: Run, training: Training, outputs: dict[str, str], counts: dict[str, Any]) -> None:
    """Records the finished training; ``outputs`` maps each file to its digest."""
    made = Manifest(
        step=STEP.name,
        shard=SHARD,
        fingerprint=training.fingerprint,
        logic_version=STEP.logic_version,
        config=training.job.config,
        inputs=training.job.inputs,
        libraries=manifests.library_versions(STEP.libraries),
        outputs=[
            manifests.Output(path, cast(int, storage.size(run.url(path))), digest)
            for path, digest in sorted(outputs.items())
        ],
        counts=counts,
        takedown=training.takedown,
    )
    storage.publish_bytes(made.to_bytes(), manifests.manifest_url(run.root, STEP.name, SHARD), run.root)
    stage = manifests.stage_manifest_bytes(STEP.name, {SHARD: made})
    storage.publish_bytes(stage, run.url(manifests.FOLDER, f"{STEP.name}.json"), run.root)


class _Processes:
    """The training processes of a flow: a process group of their own, told to end when the flow ends.

    They also end by themselves when this process dies, however it does: their standard input closes.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._failure: tuple[str, int] | None = None

    def run(self) -> None:
        """Starts them, passes on what they tell, and waits.

        Raises:
            TokenmillError: What ended the training, as it was said there.
            KeyboardInterrupt: If the training was stopped by a signal.
        """
        recipe = self._context.run.recipe
        command = launch_command(self._context.root, recipe.train.processes)
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
        from model.report import progress_line

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
        if manifests.load_manifest(self._context.root, STEP.name, SHARD) is None:
            raise KeyboardInterrupt


def launch_command(root: str, processes: int, *options: str) -> list[str]:
    """The command that trains a run: one Python process, or torchrun with several."""
    program = ["-m", "model.train", "--recipe", storage.join(root, RECIPE_FILE), "--root", root, "--events", *options]
    if processes == 1:
        return [sys.executable, *program]
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return [sys.executable, *torchrun, *program]
