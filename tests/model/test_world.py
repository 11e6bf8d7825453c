"""Two processes under torchrun (gloo): the losses of one process; and fewer processes go on where more have stopped."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.training.metrics import read_lines
from pipeline.run.folder import Run
from tests.model.runs import make_run

STEPS = 20
ONE = ("train.steps=20", "train.checkpoint_every_steps=10")


def launch(run: Run, processes: int, *overrides: str) -> None:
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    program = ["-m", "model.train", "--recipe", f"{run.root}/recipe.toml", "--root", run.root]
    options = [f"--set={override}" for override in overrides]
    command = [sys.executable, *(torchrun if processes > 1 else []), *program, *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr[-3000:]


def losses(run: Run) -> list[float]:
    found = [line["loss"] for line in read_lines(run.root) if "loss" in line]
    assert len(found) == STEPS
    return found


@pytest.fixture(scope="module", params=["adamw", pytest.param("muon", marks=pytest.mark.slow)])
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = make_run(tmp_path_factory.mktemp("alone"), overrides=(*ONE, f"train.optimizer={request.param}"))
    launch(run, 1)
    assert losses(run)[-1] < losses(run)[0] - 0.05, "it must have learned something"
    return run


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_have_the_losses_of_one(alone: Run, tmp_path: Path, parallel: str) -> None:
    optimizer = f"train.optimizer={alone.recipe.train.optimizer}"
    run = make_run(tmp_path, overrides=(*ONE, optimizer, f"train.parallel={parallel}"))
    launch(run, 2)
    assert losses(run) == pytest.approx(losses(alone), rel=1e-5)
    counts = json.loads((Path(run.root) / "manifests/train/all.json").read_text())["counts"]
    assert counts["validation_loss"] == pytest.approx(
        json.loads((Path(alone.root) / "manifests/train/all.json").read_text())["counts"]["validation_loss"],
        rel=1e-5,
    )


def test_stopped_with_two_processes_and_continued_with_one(alone: Run, tmp_path: Path) -> None:
    if alone.recipe.train.optimizer != "adamw":
        pytest.skip("once is enough")
    run = make_run(tmp_path, overrides=ONE)
    launch(run, 2, "train.steps=20")
    last = Path(run.root) / "checkpoints/step-0000020"
    for path in last.iterdir():
        path.unlink()
    last.rmdir()
    launch(run, 1)
    assert losses(run) == pytest.approx(losses(alone), rel=1e-5)


def test_sharded_weights_are_gathered_in_bfloat16_where_products_are(tmp_path: Path) -> None:
    precise = ("train.precision=bfloat16", "train.optimizer=muon", "model.architecture=qwen3")
    for name in ("alone", "sharded"):
        (tmp_path / name).mkdir()
    alone = make_run(tmp_path / "alone", overrides=(*ONE, *precise))
    launch(alone, 1)
    again = "train.activation_checkpointing=selective"
    sharded = make_run(tmp_path / "sharded", overrides=(*ONE, *precise, again, "train.parallel=fsdp"))
    launch(sharded, 2)
    assert losses(sharded) == pytest.approx(losses(alone), rel=5e-3)
    assert losses(sharded) != losses(alone)
