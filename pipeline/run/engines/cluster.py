"""Shards on a cluster through datatrove's Ray and Slurm executors.

The manifests decide what is done, here as everywhere: datatrove's own completion marks are not consulted.  A cluster
engine writes a batch (pipeline/run/engines/shard_step.py) below ``RUN/logs/cluster/``, starts datatrove's executor over
it, and watches the results appear.  A shard that has none when the executor has ended (a lost node, a pre-empted job
that was not queued again) is sent once more; after ``TRIES`` the shards are named and the run stops.
"""

import contextlib
import json
import sys
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.base import errors, storage
from pipeline.base.closable import Closable
from pipeline.base.errors import RunError, TokenmillError
from pipeline.base.pool import TRIES
from pipeline.base.words import counted
from pipeline.run import layout
from pipeline.run.engine import Job, Step, run_job
from pipeline.run.manifest import Manifest, load_manifest

LATE_LOOKS = 3  # at the results after the executor has ended: a shared file system may show them late
Call = tuple[tuple[Any, ...], Job]
Made = tuple[Job, tuple[Manifest, float]]


class Batch(ABC):
    """A batch that has been handed to a cluster."""

    poll_seconds: float

    @abstractmethod
    def ended(self) -> bool:
        """True when no task of the batch runs or waits any more.

        Raises:
            RunError: If the cluster is lost.
        """

    @abstractmethod
    def cancel(self) -> None:
        """Ends every task of the batch."""


class Cluster(Closable, ABC):
    """Workers of a ``Context`` that are elsewhere."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    @abstractmethod
    def submit(self, root: str, folder: str, step: Step, tasks: int) -> Batch:
        """Starts the batch in ``folder``."""

    def run(self, function: Callable[..., Any], jobs: Sequence[Call]) -> Iterator[Made]:
        """Runs shards; see ``pipeline.run.context.Workers``.

        Raises:
            RunError: If a shard has no result after ``TRIES`` batches, or the cluster is lost.
            TokenmillError: The first error that a shard ended with.
        """
        if function is not run_job:
            raise ValueError(f"a cluster runs shards only (pipeline.run.engine.run_job), not {function}")
        left = list(jobs)
        for _ in range(TRIES):
            if not left:
                return
            done: set[int] = set()
            for number, made in self._run_batch(left):
                done.add(number)
                yield made
            left = [call for number, call in enumerate(left) if number not in done]
        if left:
            names = ", ".join(call[1].shard for call in left[:5])
            raise RunError(
                f"{left[0][0][1].name}: {counted(len(left), 'shard')} ({names}) came to no result in {TRIES} tries on "
                "the cluster; what it said is in "
                f"{storage.join(left[0][0][0], layout.CLUSTER_LOGS)}"
            )

    def _run_batch(self, calls: list[Call]) -> Iterator[tuple[int, Made]]:
        from pipeline.run.engines.shard_step import write_jobs

        root, step = calls[0][0][:2]
        folder = storage.join(root, layout.CLUSTER_LOGS, f"{step.name}-{uuid.uuid4().hex[:8]}")
        write_jobs(folder, root, [arguments for arguments, _ in calls])
        batch = self.submit(root, folder, step, len(calls))
        try:
            yield from self._watch(batch, folder, calls)
        finally:
            batch.cancel()

    def _watch(self, batch: Batch, folder: str, calls: list[Call]) -> Iterator[tuple[int, Made]]:
        seen: set[int] = set()
        late = 0
        while len(seen) < len(calls) and late < LATE_LOOKS:
            ended = batch.ended()
            names = storage.list_files(storage.join(folder, "results"), ".json")
            fresh = sorted({int(name.removesuffix(".json")) for name in names} - seen)
            for number in fresh:
                seen.add(number)
                yield number, _made(folder, number, calls[number])
            late = late + 1 if ended and not fresh else 0
            if not fresh and len(seen) < len(calls):
                time.sleep(batch.poll_seconds)  # the cluster works elsewhere: all that can be done is to look again


def _made(folder: str, number: int, call: Call) -> Made:
    from pipeline.run.engines.shard_step import result_url

    arguments, job = call
    result = json.loads(storage.read_bytes(result_url(folder, number)))
    if result["error"]:
        kind = getattr(errors, result["error"]["kind"], RunError)
        text = f"{arguments[1].name} {job.shard} on {result['host']}: {result['error']['text']}"
        raise kind(text) if issubclass(kind, TokenmillError) else RunError(text)
    manifest = load_manifest(arguments[0], arguments[1].name, job.shard)
    if manifest is None:
        raise RunError(
            f"{arguments[1].name} {job.shard}: made on {result['host']}, but its manifest is not seen here; "
            f"{arguments[0]} has to be the same folder on every node"
        )
    return job, (manifest, result["seconds"])


def local_log(root: str, name: str) -> Path:
    """A local file for what a cluster's client says."""
    folder = (
        storage.local_path(root) / layout.CLUSTER_LOGS if storage.is_local(root) else storage.cache_folder() / "cluster"
    )
    with contextlib.suppress(FileExistsError):
        folder.mkdir(parents=True)
    return folder / name


def activation(venv: str) -> str:
    """The script that gives a node the environment of this process; "" where it is no virtual environment."""
    ours = Path(sys.prefix) / "bin" / "activate"
    return venv or (str(ours) if ours.exists() else "")
