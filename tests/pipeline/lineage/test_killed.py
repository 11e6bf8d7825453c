"""A takedown that dies by SIGKILL before or after any change of the run folder."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.run import step_digests
from pipeline.run.folder import Run
from pipeline.takedown.choose import Choice
from pipeline.takedown.takedown import take_down
from pipeline.tokens import restored
from tests.pipeline.lineage.helpers import kept_twin, read_document, tree, twin

SCRIPT = Path(__file__).with_name("killed.py")
NOT_KILLED = 1_000_000


def die(run: Run, number: int, when: str, ids: str, restoring: tuple[str, ...] = ()) -> int | None:
    """Runs the script; the number of changes when it ended by itself, None when it was killed."""
    command = [sys.executable, str(SCRIPT), run.root, str(number), when, ids, *restoring]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == -signal.SIGKILL:
        return None
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def copy(finished: Path, folder: Path) -> Run:
    shutil.copytree(finished, folder)
    return Run.open(folder)


def check(finished: Path, tmp_path: Path, share: float | None) -> None:
    """Kills at every change, or at a few places, ``share`` of the way; each time the second try ends as the whole."""
    whole = copy(finished, tmp_path / "whole")
    ids = ",".join(read_document(whole, step)["doc_id"] for step in (3, 4))
    total = die(whole, NOT_KILLED, "before", ids)
    assert total is not None
    assert total > 30
    numbers = range(total) if share is None else sorted({0, 1, 2, int(total * share), total - 1})
    for number in numbers:
        for when in ("before", "after"):
            run = copy(finished, tmp_path / f"killed-{number}-{when}")
            assert die(run, number, when, ids) is None, f"change {number} of {total} did not happen"
            take_down(run, Choice(ids=tuple(ids.split(","))))
            assert tree(run) == tree(whole), f"killed {when} change {number} of {total}"
            shutil.rmtree(run.root)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_at_every_change_ends_byte_identical(finished: Path, tmp_path: Path) -> None:
    check(finished, tmp_path, None)


def test_killed_at_some_changes_ends_byte_identical(finished: Path, tmp_path: Path) -> None:
    check(finished, tmp_path, 0.4)


def test_restoration_killed_before_its_digest_is_recorded_ends_byte_identical(finished: Path, tmp_path: Path) -> None:
    run = copy(finished, tmp_path / "run")
    take_down(run, Choice(ids=(kept_twin(run),)))
    doc_id = twin(run).doc_id.hex()
    take_down(run, Choice(), restoring=[doc_id])
    whole = tree(run)
    step_digests.forget(run.root, restored.STEP)
    assert take_down(run, Choice(), restoring=[doc_id])["status"] == "done"
    assert tree(run) == whole


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_restoration_killed_at_every_change_ends_byte_identical(finished: Path, tmp_path: Path) -> None:
    begun = copy(finished, tmp_path / "begun")
    take_down(begun, Choice(ids=(kept_twin(begun),)))
    doc_id = twin(begun).doc_id.hex()
    whole = copy(tmp_path / "begun", tmp_path / "whole")
    take_down(whole, Choice(), restoring=[doc_id])
    killed = 0
    for number in range(50):
        for when in ("before", "after"):
            run = copy(tmp_path / "begun", tmp_path / f"killed-{number}-{when}")
            killed += die(run, number, when, "", (doc_id,)) is None
            take_down(run, Choice(), restoring=[doc_id])
            assert tree(run) == tree(whole), f"killed {when} change {number}"
            shutil.rmtree(run.root)
        if killed < 2 * (number + 1):
            break
    assert killed > 2
