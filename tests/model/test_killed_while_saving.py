"""SIGKILL inside the write of a checkpoint: what was there stays, and the run ends in the same bytes."""

import signal
import subprocess
from pathlib import Path

import pytest

from model.checkpoints import checkpoint
from pipeline.run.folder import Run
from tests.model import dying
from tests.model.runs import losses, make_run, promised, train

# one checkpoint: write_rows x 2; fsync of two more files; digest x 4; fsync of state.json and of the folder; rename;
# fsync of where it now lies
MOMENTS = [
    ("write_rows", "before", 3),
    ("write_rows", "half", 3),
    ("write_rows", "half", 4),
    ("fsync", "after", 7),
    ("digest", "before", 6),
    ("fsync", "before", 9),
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
    [pytest.param(m, marks=[] if m in MOMENTS[1:2] else [pytest.mark.slow], id="-".join(map(str, m))) for m in MOMENTS],
)
def test_run_killed_inside_a_checkpoint_write_ends_in_the_same_bytes(
    whole: Run, tmp_path: Path, moment: tuple[str, str, int]
) -> None:
    run = make_run(tmp_path)
    command = dying.command("checkpoint-writer", moment, "--recipe", f"{run.root}/recipe.toml", "--root", run.root)
    killed = subprocess.run(command, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    published = moment == ("rename", "after", 2)
    assert checkpoint.complete_steps(run.root) == ([3, 6] if published else [3])
    for step in checkpoint.complete_steps(run.root):
        for file in (checkpoint.MODEL_FILE, checkpoint.OPTIMIZER_FILE):
            checkpoint.open_tensors(run.root, step, file)  # whole, by its digest
    result = train(run)
    assert result.returncode == 0, result.stderr
    assert f"training continues from checkpoints/step-000000{6 if published else 3}" in result.stderr
    assert promised(run) == promised(whole)
    assert losses(run) == losses(whole)
