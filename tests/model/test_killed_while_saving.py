"""SIGKILL inside the write of a checkpoint: what was there stays, and the run ends in the same bytes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from model.checkpoints import checkpoint
from pipeline.run.folder import Run
from tests.model.runs import losses, make_run, promised, train

# runs the training with one function of the checkpoint writer replaced by one that dies at its n-th call
DYING = """
import os, signal, sys
from model.checkpoints import checkpoint
place, when, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
owner, name = {
    "save_file": (checkpoint, "save_file"),
    "digest": (checkpoint, "digest_file"),
    "fsync": (checkpoint.storage, "fsync_path"),
    "rename": (checkpoint.os, "rename"),
}[place]
real, calls = getattr(owner, name), 0

def dying(*arguments, **options):
    global calls
    calls += "checkpoint-writer" in __import__("threading").current_thread().name
    if calls == number and when == "half":  # half of the file is on the disk
        real(*arguments, **options)
        os.truncate(arguments[1], os.path.getsize(arguments[1]) // 2)
    elif calls == number and when == "after":
        real(*arguments, **options)
    if calls == number:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **options)

setattr(owner, name, dying)
from model.train import main
main(sys.argv[4:])
"""
# one checkpoint: save_file x 2, each with fsync; fsync of two more files; digest x 4; fsync of state.json and of the
# folder; rename; fsync
MOMENTS = [
    ("save_file", "before", 3),
    ("save_file", "half", 3),
    ("save_file", "half", 4),
    ("fsync", "after", 9),
    ("digest", "before", 6),
    ("fsync", "before", 13),
    ("rename", "before", 2),
    ("rename", "after", 2),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = make_run(tmp_path_factory.mktemp("whole"))
    result = train(run)
    assert result.returncode == 0, result.stderr
    return run


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(m, marks=[] if m in MOMENTS[1:8:6] else [pytest.mark.slow], id="-".join(map(str, m)))
        for m in MOMENTS
    ],
)
def test_run_killed_inside_a_checkpoint_write_ends_in_the_same_bytes(
    whole: Run, tmp_path: Path, moment: tuple[str, str, int]
) -> None:
    run = make_run(tmp_path)
    program = [sys.executable, "-c", DYING, *map(str, moment)]
    killed = subprocess.run(
        [*program, "--recipe", f"{run.root}/recipe.toml", "--root", run.root], capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    published = moment == ("rename", "after", 2)
    assert checkpoint.complete_steps(run.root) == ([3, 6] if published else [3])
    for step in checkpoint.complete_steps(run.root):
        for file in (checkpoint.MODEL_FILE, checkpoint.OPTIMIZER_FILE):
            checkpoint.read_tensors(run.root, step, file)  # whole, by its digest
    result = train(run)
    assert result.returncode == 0, result.stderr
    assert f"going on from checkpoints/step-000000{6 if published else 3}" in result.stderr
    assert promised(run) == promised(whole)
    assert losses(run) == losses(whole)
