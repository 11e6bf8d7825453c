"""One shard of one step, made in a worker process: ``run_job``.

1. The step's function is called with the job and an ``Outputs``.  It reads its inputs, whose checksums are verified,
   and writes its outputs under scratch names.
2. Where the run has a takedown, ``before_publish`` blanks what was taken down in the scratch files, before anything has
   its final name.
3. The old manifest is removed, the outputs move to their final names, and the new manifest is written last.

A process that is killed anywhere in this leaves a shard without a manifest; the next run makes it again, with the same
bytes.  Which jobs there are, and which of them are done, is decided before: pipeline/run/context.py.
"""

import errno
import importlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.base import storage
from pipeline.base.errors import FULL, PassingError, RunError, in_a_sentence, parse_json
from pipeline.run import manifest as manifests
from pipeline.run.manifest import Manifest, Output, digest_file, manifest_url, sound_manifest
from pipeline.run.table_files import Table, TableWriter, file_version, mark_sound

# errors of disks, networks and object stores that another try may not meet again
PASSING_NUMBERS = (errno.EIO, errno.ESTALE, errno.EAGAIN, errno.EBUSY, errno.ETIMEDOUT, errno.ENETUNREACH)


@dataclass(frozen=True)
class Step:
    """One kind of work: its function, and the integer to raise when the function's bytes change.

    ``function`` and ``is_stale`` are ``module:name`` strings, loaded where they are called, so that planning imports
    nothing heavy.  ``is_stale(context, job, manifest) -> str | None`` adds a check of its own (clean: raw inputs).
    ``careful``: a job that kills its worker is given ``arguments["careful"]`` and tried once more; its function then
    tries each part of its input in a process of its own, and leaves out what ends it.
    ``lasting``: what it makes outlives the stage, and a power cut.
    """

    name: str
    logic_version: int
    function: str
    libraries: tuple[str, ...] = ("pyarrow",)
    is_stale: str | None = None
    careful: bool = False
    lasting: bool = True


@dataclass(frozen=True)
class Job:
    """One shard of a step.

    ``config`` and ``inputs`` (path below the run folder -> digest) define the bytes of its outputs.  ``arguments`` do
    not: they only say where things are, or how to hurry.
    """

    shard: str
    config: dict[str, Any]
    inputs: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)


class Outputs:
    """What a step's function writes, reads and counts."""

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

    def url(self, path: str) -> str:
        """Where a file of the run stands, to read ranges that have their own checksums (table_files.py)."""
        return storage.join(self._root, path)

    def run_path(self, path: str) -> Path:
        """A local path to read an input of the job, its checksum verified.

        Raises:
            RunError: If the file is not what its manifest says.
        """
        local = storage.open_local(storage.join(self._root, path))
        expected = self._job.inputs[path]
        if _digest_of(local) != expected:
            raise RunError(
                f"{path}: damaged, its checksum is not the one in its manifest; "
                "`tokenmill verify RUN --delete` removes what is damaged, or says what else heals it; then run again"
            )
        mark_sound(local)
        return local

    def count(self, **counts: Any) -> None:
        """Adds whole numbers to the manifest's counts; a dict of them, such as counts by reason, is set as it is."""
        for name, value in counts.items():
            if isinstance(value, Mapping):
                self.counts[name] = dict(sorted(value.items()))
            else:
                self.counts[name] = self.counts.get(name, 0) + value

    def written(self) -> dict[str, Path]:
        """What has been written so far: path below the run folder -> scratch file."""
        return dict(self._files)

    def replace(self, path: str, scratch: Path, rows: int) -> None:
        """Takes another scratch file, with ``rows`` rows, in place of what was written for ``path``."""
        self._files[path].unlink()
        self._files[path], self._replaced_rows[path] = scratch, rows

    def publish(self, *, lasting: bool = True) -> list[Output]:
        """Moves every file to its final name."""
        published = []
        for path, local in sorted(self._files.items()):
            writer = self._writers.get(path)
            rows = self._replaced_rows.get(path, writer.rows if writer else None)
            output = Output(path, local.stat().st_size, digest_file(local), rows)
            url = storage.join(self._root, path)
            storage.publish(local, url, lasting=lasting)
            if storage.is_local(url):
                mark_sound(final := storage.local_path(url))
                _digests[file_version(final)] = output.digest
            published.append(output)
        return published

    def discard(self) -> int:
        """Removes what was written, after a failure; returns how many bytes it was given to write."""
        found = [path for path in self._files.values() if path.exists()]
        size = max(sum(path.stat().st_size for path in found), sum(table.given for table in self._writers.values()))
        for path in found:
            path.unlink(missing_ok=True)
        return size


_digests: dict[tuple[str, int, int], str] = {}  # of versions of files


def _digest_of(path: Path) -> str:
    """The file's digest.  A worker reads a file once for it, however many of its jobs have it as an input."""
    version = file_version(path)
    if version not in _digests:
        _digests[version] = digest_file(path)
    return _digests[version]


def load_function(name: str) -> Callable[..., Any]:
    """The function that ``module:name`` names."""
    module, _, attribute = name.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return function


def run_job(root: str, step: Step, job: Job, takedown: str = "", before_publish: str = "") -> tuple[Manifest, float]:
    """Makes one shard and publishes it; called in a worker process.

    Args:
        root: The run folder.
        step: The step.
        job: Its shard.
        takedown: Digest of the run's takedown.jsonl; empty where there is none.
        before_publish: ``module:name`` of the function that takes out of the outputs what was taken down; where there
            is a takedown, it is called with (root, outputs, takedown).

    Returns:
        The manifest, and the seconds it took.

    Raises:
        PassingError: If reading or writing failed in a way that another try may not meet again.
        RunError: If it failed in another way.
    """
    started = time.perf_counter()
    outputs = Outputs(root, job)
    try:
        load_function(step.function)(job, outputs)
        if takedown:
            load_function(before_publish)(root, outputs, takedown)
        made = _publish(root, step, job, outputs, takedown)
    except MemoryError as error:
        outputs.discard()
        smaller = ", or a smaller clean.max_record_bytes where one record is huge" if step.name == "clean" else ""
        raise RunError(
            f"not enough memory for {step.name} {job.shard} ({error or 'no more is given'}): "
            f"fewer --workers leave more for each{smaller}"
        ) from error
    except OSError as error:
        written = outputs.discard()
        if error.errno in FULL:
            raise RunError(f"{step.name} {job.shard}: {in_a_sentence(error, root, written)}") from error
        if isinstance(error, ConnectionError | TimeoutError) or error.errno in PASSING_NUMBERS:
            said = in_a_sentence(error, root)
            raise PassingError(f"{step.name} {job.shard}: reading or writing failed: {said}") from error
        raise RunError(f"{step.name} {job.shard}: {in_a_sentence(error, root)}") from error
    except RecursionError as error:
        outputs.discard()
        raise RunError(
            f"{step.name} {job.shard}: something in its input or in the recipe is nested too deeply for Python "
            f"({error}); {', '.join([*job.inputs][:3]) or 'its source'} is what it reads"
        ) from error
    except BaseException:
        outputs.discard()
        raise
    return made, time.perf_counter() - started


def _publish(root: str, step: Step, job: Job, outputs: Outputs, takedown: str) -> Manifest:
    """Old manifest away, outputs in, what the old one had more away, new manifest last."""
    old = sound_manifest(root, step.name, job.shard)  # what a damaged one lists may be another shard's
    storage.delete(manifest_url(root, step.name, job.shard))
    published = outputs.publish(lasting=step.lasting)
    kept = {output.path for output in published}
    for output in old.outputs if old else ():
        if output.path not in kept:
            storage.delete(storage.join(root, output.path))
    made = Manifest(
        step=step.name,
        shard=job.shard,
        fingerprint=fingerprint(step, job, takedown),
        logic_version=step.logic_version,
        config=job.config,
        inputs=job.inputs,
        libraries=manifests.library_versions(step.libraries),
        outputs=published,
        counts=outputs.counts,
        read=outputs.read,
        takedown=takedown,
    )
    storage.publish_bytes(made.to_bytes(), manifest_url(root, step.name, job.shard), root, lasting=step.lasting)
    return made


def fingerprint(step: Step, job: Job, takedown: str) -> str:
    """The fingerprint that the job's manifest has if its outputs are up to date."""
    config = parse_json(json.dumps(job.config))  # tuples become lists, as they are when a manifest is read
    return manifests.fingerprint(step.name, step.logic_version, config, job.inputs, takedown)
