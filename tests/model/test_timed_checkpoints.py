"""Checkpoints that the clock or a signal makes: there after a kill, gone at the end, and no part of what is trained."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from model.checkpoints.steps import complete_steps, kept_steps
from model.training.job import training_of
from pipeline.recipe.load import load_recipe
from pipeline.recipe.training_options import Train
from pipeline.run.folder import Run
from tests.model.runs import make_run, promised, train

OFTEN = "train.checkpoint_every_minutes=0.0000001"  # after every step


def test_finished_training_leaves_the_same_bytes_with_timed_checkpoints_as_without(tmp_path: Path) -> None:
    found = []
    for name, minutes in (("never", "train.checkpoint_every_minutes=0"), ("often", OFTEN)):
        (tmp_path / name).mkdir()
        run = make_run(tmp_path / name, overrides=(minutes,))
        result = train(run)
        assert result.returncode == 0, result.stderr
        assert complete_steps(run.root) == [6, 8]
        found.append(promised(run))
    assert found[0] == found[1]


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_timed_checkpoint_is_there_after_a_kill_and_a_finished_training_is_that_of_no_kill(
    tmp_path: Path, processes: int
) -> None:
    run = make_run(tmp_path, overrides=("train.steps=400", "train.checkpoint_every_steps=0", OFTEN))
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"] if processes == 2 else []
    program = ["-m", "model.train", "--recipe", f"{run.root}/recipe.toml", "--root", run.root]
    with subprocess.Popen([sys.executable, *launch, *program], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        begun = any(complete_steps(run.root) for _ in process.stderr)
        process.send_signal(signal.SIGKILL)
        process.stderr.read()  # until the last process has ended
    steps = complete_steps(run.root)
    assert begun
    assert 1 <= len(steps) <= 3, "the last two, and one that was just written"
    assert steps[-1] < 400
    again = train(run, "--set=train.steps=400")
    assert f"training continues from checkpoints/step-{steps[-1]:07d}" in again.stderr
    assert complete_steps(run.root) == [400]


def test_how_often_checkpoints_are_made_does_not_define_a_training(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    other = Run(run.root, load_recipe(f"{run.root}/recipe.toml", ("train.checkpoint_every_minutes=3",)))
    assert training_of(other).fingerprint == training_of(run).fingerprint
    assert training_of(other).trajectory == training_of(run).trajectory


@pytest.mark.parametrize(
    ("there", "kept", "policy"),
    [
        ([100, 130], [100, 130], {}),  # nothing that was asked for yet: as many as keep_last
        ([100, 130, 160], [130, 160], {}),
        ([130, 500, 640, 700], [500, 700], {}),  # one that was asked for leaves room for one more
        ([500, 1000, 1100, 1200], [500, 1000, 1200], {}),  # behind them only the last one
        ([500, 1000, 1200, 1500], [1000, 1500], {}),  # and none when the next one is there
        ([1500, 1700, 1800], [1500, 1800], {}),  # the last step is asked for too
        ([500, 600, 1000, 1500], [500, 1000, 1500], {"keep_every_steps": 500}),
        ([500, 600, 1000, 1500], [1000, 1500], {"keep_every_steps": 300}),  # 600 was not asked for, 1500 was anyway
        ([50, 100, 150], [50, 100, 150], {"best": 50}),
    ],
)
def test_retention_counts_what_the_recipe_asks_for(there: list[int], kept: list[int], policy: dict[str, int]) -> None:
    best = policy.get("best")
    policy = {key: value for key, value in policy.items() if key != "best"}
    train = Train(steps=1800, checkpoint_every_steps=500, keep_last=2, **policy)
    assert sorted(kept_steps(there, train, (best,))) == kept
