"""The files of a checkpoint: ``checkpoints/step-NNNNNNN/`` with weights, optimizer, tokenizer, training, state.

A checkpoint is complete or absent: on a local disk it is written below a scratch name, flushed, and renamed as a whole;
on an object store state.json is uploaded last and a folder without it does not count.  state.json names the digests of
the other files, which a reader checks.  No pickle anywhere.  The first one of a training that replaces another takes a
way of its own: pipeline/run/checkpoints.py.

The processes of a sharded model write and read the rows that they hold (writer.py, tensor_file.py); the files are the
same however many there were.
"""

from model.checkpoints.steps import complete_steps as complete_steps  # for those who read checkpoints
from model.checkpoints.tensor_file import TensorFile
from pipeline.base import storage
from pipeline.base.errors import RunError
from pipeline.run import checkpoints, layout
from pipeline.run.checkpoints import advice, read_state, url_of
from pipeline.run.manifest import digest_file

MODEL_FILE, OPTIMIZER_FILE = "model.safetensors", "optimizer.safetensors"
TOKENIZER_FILE, TRAINING_FILE = layout.CHECKPOINT_TOKENIZER, layout.CHECKPOINT_TRAINING
STATE_FILE = layout.CHECKPOINT_STATE


def digests(root: str, step: int) -> dict[str, str]:
    """Path below the run folder -> digest of each file of a checkpoint, state.json included."""
    named = read_state(root, step)["digests"]
    found = {f"{layout.checkpoint(step)}/{name}": digest for name, digest in named.items()}
    return {**found, layout.checkpoint_state(step): digest_file(storage.open_local(url_of(root, step, STATE_FILE)))}


def open_tensors(root: str, step: int, file: str) -> TensorFile:
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
    return TensorFile(local)


def describe_last(root: str) -> str:
    """The last complete checkpoint's path, or that there is none."""
    steps = complete_steps(root)
    return url_of(root, steps[-1]) if steps else "none"


def remove(root: str, step: int) -> None:
    """Removes a checkpoint."""
    checkpoints.remove(root, layout.checkpoint(step))
