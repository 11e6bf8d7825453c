"""SIGKILL of the whole process tree at random moments of every stage: the same command ends in the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.end_to_end import tiny
from tests.end_to_end.conftest import Finished

pytestmark = pytest.mark.xdist_group("end_to_end")

# What must have appeared below the run folder before the kill: one moment inside each stage.
MOMENTS = {
    "clean": "manifests/clean/*.json",
    "dedup": "manifests/dedup.signatures/*.json",
    "filter": "manifests/filter.signals/*.json",
    "tokenize": "tokenizer/tokenizer.json",
    "train": "checkpoints/step-*/state.json",
}


def start(recipe: Path, root: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.end_to_end.tiny", str(recipe), str(root), "2"]
    with errors_file(root).open("wb") as errors:
        return subprocess.Popen(command, cwd=REPOSITORY, start_new_session=True, stderr=errors)


def errors_file(root: Path) -> Path:
    return root.parent / "errors.txt"


def kill_when(process: "subprocess.Popen[bytes]", root: Path, pattern: str, delay_seconds: float) -> bool:
    """Kills the process group once a file matches and a random while has passed; False if it ended before."""
    deadline = time.monotonic() + 200
    while not list(root.glob(pattern)) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(delay_seconds)  # the random moment itself, not a wait for something
    ended = process.poll() is not None
    if not ended:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return not ended


QUICK = "tokenize"


@pytest.mark.parametrize(
    "stage", [pytest.param(stage, marks=() if stage == QUICK else pytest.mark.slow) for stage in MOMENTS]
)
def test_killed_in_a_stage_and_run_again_gives_the_same_bytes(finished: Finished, tmp_path: Path, stage: str) -> None:
    root = tmp_path / "run"
    moments = random.Random(stage)
    killed = 0
    for pattern in (MOMENTS[stage], MOMENTS[stage]):
        killed += kill_when(start(finished.recipe, root), root, pattern, moments.uniform(0.0, 0.4))
    assert killed >= 1, "it must have been killed before it finished"
    process = start(finished.recipe, root)
    assert process.wait() == 0, errors_file(root).read_text()[-2000:]
    ours, theirs = tiny.promised(finished.root), tiny.promised(root)
    assert sorted(ours) == sorted(theirs)
    assert [path for path in ours if ours[path] != theirs[path]] == []
