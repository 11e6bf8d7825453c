"""Runs a stage over its shards.

1. A stage (``pipeline/<stage>/stage.py:run(context)``) makes a list of ``Job``s, one a shard, for each of its steps.
2. ``Context.run_step`` compares each job with its manifest: present and matching is skipped.
3. The rest go to the pool (pipeline/pool.py); a worker calls the step's function, which writes its outputs under
   scratch names, and then publishes them and, last, the manifest.  What was taken down (pipeline/lineage) is blanked in
   the scratch files, before anything has its final name.

The same code answers "what would run?": a context with ``dry=True`` raises ``NeedsWork`` at the first step with work.
"""

import errno
import importlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import pyarrow as pa

from pipeline import manifest as manifests_module
from pipeline import storage
from pipeline.errors import PassingError, RunError
from pipeline.lineage.ledger import digest as takedown_digest
from pipeline.manifest import Manifest, Output, digest_file, load_manifest, load_manifests, manifest_url, missing_output
from pipeline.progress import Progress, Silent
from pipeline.run import Run
from pipeline.tables import Table, TableWriter

# Errors of disks, networks and object stores that may be gone at the next try.
PASSING_NUMBERS = (errno.EIO, errno.ESTALE, errno.EAGAIN, errno.EBUSY, errno.ETIMEDOUT, errno.ENETUNREACH)


@dataclass(frozen=True)
class Step:
    """One kind of work: its function, and the integer to raise when the function's bytes change.

    ``function`` and ``is_stale`` are ``module:name`` strings, loaded where they are called, so that planning imports
    nothing heavy.  ``is_stale(context, job, manifest) -> str | None`` adds a check of its own (clean: raw inputs).
    """

    name: str
    logic_version: int
    function: str
    libraries: tuple[str, ...] = ("pyarrow",)
    is_stale: str | None = None


@dataclass(frozen=True)
class Job:
    """One shard of a step.

    ``config`` and ``inputs`` (path below the run folder -> digest) define the bytes; ``arguments`` only say where
    things are or how to hurry.
    """

    shard: str
    config: dict[str, Any]
    inputs: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)


class NeedsWork(Exception):  # noqa: N818  a signal, not an error: the answer of a dry run
    """A dry run met a step with work to do; ``reasons`` maps each shard to the cause."""

    def __init__(self, step: str, total: int, reasons: Mapping[str, str]) -> None:
        super().__init__(step)
        self.step, self.total, self.reasons = step, total, dict(reasons)


class Outputs:
    """What a step's function writes and counts; given to it by the engine."""

    def __init__(self, root: str, job: Job) -> None:
        self._root, self._job = root, job
        self._files: dict[str, Path] = {}
        self._writers: dict[str, TableWriter] = {}
        self._replaced_rows: dict[str, int] = {}
        self.counts: dict[str, Any] = {}
        self.read: dict[str, Any] = {}

    def table(
        self, path: str, table: Table, metadata: Mapping[str, str] | None = None, schema: pa.Schema | None = None
    ) -> TableWriter:
        """A writer for the table that will stand at ``path`` below the run folder."""
        self._writers[path] = TableWriter(self.file(path), table, metadata, schema)
        return self._writers[path]

    def file(self, path: str) -> Path:
        """A local path to write the file that will stand at ``path`` below the run folder."""
        return self._files.setdefault(path, storage.scratch(self._root))

    def run_path(self, path: str) -> Path:
        """A local path to read an input of the job, its checksum verified.

        Raises:
            RunError: If the file is not what its manifest says.
        """
        local = storage.open_local(storage.join(self._root, path))
        expected = self._job.inputs[path]
        if _digest_once(local) != expected:
            raise RunError(
                f"{path}: damaged, its checksum is not the one in its manifest; "
                f"`tokenmill verify RUN --delete` removes what is damaged, then run again"
            )
        return local

    def count(self, **counts: Any) -> None:
        """Adds integers (or nested dicts of them) to the manifest's counts."""
        for name, value in counts.items():
            if isinstance(value, Mapping):
                self.counts[name] = dict(sorted(value.items()))
            else:
                self.counts[name] = self.counts.get(name, 0) + value

    def written(self) -> dict[str, Path]:
        """What has been written so far: path below the run folder -> scratch file."""
        return dict(self._files)

    def replace(self, path: str, scratch: Path, rows: int) -> None:
        """Publishes another scratch file, with so many rows, in place of what was written for ``path``."""
        self._files[path].unlink()
        self._files[path], self._replaced_rows[path] = scratch, rows

    def publish(self) -> list[Output]:
        """Moves every file to its final name."""
        published = []
        for path, local in sorted(self._files.items()):
            writer = self._writers.get(path)
            rows = self._replaced_rows.get(path, writer.rows if writer else None)
            output = Output(path, local.stat().st_size, digest_file(local), rows)
            storage.publish(local, storage.join(self._root, path))
            published.append(output)
        return published

    def discard(self) -> None:
        """Removes what was written, after a failure."""
        for local in self._files.values():
            local.unlink(missing_ok=True)


_verified: dict[tuple[str, int, int], str] = {}


def _digest_once(path: Path) -> str:
    """The file's digest, computed once a process for the same file, size and modification time."""
    status = path.stat()
    key = (str(path), status.st_size, status.st_mtime_ns)
    if key not in _verified:
        _verified[key] = digest_file(path)
    return _verified[key]


def load_function(name: str) -> Callable[..., Any]:
    """The function that ``module:name`` names."""
    module, _, attribute = name.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return function


def run_job(root: str, step: Step, job: Job, takedown: str = "") -> tuple[Manifest, float]:
    """Makes one shard and publishes it; called in a worker process.

    Args:
        root: The run folder.
        step: What is done,
        job: and on which shard.
        takedown: Digest of the run's takedown.jsonl, empty where there is none.

    Returns:
        The manifest, and the seconds it took.
    """
    started = time.perf_counter()
    outputs = Outputs(root, job)
    try:
        load_function(step.function)(job, outputs)
        if takedown:
            load_function("pipeline.lineage.blank:blank_outputs")(root, outputs, takedown)
        made = _publish(root, step, job, outputs, takedown)
    except OSError as error:
        outputs.discard()
        if error.errno == errno.ENOSPC:
            raise RunError(
                f"no space left on the disk of {root} while writing {step.name} {job.shard}: {error}"
            ) from error
        if isinstance(error, ConnectionError | TimeoutError) or error.errno in PASSING_NUMBERS:
            raise PassingError(f"{step.name} {job.shard}: reading or writing failed: {error}") from error
        raise RunError(f"{step.name} {job.shard}: {type(error).__name__}: {error}") from error
    except BaseException:
        outputs.discard()
        raise
    return made, time.perf_counter() - started


def _publish(root: str, step: Step, job: Job, outputs: Outputs, takedown: str) -> Manifest:
    """Old manifest away, outputs in, what the old one had more away, new manifest last."""
    old = load_manifest(root, step.name, job.shard)
    storage.delete(manifest_url(root, step.name, job.shard))
    published = outputs.publish()
    kept = {output.path for output in published}
    for output in old.outputs if old else ():
        if output.path not in kept:
            storage.delete(storage.join(root, output.path))
    made = Manifest(
        step=step.name,
        shard=job.shard,
        fingerprint=_fingerprint(step, job, takedown),
        logic_version=step.logic_version,
        config=job.config,
        inputs=job.inputs,
        libraries=manifests_module.library_versions(step.libraries),
        outputs=published,
        counts=outputs.counts,
        read=outputs.read,
        takedown=takedown,
    )
    storage.publish_bytes(made.to_bytes(), manifest_url(root, step.name, job.shard), root)
    return made


def _fingerprint(step: Step, job: Job, takedown: str) -> str:
    config = json.loads(json.dumps(job.config))  # tuples become lists, as they are read back
    return manifests_module.fingerprint(step.name, step.logic_version, config, job.inputs, takedown)


class Workers(Protocol):
    """What a context hands its jobs to: the process pool of this machine, or a cluster (pipeline/engines/)."""

    def run(
        self, function: Callable[..., Any], jobs: Sequence[tuple[tuple[Any, ...], Job]]
    ) -> Iterator[tuple[Job, tuple[Manifest, float]]]:
        """Calls ``function(*arguments)`` for each ``(arguments, job)``; yields results as they come."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Context:
    """What a stage is given: the run, the workers, and the ways to run a step and to look at earlier ones."""

    def __init__(
        self,
        run: Run,
        pool: Workers | None = None,
        progress: Progress | None = None,
        *,
        dry: bool = False,
        rebuild: bool = False,
    ) -> None:
        self.run, self.recipe, self.root = run, run.recipe, run.root
        self.progress: Progress = progress or Silent()
        self.dry, self.rebuild = dry, rebuild
        self.takedown = takedown_digest(run.root)
        self.shards_run = self.shards_skipped = 0
        self._pool = pool
        self._current: dict[str, dict[str, Manifest]] = {}

    def manifests(self, step: str) -> dict[str, Manifest]:
        """Manifests of an earlier step, by shard."""
        if step not in self._current:
            self._current[step] = load_manifests(self.root, step)
        return self._current[step]

    def document_shards(self) -> dict[str, str]:
        """Document shards in order: name ("00000", "00012-1") -> digest."""
        found = [m.digests("documents/") for m in self.manifests("clean").values()]
        digests = {path: digest for paths in found for path, digest in paths.items()}
        return {Path(path).stem: digests[path] for path in sorted(digests)}

    def verdict_stages_before(self, stage: str) -> list[str]:
        """Stages of this recipe that have judged documents before ``stage`` does."""
        stages = self.recipe.stages
        end = stages.index(stage) if stage in stages else len(stages)
        return [name for name in stages[:end] if name in ("dedup", "filter")]

    def verdict_inputs(self, stage: str, shard: str) -> dict[str, str]:
        """The verdict shards of the stages before ``stage``, as ``Job.inputs`` wants them."""
        inputs: dict[str, str] = {}
        for earlier in self.verdict_stages_before(stage):
            inputs |= self.manifests(earlier)[shard].digests("verdicts/")
        return inputs

    def run_step(self, step: Step, jobs: Iterable[Job]) -> dict[str, Manifest]:
        """Runs what is not done, and returns the manifest of every job's shard, in job order.

        Raises:
            NeedsWork: In a dry context, if there is work.
            RunError: If a shard cannot be made.
        """
        jobs = list(jobs)
        done, reasons = self._compare(step, jobs)
        orphans = [shard for shard in load_manifests(self.root, step.name) if shard not in {job.shard for job in jobs}]
        reasons |= dict.fromkeys(orphans, "no longer part of the run")
        if reasons and self.dry:
            raise NeedsWork(step.name, len(jobs), reasons)
        self.shards_skipped += len(done)
        self.progress.step_started(step.name, len(jobs), len(done))
        for shard in orphans:
            self._remove(step, shard)
        for job, (made, seconds) in self._work(step, [job for job in jobs if job.shard not in done]):
            done[job.shard] = made
            self.shards_run += 1
            self.progress.shard_done(step.name, job.shard, made.counts, seconds)
        self._current[step.name] = {job.shard: done[job.shard] for job in jobs}
        self._write_stage_manifest(step)
        return self._current[step.name]

    def forget_step(self, step: Step) -> None:
        """Removes the outputs and the manifests of a step that the recipe no longer asks for.

        Raises:
            NeedsWork: In a dry context.
        """
        self.run_step(step, [])
        storage.delete(storage.join(self.root, manifests_module.FOLDER, f"{step.name}.json"))

    def _work(self, step: Step, jobs: list[Job]) -> Iterable[tuple[Job, tuple[Manifest, float]]]:
        if not jobs:
            return
        if self._pool is None:
            raise RunError("this context has no pool: it can only look")
        yield from self._pool.run(run_job, [((self.root, step, job, self.takedown), job) for job in jobs])

    def _compare(self, step: Step, jobs: list[Job]) -> tuple[dict[str, Manifest], dict[str, str]]:
        """Splits jobs into done ones and, with the cause, those to run."""
        done: dict[str, Manifest] = {}
        reasons: dict[str, str] = {}
        for job in jobs:
            found = load_manifest(self.root, step.name, job.shard)
            reason = self._why(step, job, found)
            if reason is None and found is not None:
                done[job.shard] = found
            else:
                reasons[job.shard] = reason or "not made yet"
        return done, reasons

    def _why(self, step: Step, job: Job, found: Manifest | None) -> str | None:
        if found is None:
            return "not made yet"
        if found.takedown != self.takedown:
            raise RunError(
                f"{self.root}: {step.name} {job.shard} was made under another takedown.jsonl: a takedown was "
                f"interrupted, or the file was changed. `tokenmill takedown {self.root}` finishes what it records; "
                "if the file was lost, bring it back from a copy"
            )
        if found.fingerprint != _fingerprint(step, job, self.takedown):
            return difference(found, step, job)
        reason = missing_output(self.root, found)
        if reason is None and step.is_stale:
            reason = load_function(step.is_stale)(self, job, found)
        versions = manifests_module.library_versions(step.libraries)
        if reason is None and found.libraries != versions:
            changed = [
                f"{n} {found.libraries.get(n)} -> {v}" for n, v in versions.items() if found.libraries.get(n) != v
            ]
            if self.rebuild:
                return f"made with other versions: {', '.join(changed)}"
            self.progress.note(f"{step.name} {job.shard} was made with other versions ({', '.join(changed)}); kept")
        return reason

    def _remove(self, step: Step, shard: str) -> None:
        old = load_manifest(self.root, step.name, shard)
        storage.delete(manifest_url(self.root, step.name, shard))
        for output in old.outputs if old else ():
            storage.delete(storage.join(self.root, output.path))

    def _write_stage_manifest(self, step: Step) -> None:
        data = manifests_module.stage_manifest_bytes(step.name, self._current[step.name])
        url = storage.join(self.root, manifests_module.FOLDER, f"{step.name}.json")
        if not storage.exists(url) or storage.read_bytes(url) != data:
            if self.dry:
                raise NeedsWork(
                    step.name, len(self._current[step.name]), {"all": "its stage manifest is not up to date"}
                )
            storage.publish_bytes(data, url, self.root)


def difference(found: Manifest, step: Step, job: Job) -> str:
    """Why a shard's fingerprint is another one, in words."""
    if found.logic_version != step.logic_version:
        return f"made by logic version {found.logic_version} of {step.name}, now {step.logic_version}"
    old, new = dict(_leaves(found.config)), dict(_leaves(json.loads(json.dumps(job.config))))
    keys = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    if keys:
        return "; ".join(f"{key} was {old.get(key)!r}, is {new.get(key)!r}" for key in keys[:3])
    paths = [p for p in sorted(found.inputs.keys() | job.inputs.keys()) if found.inputs.get(p) != job.inputs.get(p)]
    return f"its input changed: {', '.join(paths[:3])}"


def _leaves(value: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, value
