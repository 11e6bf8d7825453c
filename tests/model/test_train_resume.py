"""Stop and go on = never stopped, bit for bit; and what training writes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model.training.metrics import read_lines
from pipeline.run.folder import Run
from tests.model.runs import losses, make_run, promised, train


@pytest.fixture(scope="module", params=["adamw", pytest.param("muon", marks=pytest.mark.slow)])
def uninterrupted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = make_run(tmp_path_factory.mktemp("whole"), overrides=(f"train.optimizer={request.param}",))
    result = train(run)
    assert result.returncode == 0, result.stderr
    return run


def test_finished_run_has_metrics_manifest_and_samples(uninterrupted: Run) -> None:
    root = Path(uninterrupted.root)
    lines = read_lines(uninterrupted.root)
    assert {
        "step",
        "tokens",
        "loss",
        "learning_rate",
        "grad_norm",
        "tokens_per_second",
        "mfu",
        "seconds",
        "skipped_steps",
    } <= lines[0].keys()
    assert {"step", "tokens", "validation_loss", "bits_per_byte"} <= lines[-1].keys()
    counts = json.loads((root / "manifests/train/all.json").read_text())["counts"]
    assert counts["steps"] == 8
    assert counts["unigram_bits_per_byte"] > 0
    samples = [json.loads(line) for line in (root / "metrics/samples.jsonl").read_text().splitlines()]
    assert [line["step"] for line in samples] == [3] * 3 + [6] * 3 + [8] * 3, "three texts at each checkpoint"


def test_second_run_is_skipped(uninterrupted: Run) -> None:
    before = promised(uninterrupted)
    result = train(uninterrupted, "--json")
    assert result.returncode == 0
    assert "present and matching" in result.stderr
    assert json.loads(result.stdout)["steps"] == 8
    assert promised(uninterrupted) == before


def test_run_killed_after_each_checkpoint_ends_in_the_same_bytes(uninterrupted: Run, tmp_path: Path) -> None:
    run = make_run(tmp_path, overrides=(f"train.optimizer={uninterrupted.recipe.train.optimizer}",))
    killed = 0
    for pattern in ("checkpoints/step-0000003/state.json", "checkpoints/step-0000006/state.json"):
        command = [sys.executable, "-m", "model.train", "--recipe", f"{run.root}/recipe.toml", "--root", run.root]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and not (Path(run.root) / pattern).exists():
                time.sleep(0.0005)
            killed += process.poll() is None
            process.kill()
    assert killed >= 1, "it must have been killed before it finished"
    result = train(run)
    assert result.returncode == 0, result.stderr
    ours, theirs = promised(uninterrupted), promised(run)
    assert sorted(ours) == sorted(theirs)
    assert [path for path in ours if ours[path] != theirs[path]] == []
    assert losses(run) == losses(uninterrupted)


def test_sigterm_saves_a_checkpoint_and_exits_with_0(tmp_path: Path) -> None:
    run = make_run(tmp_path, overrides=("train.steps=100000", "train.checkpoint_every_steps=0"))
    command = [sys.executable, "-m", "model.train", "--recipe", f"{run.root}/recipe.toml", "--root", run.root]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        begun = next((line for line in process.stderr if line.startswith("step ")), None)
        assert begun is not None, "training must have begun"
        os.kill(process.pid, signal.SIGTERM)
        said = process.stderr.read()
        assert process.wait() == 0
    assert "stopped by SIGTERM" in said
    assert len(list(Path(run.root).glob("checkpoints/step-*/state.json"))) == 1
    assert not list(Path(run.root).glob("manifests/train/*"))
