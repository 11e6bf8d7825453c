"""Reads every byte of a run against its checksum, and removes what is damaged where that is asked for.

Files that manifests name; the manifests themselves; and what stands beside both (side_files.py).  Files that nothing of
the run accounts for are named, and left alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.base import storage
from pipeline.base.errors import FormatError
from pipeline.base.progress import each
from pipeline.inspection.damaged import KEPT, MISSING, Damaged
from pipeline.inspection.manifests_of import StepManifests, read_steps
from pipeline.inspection.side_files import LINES, side_files, unknown, without_damaged_lines
from pipeline.inspection.status import STATES, stage_states, status_rows
from pipeline.run import checkpoints, layout
from pipeline.run.folder import Run
from pipeline.run.manifest import Manifest, Output, digest_bytes, digest_file
from pipeline.takedown.takedown import Plan

LEARNED = (
    "tokenize.survey",
    "tokenize.tokenizer",
    "tokenize.leakage",
    "filter.classifier",
)  # steps whose outputs are learned from the texts
ANOTHER = (
    "bring it back from a copy; without one delete it, and the next run learns it again, less what was taken down: "
    "the tokenizer or classifier, the tokens and the model will be others"
)


@dataclass
class Verified:
    """What was found.

    Attributes:
        files: Files that were read.
        damaged: Those that are damaged or missing.
        states: State of each stage, a key of ``STATES``.
        unknown: Files that nothing of the run accounts for.
        busy: Whether another process is at work: what it is just writing may show as missing.
    """

    files: int = 0
    damaged: list[Damaged] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    busy: bool = False

    @property
    def exit_code(self) -> int:
        """1 where a stage is damaged or lacks files; 0 where everything that was made stands."""
        return max([int(bool(self.damaged)), *(STATES[state].verify for state in self.states.values())])


def verify_run(root: str, *, delete: bool = False) -> tuple[int, list[dict[str, str]]]:
    """Files read, and an entry of path, problem, step and shard for each damaged one; see ``verify``."""
    found = verify(Run.open(root), delete=delete)
    return found.files, [asdict(entry) for entry in found.damaged]


def verify(run: Run, *, delete: bool = False) -> Verified:
    """Reads everything; with ``delete`` what is damaged is removed, of a checkpoint all of it.

    Raises:
        RunError: If another process works on the run and ``delete`` was asked for.
    """
    if delete:
        with run.lock():
            return _verify(run, delete=True)
    return _verify(run, delete=False)


def _verify(run: Run, *, delete: bool) -> Verified:
    found = Verified(busy=not delete and run.is_locked())
    steps, planned = read_steps(run.root), _planned_by_takedown(run)
    checked: set[str] = set()
    for step, made in steps.items():
        found.damaged += _manifest_problems(run, step, made)
    outputs = [(step, *item) for step, made in steps.items() for item in _outputs(made)]
    for step, shard, output in each(outputs, "verify", "file"):
        found.files += 1
        checked.add(output.path)
        problem = _problem(run, output, planned)
        if problem:
            cure = _cure(run, step, steps[step].shards[shard], output)
            found.damaged.append(Damaged(output.path, problem, step, shard, cure))
    rows = status_rows(run)
    found.damaged += _unrecorded(rows)
    made_under = {manifest.takedown for made in steps.values() for manifest in made.shards.values()}
    for damaged in side_files(run, checked, made_under):
        found.files += 1
        if damaged.problem:
            found.damaged.append(damaged)
    found.states = _states(rows, found.damaged)
    found.unknown = unknown(run, checked, found.states)
    if delete:
        for damaged in found.damaged:
            if not damaged.cure:
                _delete(run, damaged.path)
    return found


def _outputs(made: StepManifests) -> Iterator[tuple[str, Output]]:
    for shard, manifest in made.shards.items():
        for output in manifest.outputs:
            yield shard, output


def _states(rows: dict[str, dict[str, Any]], damaged: list[Damaged]) -> dict[str, str]:
    """The states that ``status`` shows, with what only a reading of every byte finds."""
    for entry in damaged:
        state = "missing" if entry.problem == MISSING else "damaged"
        row = rows.setdefault(entry.step, {"state": state})
        if not STATES[row["state"]].verify:
            row["state"] = state
    return stage_states(rows)


def _manifest_problems(run: Run, step: str, made: StepManifests) -> Iterator[Damaged]:
    learned = step in LEARNED and storage.exists(run.url(layout.TAKEDOWN))
    for path, problem in made.problems.items():
        of_shard = layout.shard_of(path) if "/" in path[len(layout.MANIFESTS) :] else ""
        yield Damaged(path, problem.removeprefix(f"{path}: "), step, of_shard, ANOTHER if learned and of_shard else "")
    if made.lost:
        yield Damaged(layout.stage_manifest(step), MISSING, step)
    for shard in made.gone:
        yield Damaged(layout.shard_manifest(step, shard), MISSING, step, shard, ANOTHER if learned else "")


def _unrecorded(rows: dict[str, dict[str, Any]]) -> Iterator[Damaged]:
    """Stages whose files stand and whose manifests are gone."""
    for stage, row in rows.items():
        if row["state"] == "unrecorded":
            problem = f"missing, with those of its shards: {row['problems'][0]}"
            yield Damaged(layout.stage_manifest(stage), problem, stage)


def _planned_by_takedown(run: Run) -> Mapping[str, str]:
    """Digests that files have already, or will have, by a takedown that is not finished."""
    url = run.url(layout.TAKEDOWN_PLAN)
    try:
        after = Plan.from_bytes(storage.read_bytes(url), url).after
    except FileNotFoundError:
        return {}
    except FormatError:  # named among the side files
        return {}
    return {path: output.digest for path, output in after.items()}


def _problem(run: Run, output: Output, planned: Mapping[str, str]) -> str:
    url = run.url(output.path)
    if not storage.exists(url):
        return MISSING
    path = storage.open_local(url)
    if output.path in planned:
        return "" if digest_file(path) in (output.digest, planned[output.path]) else "checksum differs"
    if path.stat().st_size != output.bytes:
        return f"{path.stat().st_size:,} bytes instead of {output.bytes:,}"
    return "" if digest_file(path) == output.digest else "checksum differs"


def _cure(run: Run, step: str, made: Manifest, output: Output) -> str:
    """What to do about what was learned from texts of which some were taken down since; empty for all else.

    Made again, without these texts, it would be another one; then every token and the model would be others too.
    """
    if step not in LEARNED or not made.takedown:
        return ""
    if output.path == layout.TOKENIZER:
        for folder in checkpoints.standing(run.root).values():
            copy = f"{folder}/{layout.CHECKPOINT_TOKENIZER}"
            data = storage.read_if_there(run.url(copy))
            if data is not None and digest_bytes(data) == output.digest:
                return f"copy {copy} to it: a tokenizer that is made again, after a takedown, is another one"
    return ANOTHER


def _delete(run: Run, path: str) -> None:
    """Removes a damaged file; of a checkpoint everything, its state first: then it is absent, not half.

    Of metrics and samples the damaged lines go.  What nothing can make again stays.
    """
    if path in KEPT or path == layout.DEDUP_INDEX:
        return
    if path in LINES:
        storage.publish_bytes(without_damaged_lines(storage.read_bytes(run.url(path))), run.url(path), run.root)
        return
    if path == layout.SUCCESSION or not path.startswith(layout.CHECKPOINTS):
        storage.delete(run.url(path))
        return
    folder = path.rpartition("/")[0]
    storage.delete(run.url(folder, layout.CHECKPOINT_STATE))
    for name in storage.list_files(run.url(folder)):
        storage.delete(run.url(folder, name))


def told(found: Verified) -> list[str]:
    """Of each stage that is not simply done: its state in words."""
    quiet = ("done", "not begun", "not in the recipe")
    return [f"{stage}: {state} ({STATES[state].means})" for stage, state in found.states.items() if state not in quiet]
