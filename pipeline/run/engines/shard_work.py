"""The shards of a batch as files: what is asked, how each went, and the work itself, wherever it is done.

A batch is a folder below the run's ``logs/``: ``jobs/00000.json`` holds the arguments of up to ``JOBS_A_FILE`` shards,
``results/00000.json`` says how shard 0 of the batch went.  The data goes where it always goes: ``run_job`` publishes
the outputs and the manifest.  A shard that fails is a result, not a failed task: the error reaches the person who
waits, in its own words, and a cluster's retries are left for lost nodes.
"""

import json
import os
import socket
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pipeline.base import storage
from pipeline.base.errors import TokenmillError, in_words, parse_json
from pipeline.run.engine import Job, Step, run_job

JOBS_A_FILE = 1000


def write_jobs(folder: str, root: str, calls: Sequence[tuple[Any, ...]]) -> None:
    """Writes the batch's job files; ``calls`` are the arguments of ``run_job``."""
    for first in range(0, len(calls), JOBS_A_FILE):
        records = [
            {"root": call[0], "step": asdict(call[1]), "job": asdict(call[2]), "more": list(call[3:])}
            for call in calls[first : first + JOBS_A_FILE]
        ]
        url = storage.join(folder, "jobs", f"{first // JOBS_A_FILE:05}.json")
        storage.publish_bytes(json.dumps(records).encode(), url, root)


def result_url(folder: str, rank: int) -> str:
    """Where the result of one shard of a batch stands."""
    return storage.join(folder, "results", f"{rank:05}.json")


def work(folder: str, rank: int) -> None:
    """Makes shard ``rank`` of a batch and publishes its result."""
    records = parse_json(storage.read_bytes(storage.join(folder, "jobs", f"{rank // JOBS_A_FILE:05}.json")))
    record = records[rank % JOBS_A_FILE]
    step = Step(**{**record["step"], "libraries": tuple(record["step"]["libraries"])})
    started = time.perf_counter()
    # several Ray nodes may share a host, as in our tests: the raylet tells them apart
    result: dict[str, Any] = {
        "host": socket.gethostname(),
        "raylet": os.environ.get("RAY_RAYLET_PID", ""),
        "error": None,
    }
    try:
        run_job(record["root"], step, Job(**record["job"]), *record["more"])
    except TokenmillError as error:
        result["error"] = {"kind": type(error).__name__, "text": str(error)}
    except Exception as error:  # noqa: BLE001  any error of a shard is carried to the waiting process, not lost here
        result["error"] = {"kind": "RunError", "text": f"{in_words(error)}\n{traceback.format_exc()}"}
    result["seconds"] = round(time.perf_counter() - started, 3)
    storage.publish_bytes(json.dumps(result).encode(), result_url(folder, rank), record["root"])
