"""What a stage is given: it names its jobs, and the context finds those with work and has them done.

1. A stage (``run(context) -> summary``) lists the jobs of each of its steps, one per shard.
2. ``Context.run_step`` compares each job with the shard's manifest.  One that is present and has the job's fingerprint
   is done.  The outputs of shards that are no longer part of the run are removed.
3. The others go to the workers (this machine's pool, or a cluster), which call ``engine.run_job``.

The same code answers "what would run?": a dry context raises ``NeedsWork`` at the first step with work.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Protocol, Self

from pipeline.base import storage
from pipeline.base.errors import RunError, parse_json
from pipeline.base.pool import WorkerKilledError
from pipeline.base.progress import Progress, Silent
from pipeline.base.words import counted
from pipeline.run import layout, step_digests
from pipeline.run import manifest as manifests
from pipeline.run.engine import Job, Step, fingerprint, load_function, run_job
from pipeline.run.folder import Run
from pipeline.run.ledger import digest as takedown_digest
from pipeline.run.logs import Attempt
from pipeline.run.manifest import (
    AGAIN,
    DamagedManifestError,
    Manifest,
    load_manifest,
    load_manifests,
    manifest_url,
    missing_output,
    named_shards,
    shards_of,
    sound_manifest,
)

NOT_MADE = "not made yet"
NAMED = 3  # damaged manifests that a note names


class NeedsWork(Exception):  # noqa: N818  a signal, not an error: the answer of a dry run
    """A dry run met a step with work to do; ``reasons`` maps each shard to the cause.

    ``replaces`` says which finished work will go, if any; ``what`` is there to do, where it is not counted in shards.
    """

    def __init__(self, step: str, total: int, reasons: Mapping[str, str], replaces: str = "", what: str = "") -> None:
        super().__init__(step)
        self.what = what
        self.step, self.total, self.reasons, self.replaces = step, total, dict(reasons), replaces


class Workers(Protocol):
    """What a context hands its jobs to: the process pool of this machine, or a cluster (pipeline/run/engines/)."""

    def run(
        self, function: Callable[..., Any], jobs: Sequence[tuple[tuple[Any, ...], Job]]
    ) -> Iterator[tuple[Job, tuple[Manifest, float]]]:
        """Calls ``function(*arguments)`` for each ``(arguments, job)``; yields results as they come."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True)
class _Compared:
    """A step's jobs beside its manifests: what is done, and why the others are to be run."""

    step: Step
    jobs: list[Job]
    named: Mapping[str, str]  # as ``named_shards`` gives them
    done: dict[str, Manifest]
    reasons: dict[str, str]
    orphans: list[str]  # shards that are no longer part of the run; they have reasons too

    def undone(self) -> list[Job]:
        """The jobs to run."""
        return [job for job in self.jobs if job.shard not in self.done]


class Context:
    """The run, its workers, and the ways to run a step and to look at earlier ones.

    Args:
        run: The run.
        pool: The workers; None for a context that only looks.
        progress: What is told how the work goes on.
        dry: Raise ``NeedsWork`` where there is work, and write nothing.
        rebuild: Make again what was made with other library versions.
        restart: Begin the training anew.
        before_publish: ``module:name`` of the function that blanks what was taken down (``engine.run_job``).
        begun: Steps and jobs of theirs that the pool has begun (pipeline/run/ahead.py).
    """

    def __init__(
        self,
        run: Run,
        pool: Workers | None = None,
        progress: Progress | None = None,
        *,
        dry: bool = False,
        rebuild: bool = False,
        restart: bool = False,
        before_publish: str = "",
        begun: Collection[tuple[str, Job]] = (),
    ) -> None:
        self.run, self.recipe, self.root = run, run.recipe, run.root
        self.progress: Progress = progress or Silent()
        self.dry, self.rebuild, self.restart = dry, rebuild, restart
        self._before_publish, self._begun = before_publish, begun
        self.takedown = takedown_digest(run.root)
        self.shards_run = self.shards_skipped = 0
        self.resumed = False  # a training that goes on from a checkpoint
        self._attempt: Attempt | None = None
        self._pool = pool
        self._current: dict[str, dict[str, Manifest]] = {}

    def begin(self, attempt: Attempt) -> None:
        """Counts and times from here on."""
        self.shards_run = self.shards_skipped = 0
        self.resumed, self._attempt = False, attempt

    @property
    def goes_on(self) -> bool:
        """Whether some of what the stage makes was there before it began."""
        return self.resumed or self.shards_skipped > 0

    def has_worked(self) -> None:
        """Something was made that the time so far counts for."""
        if self._attempt is not None:
            self._attempt.worked(goes_on=self.goes_on)

    def begins_anew(self) -> None:
        """Nothing of what earlier attempts made is used."""
        if self._attempt is not None:
            self._attempt.begins_anew()

    def manifests(self, step: str) -> dict[str, Manifest]:
        """Manifests of an earlier step, by shard."""
        if step not in self._current:
            self._current[step] = load_manifests(self.root, step)
        return self._current[step]

    def document_shards(self) -> dict[str, str]:
        """Document shards in order: name ("00000", "00012-1") -> digest."""
        found = [m.digests(layout.DOCUMENTS) for m in self.manifests("clean").values()]
        digests = {path: digest for paths in found for path, digest in paths.items()}
        return {layout.shard_of(path): digests[path] for path in sorted(digests)}

    def verdict_inputs(self, stage: str, shard: str) -> dict[str, str]:
        """The verdict shards of the stages before ``stage``, as ``Job.inputs`` wants them."""
        inputs: dict[str, str] = {}
        for earlier in self.recipe.selection_before(stage):
            inputs |= self.manifests(earlier)[shard].digests(layout.VERDICTS)
        return inputs

    def run_step(self, step: Step, jobs: Iterable[Job]) -> dict[str, Manifest]:
        """Runs what is not done, and returns the manifest of every job's shard, in job order.

        Raises:
            NeedsWork: In a dry context, if there is work.
            RunError: If a shard cannot be made.
        """
        return self.run_steps((step, jobs))[0]

    def run_steps(self, *work: tuple[Step, Iterable[Job]]) -> list[dict[str, Manifest]]:
        """Runs steps of which none reads what another one writes beside each other; otherwise as ``run_step``.

        What is told of the work is told of the first step.
        """
        if self.dry and len(work) > 1:
            return [self.run_step(step, jobs) for step, jobs in work]
        compared = [self._compare(step, list(jobs)) for step, jobs in work]
        for found in compared:
            if found.reasons and self.dry:
                raise NeedsWork(found.step.name, len(found.jobs), found.reasons)
            self._tell_damaged(found)
            if found.reasons:
                step_digests.forget(self.root, found.step.name)  # the manifests of its shards change from here on
        total, done = sum(len(found.jobs) for found in compared), sum(len(found.done) for found in compared)
        self.shards_skipped += done
        self.progress.step_started(compared[0].step.name, total, done, "shard" if len(work) == 1 else "job")
        for found in compared:
            for shard in found.orphans:
                self._remove(found.step, shard)
        done_of = {found.step: found.done for found in compared}
        for step, job, (made, seconds) in self._work([(c.step, job) for c in compared for job in c.undone()]):
            done_of[step][job.shard] = made
            self.shards_run += 1
            self.progress.shard_done(step.name, job.shard, made.counts, seconds)
            self.has_worked()
        for found in compared:
            self._current[found.step.name] = {job.shard: found.done[job.shard] for job in found.jobs}
            self._write_stage_manifest(found.step)
        return [self._current[found.step.name] for found in compared]

    def is_done(self, step: Step, jobs: Sequence[Job]) -> bool:
        """Whether ``run_step`` would find nothing to do."""
        return not self._compare(step, list(jobs)).undone()

    def forget_step(self, step: Step) -> None:
        """Removes the outputs and the manifests of a step that is not part of the finished run.

        Raises:
            NeedsWork: In a dry context.
        """
        if self.dry:
            raise NeedsWork(step.name, 0, {"all": "no longer part of the run"})
        step_digests.forget(self.root, step.name)
        for shard in shards_of(self.root, step.name):
            self._remove(step, shard)
        self._current.pop(step.name, None)
        storage.delete(storage.join(self.root, layout.stage_manifest(step.name)))

    def _work(self, work: list[tuple[Step, Job]]) -> Iterable[tuple[Step, Job, tuple[Manifest, float]]]:
        if not work:
            return
        if self._pool is None:
            raise RunError("this context has no pool: it can only look")
        assert self._before_publish or not self.takedown, "outputs of a run with a takedown must be blanked"
        hook = (self.takedown, self._before_publish) if self.takedown else ()
        steps = {id(job): step for step, job in work}
        waiting = {id(job): job for _, job in work}
        while waiting:
            try:
                for job, result in self._pool.run(
                    run_job, [((self.root, steps[number], job, *hook), job) for number, job in waiting.items()]
                ):
                    del waiting[id(job)]
                    yield steps[id(job)], job, result
            except WorkerKilledError as killed:
                job, step = killed.item, steps[id(killed.item)]
                if not step.careful or job.arguments.get("careful"):
                    raise WorkerKilledError(job, f"{step.name} {job.shard}", killed.how, killed.tries) from None
                self.progress.note(f"{step.name} {job.shard} killed its worker; its parts are tried one by one")
                careful = replace(job, arguments={**job.arguments, "careful": True})
                steps[id(careful)] = step
                del waiting[id(job)]
                waiting[id(careful)] = careful

    def _compare(self, step: Step, jobs: list[Job]) -> "_Compared":
        """Splits jobs into done ones and, with the cause, those to run."""
        named = named_shards(self.root, step.name)
        done: dict[str, Manifest] = {}
        reasons: dict[str, str] = {}
        for job in jobs:
            if (step.name, job) in self._begun:  # finished or not, it is work of this context
                reasons[job.shard] = NOT_MADE
                continue
            try:
                found = load_manifest(self.root, step.name, job.shard, named)
            except DamagedManifestError:
                reasons[job.shard] = "its manifest is damaged"
                continue
            reason = self._why(step, job, found)
            if reason is None and found is not None:
                done[job.shard] = found
            else:
                reasons[job.shard] = reason or NOT_MADE
        orphans = sorted({*shards_of(self.root, step.name)} - {job.shard for job in jobs})
        reasons |= dict.fromkeys(orphans, "no longer part of the run")
        return _Compared(step, jobs, named, done, reasons, orphans)

    def _tell_damaged(self, compared: "_Compared") -> None:
        """Says which manifests of shards with work are damaged: they are made again with their outputs."""
        step, problems = compared.step, []
        for shard in compared.reasons:
            try:
                load_manifest(self.root, step.name, shard, compared.named)
            except DamagedManifestError as error:
                problems.append(str(error).removeprefix(f"{self.root.rstrip('/')}/").removesuffix(f"; {AGAIN}"))
        if problems:
            more = f"; and {counted(len(problems) - NAMED, 'other')}" if len(problems) > NAMED else ""
            self.progress.note(
                f"{step.name}: {counted(len(problems), 'manifest')} damaged, made again with what it stands for: "
                f"{'; '.join(problems[:NAMED])}{more}"
            )

    def _why(self, step: Step, job: Job, found: Manifest | None) -> str | None:
        if found is None:
            return NOT_MADE
        if found.takedown != self.takedown:
            raise RunError(
                f"{self.root}: {step.name} {job.shard} was made under another takedown.jsonl: a takedown was "
                f"interrupted, or the file was changed. `tokenmill takedown {self.root}` finishes what it records; "
                "if the file was lost, bring it back from a copy"
            )
        if found.fingerprint != fingerprint(step, job, self.takedown):
            return difference(found, step, job)
        reason = missing_output(self.root, found)
        if reason is None and step.is_stale:
            reason = load_function(step.is_stale)(self, job, found)
        versions = manifests.library_versions(step.libraries)
        if reason is None and found.libraries != versions:
            old = found.libraries
            changed = ", ".join(f"{n} {old.get(n)} -> {v}" for n, v in versions.items() if old.get(n) != v)
            if self.rebuild:
                return f"made with other versions: {changed}"
            self.progress.note(f"{step.name} {job.shard} was made with other versions ({changed}); kept")
        return reason

    def _remove(self, step: Step, shard: str) -> None:
        old = sound_manifest(self.root, step.name, shard)
        storage.delete(manifest_url(self.root, step.name, shard))
        for output in old.outputs if old else ():
            storage.delete(storage.join(self.root, output.path))

    def _write_stage_manifest(self, step: Step) -> None:
        """Writes the manifest of the step, unless it stands."""
        made = self._current[step.name]
        if manifests.stage_manifest_stands(self.root, step.name, made):
            return
        if self.dry:
            raise NeedsWork(step.name, len(made), {"all": manifests.STAGE_MANIFEST_DIFFERS})
        manifests.write_stage_manifest(self.root, step.name, made)


def difference(found: Manifest, step: Step, job: Job) -> str:
    """Why a shard's manifest has another fingerprint than its job, in words."""
    if found.logic_version != step.logic_version:
        return f"made by logic version {found.logic_version} of {step.name}, now {step.logic_version}"
    old, new = dict(leaves(found.config)), dict(leaves(parse_json(json.dumps(job.config))))
    keys = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    if keys:
        return "; ".join(f"{key} {changed(old.get(key), new.get(key))}" for key in keys[:3])
    paths = [p for p in sorted(found.inputs.keys() | job.inputs.keys()) if found.inputs.get(p) != job.inputs.get(p)]
    return f"its input changed: {', '.join(paths[:3])}"


def changed(was: Any, now: Any) -> str:
    """What became of a setting.

    Example:
        >>> changed(3, 4), changed(None, "en"), changed(0.5, None)
        ('was 3, is 4', "was not set, is 'en'", 'was 0.5, is not set now')
    """
    before = "was not set" if was is None else f"was {was!r}"
    return f"{before}, {'is not set now' if now is None else f'is {now!r}'}"


def leaves(value: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Dotted key and value of each setting of a configuration."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, value
