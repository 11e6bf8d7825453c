"""A small stage for the tests of the engine: copies numbers into tables, and can be told to misbehave."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.run.context import Context
from pipeline.run.engine import Job, Outputs, Step
from pipeline.run.tables import VERDICTS

STEP = Step("dummy", 1, "tests.pipeline.run.dummy_stage:work")
AFTER = Step("after", 1, "tests.pipeline.run.dummy_stage:read_back")
BESIDE = Step("beside", 1, "tests.pipeline.run.dummy_stage:measure")  # reads nothing of what ``STEP`` writes


def jobs(shards: int, rows: int = 50, **arguments: object) -> list[Job]:
    return [Job(f"{n:05}", {"rows": rows, "first": n * rows}, {}, dict(arguments)) for n in range(shards)]


def work(job: Job, outputs: Outputs) -> None:
    rows, first = job.config["rows"], job.config["first"]
    misbehave(job)
    with outputs.table(f"dummy/{job.shard}.arrow", VERDICTS) as writer:
        for part in range(0, rows, 10):
            ids = [f"{first + part + i:016}".encode() for i in range(min(10, rows - part))]
            columns = [pa.array(ids, pa.binary(16)), pa.array([True] * len(ids)), pa.array([["a"]] * len(ids))]
            writer.write(pa.record_batch(columns, schema=VERDICTS.schema))
            time.sleep(job.arguments.get("slow_seconds", 0.0))
    outputs.count(documents=rows)


def misbehave(job: Job) -> None:
    if job.shard == job.arguments.get("fails"):
        raise ValueError("this shard was told to fail")
    if job.arguments.get("lose_endpoint"):
        lose_object_store(job.arguments["lose_endpoint"])
    marker = job.arguments.get("kill_once")
    if marker and job.shard == "00001" and not Path(marker).exists():
        Path(marker).write_text("killed", encoding="utf-8")
        os.kill(os.getpid(), signal.SIGKILL)
    if job.shard == job.arguments.get("always_killed"):
        os.kill(os.getpid(), job.arguments.get("signal", signal.SIGKILL))
    if job.shard == job.arguments.get("ends"):
        os._exit(7)
    if job.shard == job.arguments.get("holds_memory"):
        held = np.ones(job.arguments["held_bytes"], np.uint8)
        time.sleep(len(held) and 60.0)
    if job.shard == job.arguments.get("asks_for_all_memory"):
        np.empty(1 << 60, np.uint8)


def lose_object_store(endpoint: str) -> None:
    import s3fs

    os.environ["AWS_ENDPOINT_URL"] = endpoint
    s3fs.S3FileSystem.retries = 1
    s3fs.S3FileSystem.clear_instance_cache()


def read_back(job: Job, outputs: Outputs) -> None:
    (path,) = job.inputs
    data = outputs.run_path(path).read_bytes()
    outputs.file(f"after/{job.shard}.txt").write_text(str(len(data)))
    outputs.count(bytes=len(data))


def measure(job: Job, outputs: Outputs) -> None:
    misbehave(job)
    outputs.file(f"beside/{job.shard}.txt").write_text(job.shard)


def run(context: Context, shards: int, **arguments: object) -> None:
    made = context.run_step(STEP, jobs(shards, **arguments))
    context.run_step(AFTER, [Job(shard, {}, manifest.digests("dummy/")) for shard, manifest in made.items()])
