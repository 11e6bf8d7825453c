"""Which checkpoints of a run count, and how one training's take the place of another's; no torch.

What is finished stays until its successor is complete.  A training that replaces another says so first
(``checkpoints/succession.json``: who it is, and which checkpoints it replaces).  Its first checkpoint is made whole in
``checkpoints/next/``; from that moment on it is the model of the run.  Only then do the old ones go, and it takes its
place under ``checkpoints/``.  Killed anywhere in between, either the old checkpoints or the new one are whole, and the
next start of the training goes on from there.
"""

import os
import shutil
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.base import storage
from pipeline.base.errors import FormatError, RunError, UserError, parse_json
from pipeline.run import layout, step_digests
from pipeline.run.manifest import canonical_json, manifest_url

FORMAT = 1  # of state.json
TRAIN = ("train", "all")  # step and shard of the training's manifest


@dataclass(frozen=True)
class Succession:
    """A training that replaces another.

    Attributes:
        training: Fingerprint of the new training; empty: none is under way.
        replaces: Steps of the checkpoints that go when its first one is complete; empty once they are gone.
    """

    training: str = ""
    replaces: tuple[int, ...] = ()


def succession(root: str) -> Succession:
    """The succession that is under way in a run.

    Raises:
        FormatError: If its file is damaged.
    """
    url = storage.join(root, layout.SUCCESSION)
    try:
        values = parse_json(storage.read_bytes(url))
        return Succession(str(values["training"]), tuple(map(int, values["replaces"])))
    except FileNotFoundError:
        return Succession()
    except (ValueError, TypeError, KeyError) as error:
        raise FormatError(
            f"{url}: damaged ({error}); delete it: the checkpoints beside it then count as of one training"
        ) from error


def begin_succession(root: str, wanted: Succession) -> None:
    """Records what a training is about to replace; one that replaces nothing and follows nothing leaves no file."""
    if wanted == Succession():
        storage.delete(storage.join(root, layout.SUCCESSION))
    elif succession(root) != wanted:
        storage.publish_bytes(canonical_json(asdict(wanted)).encode(), storage.join(root, layout.SUCCESSION), root)


def standing(root: str) -> dict[int, str]:
    """Step -> folder below the run of each complete checkpoint that counts, the lowest step first."""
    names = storage.list_files(storage.join(root, layout.CHECKPOINTS), layout.CHECKPOINT_STATE)
    steps = {step for step in map(layout.checkpoint_step, names) if step is not None}
    found = {step: layout.checkpoint(step) for step in steps}
    if successor := _next_steps(names):
        replaced = succession(root).replaces
        found = {step: path for step, path in found.items() if step not in replaced}
        found |= {step: layout.next_checkpoint(step) for step in successor}
    return dict(sorted(found.items()))


def url_of(root: str, step: int, *file: str) -> str:
    """Where the checkpoint of a step lies, or a file of it: the one that counts, else where it would lie."""
    return storage.join(root, standing(root).get(step, layout.checkpoint(step)), *file)


def _next_steps(names: list[str]) -> list[int]:
    """Steps of the complete checkpoints in ``checkpoints/next/``, of the names below ``checkpoints/``."""
    prefix = layout.NEXT_CHECKPOINTS.removeprefix(layout.CHECKPOINTS)
    inside = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return [step for step in map(layout.checkpoint_step, inside) if step is not None]


def read_state(root: str, step: int) -> dict[str, Any]:
    """The ``state.json`` of a checkpoint that counts.

    Raises:
        RunError: If it is damaged or of another format.
    """
    url = url_of(root, step, layout.CHECKPOINT_STATE)
    try:
        state: dict[str, Any] = parse_json(storage.read_bytes(url))
        found = state["format"]
        if strange := [name for name in state.get("digests", {}) if "/" in name or not layout.is_output(name)]:
            raise ValueError(f"it names {strange[0]!r}, which is no file of a checkpoint")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RunError(f"{url}: damaged ({error}); {advice(root, step)}") from error
    if found != FORMAT:
        raise RunError(f"{url}: format {found}, this tokenmill reads {FORMAT}: use the tokenmill that wrote it")
    return state


def recorded(root: str, step: int) -> dict[str, Any]:
    """What defined the training of a checkpoint: ``config`` and ``inputs``, empty where it does not say.

    Checkpoints of tokenmill 0.1 do not.

    Raises:
        RunError: If the file is damaged.
    """
    url = url_of(root, step, layout.CHECKPOINT_TRAINING)
    data = storage.read_if_there(url)
    if data is None:
        return {"config": {}, "inputs": {}}
    try:
        found: dict[str, Any] = parse_json(data)
        return {"config": found["config"], "inputs": found["inputs"]}
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"{url}: damaged ({error}); {advice(root, step)}") from error


def advice(root: str, step: int) -> str:
    """What to do where the checkpoint of ``step`` is damaged."""
    before = [earlier for earlier in standing(root) if earlier < step]
    if not before:
        return "there is no checkpoint before it: delete its folder to train from the start"
    return f"to go on from the one before it, step {before[-1]}, ask for it with --previous"


def chosen(root: str, named: str | None = None, *, previous: bool = False) -> int:
    """The step of the checkpoint to use: the one that is named, the last one, or the one before it.

    Args:
        root: The run folder.
        named: A step ("1000", "step-0001000"), or the checkpoint's folder in this run.
        previous: The one before the last.

    Raises:
        UserError: If there is none, or not that one.
    """
    steps = list(standing(root))
    if len(steps) < (2 if previous else 1):
        which = "checkpoint before the last" if previous and steps else "complete checkpoint"
        raise UserError(f"{root}: no {which} in {layout.CHECKPOINTS}; `tokenmill run` or `tokenmill train` makes one")
    if named is None:
        return steps[-2] if previous else steps[-1]
    if previous:
        raise UserError(f"--checkpoint {named} and --previous: each names a checkpoint; give one of them")
    folder, _, name = named.rstrip("/").rpartition("/")
    number = name.removeprefix("step-")
    inside = not folder or storage.absolute(folder) == storage.absolute(storage.join(root, layout.CHECKPOINTS))
    if not inside or not number.isdecimal() or int(number) not in steps:
        there = ", ".join(map(str, steps))
        raise UserError(
            f"--checkpoint {named}: no complete checkpoint of this run; expected a step or a folder in "
            f"{storage.join(root, layout.CHECKPOINTS)}, whose steps are {there}"
        )
    return int(number)


def promote(root: str) -> None:
    """Puts a complete successor in the place of what it replaces; nothing to do where there is none."""
    names = storage.list_files(storage.join(root, layout.CHECKPOINTS), layout.CHECKPOINT_STATE)
    successor, under_way = _next_steps(names), succession(root)
    if not successor:
        return
    if under_way.replaces:
        step_digests.forget(root, TRAIN[0])
        storage.delete(manifest_url(root, *TRAIN))
        for step in under_way.replaces:
            remove(root, layout.checkpoint(step))
        begin_succession(root, Succession(under_way.training))
    for step in successor:
        _move(root, layout.next_checkpoint(step), layout.checkpoint(step))


def _move(root: str, source: str, target: str) -> None:
    """Moves a complete checkpoint: one rename on a disk; on an object store copies, state.json last."""
    if storage.is_local(root):
        old, new = (storage.local_path(storage.join(root, path)) for path in (source, target))
        shutil.rmtree(new, ignore_errors=True)  # half-removed, without a state.json
        os.rename(old, new)
        storage.fsync_path(new.parent)
        if not any(old.parent.iterdir()):
            old.parent.rmdir()
        return
    names = storage.list_files(storage.join(root, source))
    for name in sorted(names, key=lambda name: name == layout.CHECKPOINT_STATE):
        copy = storage.scratch(root)
        shutil.copyfile(storage.open_local(storage.join(root, source, name)), copy)
        storage.publish(copy, storage.join(root, target, name))
    remove(root, source)


def remove(root: str, path: str) -> None:
    """Removes a checkpoint's folder; state.json goes first, so that what a kill leaves is not taken for complete."""
    url = storage.join(root, path)
    storage.delete(storage.join(url, layout.CHECKPOINT_STATE))
    for name in storage.list_files(url):
        storage.delete(storage.join(url, name))
    if storage.is_local(root):
        shutil.rmtree(storage.local_path(url), ignore_errors=True)


def remove_incomplete(root: str) -> None:
    """Clears checkpoint folders without a state.json: what a killed write or removal left."""
    url = storage.join(root, layout.CHECKPOINTS)
    names = set(storage.list_files(url))
    for folder in sorted({name.rpartition("/")[0] for name in names if "/" in name}):
        if f"{folder}/{layout.CHECKPOINT_STATE}" not in names:
            remove(root, f"{layout.CHECKPOINTS}{folder}")
    if storage.is_local(root) and storage.local_path(url).is_dir():  # empty folders, which a list of files lacks
        for path in sorted(storage.local_path(url).glob("**/"), reverse=True)[:-1]:
            if not any(path.iterdir()):
                path.rmdir()
