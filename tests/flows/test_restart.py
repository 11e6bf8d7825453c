"""`tokenmill run` over a finished model: refused, announced, or begun anew with --restart."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from model.training.start import train_run
from pipeline.run import checkpoints
from pipeline.run.folder import Run
from tests.model.runs import make_run, promised

SLOWER = ("--set", "train.learning_rate=0.0005")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = make_run(tmp_path_factory.mktemp("finished"))
    train_run(run)
    return run


def tokenmill(run: Run, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "flows.cli", "run", f"{run.root}/../recipe.toml", "--root", run.root]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_other_settings_are_refused_before_anything_starts(finished: Run, dry: tuple[str, ...]) -> None:
    before = promised(finished)
    done = tokenmill(finished, "--stages", "train", *SLOWER, *dry)
    assert done.returncode == 2
    assert "train.learning_rate = 0.001, and the recipe now asks for 0.0005" in done.stderr
    assert "--restart" in done.stderr
    assert promised(finished) == before
    assert not Path(finished.root, ".prefect").exists()


def test_dry_run_says_which_model_goes_and_when(finished: Run) -> None:
    done = tokenmill(finished, "--stages", "train", "--restart", *SLOWER, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    said = "checkpoints/step-0000006, checkpoints/step-0000008: replaced as soon as the first checkpoint"
    assert said in done.stderr
    assert said in json.loads(done.stdout)["stages"]["train"]["replaces"]


def test_dry_run_says_that_the_model_depends_on_tokens_that_are_to_be_made(finished: Run) -> None:
    raw = Path(finished.root).parent
    for name in ("raw", "facts"):
        (raw / name).mkdir(exist_ok=True)
        (raw / name / "a.txt").write_text("Ada wrote to Grace.\n")
    said = "the finished model checkpoints/step-0000008 was trained on the tokens that are there"
    done = tokenmill(finished, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"{said}: if they come out different, train replaces it" in " ".join(done.stderr.split())
    done = tokenmill(finished, "--dry-run", "--stages", "clean,tokenize")
    assert f"{said}: if they come out different, it stays" in " ".join(done.stderr.split())


def test_restart_without_the_stage_train_is_refused(finished: Run) -> None:
    done = tokenmill(finished, "--restart", "--stages", "clean")
    assert done.returncode == 2
    assert "--restart begins the training anew, but train is none of the stages: clean" in done.stderr


@pytest.mark.slow
def test_restart_begins_anew_and_ends_finished(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    train_run(run)
    before = promised(run)
    done = tokenmill(run, "--stages", "train", "--restart", *SLOWER, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["stages"]["train"]["steps"] == 8
    assert promised(run) != before
    assert checkpoints.succession(run.root) == checkpoints.Succession()
    assert tokenmill(run, "--stages", "train", *SLOWER).returncode == 0, "finished: nothing to do"
