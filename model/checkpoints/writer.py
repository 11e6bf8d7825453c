"""Writes checkpoints in the background, by one process or by each of those that share a sharded model.

1. The leading process lays out the tensor files below a scratch name, at their full size.
2. Each process writes the rows that it holds, and flushes them: nobody gathers the model, and the copies that are
   written from are as large as a process's share.
3. The leading one hears from all, then writes the other files and state.json with everybody's digests, and publishes.

Training goes on meanwhile.  The processes talk in a group of their own, since the other one is in use by the steps.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch.distributed as dist

from model.checkpoints.checkpoint import STATE_FILE, describe_last
from model.checkpoints.tensor_file import Layout, Rows, begin_file, laid_out, write_rows
from pipeline.base import storage
from pipeline.base.errors import RunError, in_brief
from pipeline.run import checkpoints, layout
from pipeline.run.checkpoints import FORMAT, url_of
from pipeline.run.manifest import canonical_json, digest_file

Result = TypeVar("Result")
Files = Mapping[str, Mapping[str, Rows]]  # by file and name of the tensor


@dataclass
class Writer:
    """Writes checkpoints of one run in the background, one at a time.

    ``save`` copies the rows (on a CPU too, where the next update would change them under the writer's hands) and
    returns; ``wait`` raises what went wrong.

    Attributes:
        root: The run folder.
        group: The processes that write together; None: this one alone, as where the model is not sharded.
    """

    root: str
    group: "dist.ProcessGroup | None" = None
    pending: Future[None] | None = None

    def __post_init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint-writer")

    def save(self, step: int, files: Files, state: Mapping[str, Any], beside: Mapping[str, bytes]) -> None:
        """Begins writing the checkpoint of ``step``, after the one before it is done; see ``write_checkpoint``."""
        self.wait()
        copies = {file: {name: rows.copied() for name, rows in tensors.items()} for file, tensors in files.items()}
        self.pending = self._thread.submit(write_checkpoint, self.root, step, copies, dict(state), beside, self.group)

    def wait(self) -> None:
        """Waits for the checkpoint that is being written.

        Raises:
            RunError: If it could not be written, in the leading process; ``__cause__`` is the OSError.
        """
        pending, self.pending = self.pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """Ends the thread after the last write."""
        self._thread.shutdown(wait=True)


def write_checkpoint(
    root: str,
    step: int,
    files: Files,
    state: dict[str, Any],
    beside: Mapping[str, bytes],
    group: "dist.ProcessGroup | None" = None,
) -> None:
    """Writes a whole checkpoint, together with the others of a group, and publishes it in one step.

    Args:
        root: The run folder.
        step: Steps made.
        files: The rows that this process holds.
        state: What state.json says beside format, step and digests; read in the leading process.
        beside: Bytes of the other files: tokenizer, and what defined the training; as ``state``.
        group: The processes that write together; None: this one alone.

    Raises:
        RunError: In the leading process, if the system refuses, such as for want of space; earlier checkpoints stay as
            they were.
    """
    layouts = {file: laid_out({name: rows.shape for name, rows in tensors.items()}) for file, tensors in files.items()}
    team, scratch = _Team(group), None
    try:
        scratch = team.leading(lambda: _begin(root, layouts))
        if scratch is None:
            return
        team.each(lambda: _write(scratch, layouts, files))
        if team.leads:
            _finish(scratch, root, step, [*files], state, beside)
    except OSError as error:
        raise _write_error(error, root, step, sum(each.size for each in layouts.values())) from error
    finally:
        if scratch is not None and team.leads:
            shutil.rmtree(scratch, ignore_errors=True)


class _Team:
    """The processes that write one checkpoint; errors of the system are told to the leading one, which raises them."""

    def __init__(self, group: "dist.ProcessGroup | None") -> None:
        self._group = group
        self.leads = group is None or dist.get_rank() == 0

    def leading(self, work: Callable[[], Result]) -> Result | None:
        """Does the work in the leading process; the others get its result, or None where it failed."""
        found: list[Result | None] = [None]
        try:
            if self.leads:
                found[0] = work()
        finally:
            if self._group is not None:
                dist.broadcast_object_list(found, src=0, group=self._group)
        return found[0]

    def each(self, work: Callable[[], object]) -> None:
        """Does the work in every process; the leading one raises the first error, when all are done."""
        error: OSError | None = None
        try:
            work()
        except OSError as raised:
            error = raised
        errors = [error]
        if self._group is not None:
            told: list[Any] | None = [None] * dist.get_world_size() if self.leads else None
            dist.gather_object(error, told, dst=0, group=self._group)
            errors = told or []
        for found in errors:
            if found is not None:
                raise found


def _begin(root: str, layouts: Mapping[str, Layout]) -> Path:
    """A scratch folder with the tensor files, at their full size and without tensors."""
    scratch = storage.scratch(root)
    try:
        scratch.mkdir()
        for file, plan in layouts.items():
            begin_file(scratch / file, plan)
    except OSError:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return scratch


def _write(scratch: Path, layouts: Mapping[str, Layout], files: Files) -> None:
    for file, tensors in files.items():
        write_rows(scratch / file, layouts[file], tensors)


def _finish(
    scratch: Path, root: str, step: int, files: Sequence[str], state: dict[str, Any], beside: Mapping[str, bytes]
) -> None:
    """The files beside the tensors, state.json with the digests of all, and the checkpoint in its place."""
    for name, data in beside.items():
        (scratch / name).write_bytes(data)
        storage.fsync_path(scratch / name)
    names = [*files, *beside]
    whole = {**{"format": FORMAT, "step": step, **state}, "digests": {n: digest_file(scratch / n) for n in names}}
    (scratch / STATE_FILE).write_text(canonical_json(whole), encoding="utf-8")
    storage.fsync_path(scratch / STATE_FILE)
    _publish(scratch, root, step, [*names, STATE_FILE])


def _publish(scratch: Path, root: str, step: int, names: Sequence[str]) -> None:
    """Makes a finished checkpoint stand; the first one of a successor beside what it replaces, which then goes."""
    replaces = bool(checkpoints.succession(root).replaces)
    url = storage.join(root, layout.next_checkpoint(step) if replaces else layout.checkpoint(step))
    if storage.is_local(root):
        target = storage.local_path(url)
        target.parent.mkdir(parents=True, exist_ok=True)
        storage.fsync_path(scratch)
        shutil.rmtree(target, ignore_errors=True)  # an incomplete or damaged one of the same step
        os.rename(scratch, target)
        storage.fsync_path(target.parent)
    else:
        for name in names:  # state.json last: it makes the checkpoint complete
            storage.publish(scratch / name, storage.join(url, name))
    if replaces:
        checkpoints.promote(root)


def _write_error(error: OSError, root: str, step: int, needed: int) -> RunError:
    return RunError(
        f"{url_of(root, step)}: could not write the checkpoint ({needed:,} bytes): {in_brief(error)}; "
        f"the last complete one is {describe_last(root)}"
    )
