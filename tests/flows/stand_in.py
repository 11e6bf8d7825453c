"""Small stages in place of the real ones, and the command line over them: ``python -m tests.flows.stand_in run ...``.

Every flow test runs the real flows, commands and engine; only what a shard does is small and quick.  The recipe's
``clean.language_characters`` is the number of rows, so that a change of it changes the bytes; the environment variable
``STAND_IN_SLOW`` (seconds for ten rows) and ``STAND_IN_FAILS`` (a shard's name) make it slow or fail, and
``STAND_IN_SIGNALLED`` lets the run's process get SIGTERM while it is in a destructor.
"""

import json
import os
import signal
import subprocess
import sys
from typing import Any

from flows.session import stages
from pipeline.run.context import Context
from pipeline.run.engine import Job, Outputs, Step
from tests.pipeline.run import dummy_stage

SHARDS = 6
HERE = "tests.flows.stand_in"
CLEAN = Step("clean", 1, "tests.pipeline.run.dummy_stage:work")
TRAIN = Step("train", 1, f"{HERE}:train_shard")
REPORT = Step("report", 1, f"{HERE}:report_shard")


def clean(context: Context) -> dict[str, Any]:
    slow = float(os.environ.get("STAND_IN_SLOW", "0"))
    arguments = {"slow_seconds": slow, "fails": os.environ.get("STAND_IN_FAILS")}
    rows = context.recipe.clean.language_characters
    made = context.run_step(CLEAN, dummy_stage.jobs(SHARDS, rows=rows, **arguments))
    documents = sum(manifest.counts["documents"] for manifest in made.values())
    return {"records_in": documents, "documents": documents, "excluded": 0, "quarantined": 0}


def _after(context: Context, stage: str) -> dict[str, Any]:
    made = context.manifests("clean")
    jobs = [Job(shard, {"stage": stage}, manifest.digests("dummy/")) for shard, manifest in made.items()]
    step = Step(stage, 1, f"{HERE}:echo")
    done = context.run_step(step, jobs)
    return {"documents_in": len(done), "kept": len(done), "dropped": 0}


def echo(job: Job, outputs: Outputs) -> None:
    (path,) = job.inputs
    outputs.file(f"{job.config['stage']}/{job.shard}.txt").write_text(str(len(outputs.run_path(path).read_bytes())))
    outputs.count(documents=1)


class Signalled:
    """Its destructor gets SIGTERM, as one does that runs in a collection."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def dedup(context: Context) -> dict[str, Any]:
    if "STAND_IN_SIGNALLED" in os.environ and not context.dry:
        Signalled()
    return _after(context, "dedup")


def filter_(context: Context) -> dict[str, Any]:
    return _after(context, "filter") | {"reasons": {"gopher_quality.min_words": 2}}


def tokenize(context: Context) -> dict[str, Any]:
    return _after(context, "tokenize") | {"tokens": 1000}


def train(context: Context) -> dict[str, Any]:
    job = Job("all", {"steps": context.recipe.train.steps}, arguments={"sleep": os.environ.get("STAND_IN_TRAINS", "0")})
    context.run_step(TRAIN, [job])
    metrics = "".join(json.dumps({"step": n, "loss": 6.0 - n / 10}) + "\n" for n in range(10))
    from pipeline.base import storage

    if not context.dry:
        storage.publish_bytes(metrics.encode(), context.run.url("metrics/train.jsonl"), context.root)
    return {"steps": context.recipe.train.steps, "train_loss": 5.1}


def train_shard(job: Job, outputs: Outputs) -> None:
    subprocess.run(["sleep", job.arguments["sleep"]], check=True)
    outputs.file("checkpoints/step-0000001/state.json").write_text("{}")


def report(context: Context) -> dict[str, Any]:
    context.run_step(REPORT, [Job("all", {})])
    return {"page": "report/index.html"}


def report_shard(job: Job, outputs: Outputs) -> None:
    outputs.file("report/index.html").write_text("<!doctype html><title>stand-in</title>")


STAND_INS = {
    "clean": f"{HERE}:clean",
    "dedup": f"{HERE}:dedup",
    "filter": f"{HERE}:filter_",
    "tokenize": f"{HERE}:tokenize",
    "train": f"{HERE}:train",
    "report": f"{HERE}:report",
}


def install() -> None:
    """Puts the stand-ins in place of the stages of this process."""
    stages.STAGES.update(STAND_INS)


if __name__ == "__main__":
    from flows.cli.app import main

    install()
    main(sys.argv[1:])
