"""Shards on a cluster through datatrove's Ray and Slurm executors.

The manifests decide what is done, here as everywhere: datatrove's own completion marks are not consulted.  A cluster
engine writes a batch (pipeline/run/engines/shard_work.py) below ``RUN/logs/cluster/``, starts datatrove's executor over
it, and watches the results appear.  A shard that has none when the executor has ended (a lost node, a pre-empted job
that was not queued again) is sent once more; after ``TRIES`` the shards are named and the run stops.
"""

import contextlib
import sys
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.base import errors, storage
from pipeline.base.closable import Closable
from pipeline.base.console import say
from pipeline.base.errors import RunError, TokenmillError, parse_json
from pipeline.base.pool import TRIES
from pipeline.base.words import counted
from pipeline.run import layout
from pipeline.run.engine import Job, Step, run_job
from pipeline.run.engines.batch import Batch
from pipeline.run.engines.leader import Leader, LeaderBatch
from pipeline.run.engines.shard_work import result_url, write_jobs
from pipeline.run.manifest import Manifest, load_manifest

LOOKS_SHARE = 0.1  # of a batch's time so far: so much later its end may be seen
SHORTEST_LOOK = 0.1  # seconds
Call = tuple[tuple[Any, ...], Job]
Made = tuple[Job, tuple[Manifest, float]]


class Cluster(Closable, ABC):
    """Workers of a ``Context`` that are elsewhere.

    Args:
        workers: Shards at a time; 0: as many as there is room for.
        leader_seconds: What a step may take on this machine before its shards are sent away.
    """

    def __init__(self, workers: int, leader_seconds: float = 0.0) -> None:
        self.workers, self._leader = workers, Leader(leader_seconds)

    @abstractmethod
    def submit(self, root: str, folder: str, step: Step, tasks: int, shard_seconds: float) -> Batch:
        """Starts the batch in ``folder``, whose shards take about ``shard_seconds`` each; 0: not known."""

    def close(self) -> None:
        """Ends the process of this machine."""
        self._leader.close()

    def run(self, function: Callable[..., Any], jobs: Sequence[Call]) -> Iterator[Made]:
        """Runs shards; see ``pipeline.run.context.Workers``.

        Raises:
            RunError: If a shard has no result after ``TRIES`` batches, or the cluster is lost.
            TokenmillError: The first error that a shard ended with.
        """
        if function is not run_job:
            raise ValueError(f"a cluster runs shards only (pipeline.run.engine.run_job), not {function}")
        work = _Work(list(jobs))
        if self._leader.seconds:
            yield from self._attempt(work, lambda folder: self._leader.submit(folder, len(work.left)))
        for _ in range(TRIES):
            if not work.left:
                return
            yield from self._attempt(work, lambda folder: self._send(work, folder))
            if work.hopeless:
                break
        if work.left:
            raise RunError(_nothing_came(work))

    def _send(self, work: "_Work", folder: str) -> Batch:
        root, step = work.left[0][0][:2]
        return self.submit(root, folder, step, len(work.left), work.shard_seconds())

    def _attempt(self, work: "_Work", submit: Callable[[str], Batch]) -> Iterator[Made]:
        """One batch of all that is left."""
        calls = list(work.left)
        root, step = calls[0][0][:2]
        folder = storage.join(root, layout.CLUSTER_LOGS, f"{step.name}-{uuid.uuid4().hex[:8]}")
        write_jobs(folder, root, [arguments for arguments, _ in calls])
        batch = submit(folder)
        seen: set[int] = set()
        try:
            for number, made in _watch(batch, folder, calls):
                seen.add(number)
                work.seconds.append(made[1][1])
                yield made
            work.left = [call for number, call in enumerate(calls) if number not in seen]
            work.ended(batch, made_some=bool(seen))
        finally:
            batch.cancel(done=len(seen) == len(calls))


class _Work:
    """What a call of ``Cluster.run`` has still to do.

    Attributes:
        left: Shards without a result.
        seconds: What each finished one took.
        why: Why the last batch left some, as far as is known.
        hopeless: What a person has to change before another batch is worth while; empty: nothing.
    """

    def __init__(self, left: list[Call]) -> None:
        self.left, self.why, self.hopeless, self.batches = left, "", "", 0
        self.seconds: list[float] = []

    def shard_seconds(self) -> float:
        """What a shard takes, on average; 0: not known."""
        return sum(self.seconds) / len(self.seconds) if self.seconds else 0.0

    def ended(self, batch: Batch, *, made_some: bool) -> None:
        """A batch is over: tells what it left, if it was one of a cluster."""
        if not self.left or isinstance(batch, LeaderBatch):
            return
        self.batches += 1
        self.why, cure = batch.why_missing()
        self.hopeless = "" if made_some else cure
        if not self.hopeless and self.batches < TRIES:
            because = f" ({self.why})" if self.why else ""
            say(f"{self.left[0][0][1].name}: no result of {counted(len(self.left), 'shard')}{because}; sent again")


def _nothing_came(work: _Work) -> str:
    (root, step, *_), _ = work.left[0]
    names = ", ".join(job.shard for _, job in work.left[:5])
    tries = "came to no result" if work.hopeless else f"came to no result in {counted(TRIES, 'try', 'tries')}"
    because = f": {work.why}" if work.why else ""
    cure = work.hopeless or f"what it said is in {storage.join(root, layout.CLUSTER_LOGS)}"
    return f"{step.name}: {counted(len(work.left), 'shard')} ({names}) {tries} on the cluster{because}; {cure}"


def _watch(batch: Batch, folder: str, calls: list[Call]) -> Iterator[tuple[int, Made]]:
    """The results of a batch as they appear, until all are there or none can come any more."""
    seen: set[int] = set()
    seconds: list[float] = []
    started, ended_at = time.monotonic(), 0.0
    while len(seen) < len(calls):
        ended = batch.ended(seconds)
        names = storage.list_files(storage.join(folder, "results"), ".json")
        fresh = sorted({int(name.removesuffix(".json")) for name in names} - seen)
        for number in fresh:
            seen.add(number)
            made = _made(folder, number, calls[number])
            seconds.append(made[1][1])
            yield number, made
        now = time.monotonic()
        ended_at = (ended_at or now) if ended and not fresh else 0.0
        if ended_at and now - ended_at >= batch.late_seconds:
            return
        if not fresh:  # others work elsewhere: all that can be done is to look again
            time.sleep(max(SHORTEST_LOOK, min(batch.poll_seconds, LOOKS_SHARE * (now - started))))


def _made(folder: str, number: int, call: Call) -> Made:
    arguments, job = call
    result = parse_json(storage.read_bytes(result_url(folder, number)))
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
