"""What a run keeps of its past: listed with its bytes, and removed where it serves nothing any more.

Never removed: what a manifest names, the last complete checkpoint, logs and metrics, and anything at all while a
process works on the run.
"""

import fcntl
import os
import re
import shutil
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.base import storage
from pipeline.base.errors import RunError, UnansweredError
from pipeline.base.locks import is_held
from pipeline.clean.stage import seen_inputs
from pipeline.inspection.manifests_of import StepManifests, read_steps
from pipeline.inspection.status import FOLDERS, stage_states, status_rows
from pipeline.readers.parts.inputs import source_root
from pipeline.recipe.stage_names import CURATION
from pipeline.run import checkpoints, layout
from pipeline.run.folder import Run
from pipeline.run.manifest import Output, digest_file

_FLOCK = "hhqqi4x"  # struct flock of Linux: kind, whence, start, length (0: to the end), process
_SHARD_TABLE = re.compile(r".*/\d{5,}(-\d+)?\.arrow")  # what a stage writes for each shard


@dataclass(frozen=True)
class Past:
    """One thing that a run keeps of its past.

    Attributes:
        path: Below the run folder; of copies of remote objects their folder on this machine.
        what: What it is.
        bytes: Its size.
        goes: Whether `tokenmill clean-up` removes it.
        why: Why it may go, or why it stays.
    """

    path: str
    what: str
    bytes: int
    goes: bool
    why: str


def disk(run: Run) -> dict[str, Any]:
    """Bytes of the run folder by its first folders, and what it keeps of its past."""
    folders: dict[str, int] = {}
    for path, size in _files(run):
        first = f"{path.split('/')[0]}/" if "/" in path else path
        folders[first] = folders.get(first, 0) + size
    kept = past(run)
    return {
        "bytes": sum(folders.values()),
        "folders": dict(sorted(folders.items())),
        "past": [asdict(item) for item in kept],
        "may_go_bytes": sum(item.bytes for item in kept if item.goes),
    }


def clean_up(run: Run, *, dry_run: bool = False) -> dict[str, Any]:
    """Removes what may go; with ``dry_run`` only says what that is.

    Returns:
        ``status`` ("planned" or "done"), ``removed`` and ``kept`` (as ``Past``), and ``bytes`` of what goes.

    Raises:
        RunError: If a process works on the run: nothing is removed, and nothing can be said.
    """
    if dry_run:
        if run.is_locked():
            raise RunError(f"{run.root}: a process is working on this run; clean up when it has ended")
        found = _idle_past(run)
    else:
        scratch = _scratch(run)  # whoever takes the lock clears it
        with run.lock():
            found = [*scratch, *(item for item in _idle_past(run) if item.path != f"{storage.SCRATCH}/")]
            for item in found:
                if item.goes:
                    _remove(run, item.path)
    removed = [asdict(item) for item in found if item.goes]
    return {
        "root": run.root,
        "status": "planned" if dry_run else "done",
        "removed": removed,
        "kept": [asdict(item) for item in found if not item.goes],
        "bytes": sum(item["bytes"] for item in removed),
    }


def past(run: Run) -> list[Past]:
    """What a run keeps of its past, in the order of the run folder's layout."""
    steps = read_steps(run.root)
    return [*_scratch(run), *_prefect(run), *_checkpoints(run, steps), *_superseded(run, steps), *_copies(run)]


def _idle_past(run: Run) -> list[Past]:
    if storage.is_local(run.root) and is_held(storage.local_path(run.url(layout.TRAIN_LOCK))):
        raise RunError(f"{run.root}: a training is working on this run; clean up when it has ended")
    return past(run)


def _files(run: Run) -> Iterator[tuple[str, int]]:
    """Every file of the run and its bytes, hidden ones too where the run is local."""
    if not storage.is_local(run.root):
        for name in storage.list_files(run.root):
            yield name, storage.size(run.url(name)) or 0
        return
    root = storage.local_path(run.root)
    for name in storage.list_files(run.root, hidden=True):
        if not (root / name).is_symlink():
            yield name, _size(root / name)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # a process at work has just moved it
        return 0


def _bytes(run: Run, folder: str) -> int:
    if not storage.is_local(run.root):
        return sum(storage.size(run.url(folder, name)) or 0 for name in storage.list_files(run.url(folder)))
    place = storage.local_path(run.url(folder))
    return sum(_size(place / name) for name in storage.list_files(str(place), hidden=True))


# -- what there is


def _scratch(run: Run) -> list[Past]:
    size = _bytes(run, storage.SCRATCH) if storage.is_local(run.root) else 0
    why = "a process that has ended left it; the next run would clear it"
    return [Past(f"{storage.SCRATCH}/", "half-written files", size, True, why)] if size else []


def _prefect(run: Run) -> list[Past]:
    if not storage.is_local(run.root) or not (size := _bytes(run, layout.PREFECT)):
        return []
    what = "Prefect's records of earlier flow runs"
    if database_is_open(storage.local_path(run.url(layout.PREFECT)) / "prefect.db"):
        return [Past(layout.PREFECT, what, size, False, "a Prefect server has it open")]
    return [Past(layout.PREFECT, what, size, True, "nothing of the run is read from it; the next run begins it anew")]


def database_is_open(path: Path) -> bool:
    """Whether another process has Prefect's database open; looked at without writing to it.

    SQLite holds a lock on the file, or on its ``-shm`` file, as long as a connection is open in WAL mode.
    """
    return any(_locked_elsewhere(place) for place in (path, path.with_name(f"{path.name}-shm")))


def _locked_elsewhere(path: Path) -> bool:
    """Whether another process holds a POSIX lock on any byte of a file."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        return bool(struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))[0] != fcntl.F_UNLCK)


def _checkpoints(run: Run, steps: dict[str, StepManifests]) -> Iterator[Past]:
    """Checkpoints but for the last one, and folders that are not complete."""
    names = storage.list_files(run.url(layout.CHECKPOINTS))
    complete = sorted(step for step in map(layout.checkpoint_step, names) if step is not None)
    half = {name.split("/")[0] for name in names if name.startswith("step-")}
    for folder in sorted(half - {Path(layout.checkpoint(step)).name for step in complete}):
        path = f"{layout.CHECKPOINTS}{folder}"
        yield Past(path, "half a checkpoint", _bytes(run, path), True, "it was never complete, or half-removed")
    stays = _why_checkpoints_stay(run, steps)
    asked = _asked_for(run, complete)
    for step in complete[:-1]:
        path = layout.checkpoint(step)
        named = any(output.startswith(f"{path}/") for found in steps.values() for output in found.outputs())
        kept = stays or asked.get(step) or ("a manifest names it" if named else "")
        why = kept or "an earlier checkpoint of a finished training; only --previous would use it"
        yield Past(path, f"the checkpoint after step {step}", _bytes(run, path), not kept, why)


def _why_checkpoints_stay(run: Run, steps: dict[str, StepManifests]) -> str:
    """Why no earlier checkpoint may go; empty where the training is finished and its checkpoint is whole."""
    trained = steps.get("train", StepManifests()).shards.get("all")
    if storage.list_files(run.url(layout.NEXT_CHECKPOINTS)) or storage.exists(run.url(layout.SUCCESSION)):
        return "another training is taking its place"
    if trained is None:
        return "the training is not finished: it may go on from here"
    if not trained.outputs or not all(_whole(run, output) for output in trained.outputs):
        return f"the last checkpoint is damaged or missing: `tokenmill verify {run.root}`"
    return ""


def _whole(run: Run, output: Output) -> bool:
    url = run.url(output.path)
    return storage.exists(url) and digest_file(storage.open_local(url)) == output.digest


def _asked_for(run: Run, complete: list[int]) -> dict[int, str]:
    """Checkpoints that the recipe asks to keep for good, and why."""
    train = run.recipe.train
    every = train.keep_every_steps
    found = {step: f"train.keep_every_steps = {every}" for step in complete if every and step % every == 0}
    if train.keep_best:
        found |= dict.fromkeys(complete, "train.keep_best: one of them has the lowest validation loss")
    stable = [step for step in complete if _before_decay(run, step)] if train.schedule == "wsd" else []
    if stable:
        found[max(stable)] = "more train.steps go on from here, where the rate of wsd has not begun to fall"
    return found


def _before_decay(run: Run, step: int) -> bool:
    """Whether a checkpoint's record says that how many steps there would be had not mattered yet."""
    try:
        return "decay_share" not in checkpoints.recorded(run.root, step)["config"].get("train", {})
    except UnansweredError:
        raise
    except RunError:  # damaged, and named by `verify`: it is no reason to lose what may be gone on from
        return True


def _superseded(run: Run, steps: dict[str, StepManifests]) -> Iterator[Past]:
    """Shard tables of finished stages that no manifest names: what a process left that was killed in between."""
    states = stage_states(status_rows(run))
    named = {path for found in steps.values() for path in found.outputs()}
    for stage in CURATION:
        if states[stage] != "done":
            continue
        for folder in FOLDERS[stage]:
            for name in storage.list_files(run.url(folder), ".arrow"):
                path = f"{folder}{name}"
                if path not in named and _SHARD_TABLE.fullmatch(path):
                    why = f"{stage} is finished, and no manifest names it"
                    yield Past(path, "a superseded file", storage.size(run.url(path)) or 0, True, why)


def _copies(run: Run) -> Iterator[Past]:
    """This machine's copies of remote inputs, and of the objects of a run on an object store."""
    names = [] if storage.is_local(run.root) else storage.list_files(run.root)
    for url, name in [*((run.url(name), name) for name in names), *_remote_inputs(run)]:
        folder = storage.copies_of(url)
        size = sum(_size(folder / copy) for copy in storage.list_files(str(folder), hidden=True))
        if size:
            yield Past(str(folder), f"this machine's copy of {name}", size, True, "it is fetched again when it is read")


def _remote_inputs(run: Run) -> Iterator[tuple[str, str]]:
    """URL and name of each input in a store that the run has looked at."""
    seen = seen_inputs(run.root)
    for source in run.recipe.sources:
        if not storage.is_local(source.paths[0]) and "." not in source.format:
            root = source_root(source.paths)
            yield from ((storage.join(root, path), f"input {path}") for path in sorted(seen.get(source.name, {})))


# -- removing


def _remove(run: Run, path: str) -> None:
    """Removes a file or folder; of a checkpoint its state first, so that it is never taken for complete."""
    if os.path.isabs(path):
        storage.remove_tree(Path(path))
        return
    if path.startswith(layout.CHECKPOINTS):
        storage.delete(run.url(path, layout.CHECKPOINT_STATE))
    if storage.is_local(run.root):
        place = storage.local_path(run.url(path))
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
        return
    for name in storage.list_files(run.url(path)):
        storage.delete(run.url(path, name))
    storage.delete(run.url(path))


def bound_records(run: Run, limit: int) -> int:
    """Begins Prefect's records anew where they are larger than ``limit`` bytes; call it with the run's lock held.

    Returns:
        Bytes that were removed.
    """
    found = [item for item in _prefect(run) if item.goes and item.bytes > limit]
    for item in found:
        _remove(run, item.path)
    return sum(item.bytes for item in found)


def as_text(items: list[dict[str, Any]]) -> list[str]:
    """Lines for a person: what each thing is, its bytes, and why it may go or stays."""
    lines = []
    for item in items:
        goes = "may go" if item["goes"] else "stays"
        lines.append(f"{item['bytes']:>16,} B  {item['path']}: {item['what']}; {goes}: {item['why']}")
    return lines
