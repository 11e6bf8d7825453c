"""A checkpoint of another run, named by its folder in ``model.init``: its state and its tensors, digests checked."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import UserError, parse_json, raise_the_systems
from pipeline.run import layout
from pipeline.run.checkpoints import FORMAT, standing
from pipeline.run.manifest import digest_file

if TYPE_CHECKING:
    from model.checkpoints.tensor_file import TensorFile


def is_checkpoint(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder is a checkpoint of a run (and not a Hugging Face folder)."""
    return Path(folder, layout.CHECKPOINT_STATE).is_file()


def refuse_run_folder(folder: str) -> None:
    """Refuses a whole run, since its last checkpoint may be another one tomorrow.

    Raises:
        UserError: Naming its checkpoints.
    """
    if not Path(folder, layout.CHECKPOINTS).is_dir():
        return
    paths = [str(Path(folder, path)) for path in standing(folder).values()]
    ways = f"name one of its checkpoints: {', '.join(paths)}" if paths else "it has no complete checkpoint"
    raise UserError(f"model.init = {folder!r} is a run folder; {ways}")


def read_state(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The ``state.json`` of a checkpoint.

    Raises:
        UserError: If it is damaged or of another format.
    """
    path = Path(folder, layout.CHECKPOINT_STATE)
    try:
        state: dict[str, Any] = parse_json(path.read_bytes())
        found, _ = state["format"], (state["model"], state["digests"], state["updates"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        if not isinstance(error, FileNotFoundError):
            raise_the_systems(error)
        raise UserError(f"model.init: {path}: damaged ({error!r}); name another checkpoint of that run") from error
    if found != FORMAT:
        raise UserError(f"model.init: {path}: format {found}, this tokenmill reads {FORMAT}: export it there instead")
    return state


def open_tensors(folder: str | os.PathLike[str], file: str) -> "TensorFile":
    """One of the checkpoint's tensor files.

    Raises:
        UserError: If it is missing or damaged.
    """
    from model.checkpoints.tensor_file import TensorFile

    path = Path(folder, file)
    if not path.is_file():
        raise UserError(f"model.init: {path}: missing; copy the checkpoint anew, with all of its files")
    if digest_file(path) != read_state(folder)["digests"].get(file):
        raise UserError(
            f"model.init: {path}: damaged, its checksum is not the one in {layout.CHECKPOINT_STATE}; copy the "
            "checkpoint anew, or name another one of that run"
        )
    return TensorFile(path)
