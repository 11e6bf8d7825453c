"""The whole command: a true difference is shown, none between identical variants, a kill changes nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.pipeline.ablation import noise

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
RULES = '[["fineweb"], []]'
SMALL = ["--set", "train.steps=12", "--set", "model.width=32", "--set", "tokenize.vocabulary_size=300"]


def command(recipe: Path, root: Path, *arguments: str) -> list[str]:
    given = ["ablate", str(recipe), "--root", str(root), "--validate-on", "prose", "--json", *arguments]
    return [sys.executable, "-m", "flows.cli", *given]


def ablate(recipe: Path, root: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(command(recipe, root, *arguments), cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    return noise.write(tmp_path_factory.mktemp("noise"), sample)


def test_filter_against_noise_is_shown_to_help_and_its_twin_is_not(recipe: Path, tmp_path: Path) -> None:
    found = ablate(recipe, tmp_path / "true", f"--vary=filter.rules={RULES}", "--seeds=3")
    reference, without = found["variants"]
    assert reference["data"]["documents"] < without["data"]["documents"], "the rules must have dropped something"
    assert without["verdict"] == "worse"
    assert without["difference"]["low"] > 0.0
    assert without["difference"]["mean"] > found["detection_limit"]
    # rounding in another order: another training, but no other model
    base = f"--base={tmp_path / 'true/base'}"
    twins = ablate(recipe, tmp_path / "twins", base, "--vary=train.micro_batch_sequences=[64, 32]", "--seeds=3")
    assert twins["variants"][1]["verdict"] == "no difference shown"
    assert twins["detection_limit"] < without["difference"]["mean"]


def test_killed_anywhere_and_run_again_gives_the_same_result(recipe: Path, tmp_path: Path) -> None:
    arguments = [f"--vary=filter.rules={RULES}", "--seeds=2", *SMALL]
    root = tmp_path / "killed"
    for pattern in (
        "base/documents/*.arrow",
        "base/manifests/ablation.held_out/*.json",
        "data/*/manifests/tokenize/*.json",
        "trials/*/checkpoints/*/state.json",
        "trials/*/ablation/score.json",
    ):
        with (tmp_path / "errors").open("wb") as errors:
            started = subprocess.Popen(
                command(recipe, root, *arguments), cwd=REPOSITORY, stdout=errors, stderr=errors, start_new_session=True
            )
        while not list(root.glob(pattern)):
            assert started.poll() is None, f"{pattern} was never seen: {(tmp_path / 'errors').read_text()[-2000:]}"
            time.sleep(0.02)
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
    again, never = ablate(recipe, root, *arguments), ablate(recipe, tmp_path / "never", *arguments)
    assert [row["bits_per_byte"] for row in again["variants"]] == [row["bits_per_byte"] for row in never["variants"]]
    assert [row["data"]["tokens"] for row in again["variants"]] == [row["data"]["tokens"] for row in never["variants"]]


def test_second_ablation_on_one_folder_is_refused_and_names_the_first(recipe: Path, tmp_path: Path) -> None:
    from pipeline.recipe.load import load_recipe
    from pipeline.run.folder import Run

    with Run(str(tmp_path), load_recipe(recipe)).lock():
        done = subprocess.run(
            command(recipe, tmp_path, "--vary=train.steps=[1, 2]"), cwd=REPOSITORY, capture_output=True, text=True
        )
    assert done.returncode == 1
    assert f'"pid": {os.getpid()}' in json.loads(done.stdout)["error"]
