"""The files of a checkpoint: ``checkpoints/step-NNNNNNN/`` with weights, optimizer, tokenizer, training, state.

A checkpoint is complete or absent: on a local disk it is written below a scratch name, flushed, and renamed as a whole;
on an object store state.json is uploaded last and a folder without it does not count.  state.json names the digests of
the other files, which a reader checks.  No pickle anywhere.  The first one of a training that replaces another takes a
way of its own: pipeline/run/checkpoints.py.

Sharded models are gathered into whole tensors, so a checkpoint does not know how many processes wrote it.
"""

import errno
import os
import re
import shutil
import stat
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.checkpoints.steps import complete_steps as complete_steps  # for those who read checkpoints
from pipeline.base import storage
from pipeline.base.errors import RunError
from pipeline.run import checkpoints, layout
from pipeline.run.checkpoints import FORMAT, advice, read_state, url_of
from pipeline.run.manifest import canonical_json, digest_file

MODEL_FILE, OPTIMIZER_FILE = "model.safetensors", "optimizer.safetensors"
TOKENIZER_FILE, TRAINING_FILE = layout.CHECKPOINT_TOKENIZER, layout.CHECKPOINT_TRAINING
STATE_FILE = layout.CHECKPOINT_STATE
_FULL = (errno.ENOSPC, errno.EDQUOT)
_OS_ERROR = re.compile(r"os error (\d+)|\((\d+)\)\s*$")  # how safetensors, and torch, pass on what the system said


def digests(root: str, step: int) -> dict[str, str]:
    """Path below the run folder -> digest of each file of a checkpoint, state.json included."""
    named = read_state(root, step)["digests"]
    found = {f"{layout.checkpoint(step)}/{name}": digest for name, digest in named.items()}
    return {**found, layout.checkpoint_state(step): digest_file(storage.open_local(url_of(root, step, STATE_FILE)))}


def read_tensors(root: str, step: int, file: str) -> dict[str, Tensor]:
    """One of a checkpoint's tensor files, its digest verified.

    Raises:
        RunError: If the file is missing or damaged, naming it and what to do.
    """
    url = url_of(root, step, file)
    expected = read_state(root, step)["digests"][file]
    try:
        local = storage.open_local(url)
        if digest_file(local) != expected:
            raise RunError(f"{url}: damaged, its checksum is not the one in {STATE_FILE}; {advice(root, step)}")
    except FileNotFoundError as error:
        raise RunError(f"{url}: missing; {advice(root, step)}") from error
    return load_tensors(local)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file.

    Raises:
        OSError: If the system refuses, with the file.
        SafetensorError: If it is damaged.
    """
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except FileNotFoundError as error:  # so safetensors calls whatever the system refuses
        path.open("rb").close()
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path)) from error  # a moment ago
    except (SafetensorError, RuntimeError) as error:  # RuntimeError: of torch, which maps the file
        raise of_the_system(error, str(path)) from error
    return tensors


@dataclass
class Writer:
    """Writes checkpoints of one run in the background, one at a time.

    ``save`` copies the tensors (on a CPU too, where the next update would change them under the writer's hands) and
    returns; ``wait`` raises what went wrong.
    """

    root: str
    pending: Future[None] | None = None

    def __post_init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint-writer")

    def save(
        self,
        step: int,
        model: Mapping[str, Tensor],
        optimizer: Mapping[str, Tensor],
        state: Mapping[str, Any],
        beside: Mapping[str, bytes],
    ) -> None:
        """Begins writing the checkpoint of ``step``, after the one before it is done; see ``write_checkpoint``."""
        self.wait()
        copies = {
            file: {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
            for file, tensors in ((MODEL_FILE, model), (OPTIMIZER_FILE, optimizer))
        }
        self.pending = self._thread.submit(write_checkpoint, self.root, step, copies, dict(state), beside)

    def wait(self) -> None:
        """Waits for the checkpoint that is being written.

        Raises:
            RunError: If it could not be written; ``__cause__`` is the OSError where the disk was full.
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
    files: Mapping[str, Mapping[str, Tensor]],
    state: dict[str, Any],
    beside: Mapping[str, bytes],
) -> None:
    """Writes a whole checkpoint and publishes it in one step.

    Args:
        root: The run folder.
        step: Steps made.
        files: Tensors by name, by file.
        state: What state.json says beside format, step and digests.
        beside: Bytes of the other files: tokenizer, and what defined the training.

    Raises:
        RunError: If there is no space left; earlier checkpoints stay as they were.
    """
    scratch = storage.scratch(root)
    try:
        scratch.mkdir()
        for name, tensors in files.items():
            save_file(dict(tensors), scratch / name, metadata={"format": "pt"})  # one key: their order is random
            storage.fsync_path(scratch / name)
        for name, data in beside.items():
            (scratch / name).write_bytes(data)
            storage.fsync_path(scratch / name)
        whole = {
            **{"format": FORMAT, "step": step, **state},
            "digests": {name: digest_file(scratch / name) for name in [*files, *beside]},
        }
        (scratch / STATE_FILE).write_text(canonical_json(whole), encoding="utf-8")
        for name in files:  # safetensors makes a file for its owner alone
            (scratch / name).chmod(stat.S_IMODE((scratch / STATE_FILE).stat().st_mode))
        storage.fsync_path(scratch / STATE_FILE)
        _publish(scratch, root, step, [*files, *beside, STATE_FILE])
    except OSError as error:
        raise _write_error(error, root, step, files) from error
    except SafetensorError as error:
        raise _write_error(of_the_system(error), root, step, files) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def of_the_system(error: Exception, path: str | None = None) -> OSError:
    """What the system said to the library of the weights, with the file; any other of its errors is raised again."""
    number = _OS_ERROR.search(str(error))
    if number is None:
        raise error
    found = int(number[1] or number[2])
    return OSError(found, os.strerror(found), path)


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


def _write_error(error: OSError, root: str, step: int, files: Mapping[str, Mapping[str, Tensor]]) -> RunError:
    needed = sum(t.numel() * t.element_size() for tensors in files.values() for t in tensors.values())
    what = "no space left on the disk" if error.errno in _FULL else error.strerror or str(error)
    return RunError(
        f"{url_of(root, step)}: could not write the checkpoint ({needed:,} bytes): {what}; "
        f"the last complete one is {describe_last(root)}"
    )


def describe_last(root: str) -> str:
    """The last complete checkpoint's path, or that there is none."""
    steps = complete_steps(root)
    return url_of(root, steps[-1]) if steps else "none"


def remove(root: str, step: int) -> None:
    """Removes a checkpoint."""
    checkpoints.remove(root, layout.checkpoint(step))
