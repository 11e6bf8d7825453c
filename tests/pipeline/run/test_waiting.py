"""A run folder that another process works on: refused to a person, waited for by the processes of a deployment."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.errors import RunError
from pipeline.base.locks import WAITS
from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run
from tests.conftest import REPOSITORY

RECIPE = """
name = "waits"
[[sources]]
name = "s"
paths = ["x"]
"""
HOLDER = """
import sys
from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run
with Run(sys.argv[2], load_recipe(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    return Run(str(tmp_path / "run"), load_recipe(recipe))


def hold(run: Run) -> "subprocess.Popen[str]":
    """Another process that works on the run until its standard input closes."""
    command = [sys.executable, "-c", HOLDER, str(Path(run.root).parent / "recipe.toml"), run.root]
    process = subprocess.Popen(command, cwd=REPOSITORY, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_taken_folder_is_waited_for_by_a_process_of_a_deployment_which_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WAITS, "1")
    told: list[str] = []
    with hold(run) as first:

        def note(text: str) -> None:
            told.append(text)
            assert run.is_locked()
            first.kill()

        with run.lock(note):
            assert first.wait() != 0, "never two at once"
            assert run.is_locked()
    (line,) = told
    assert line.startswith(f'{run.root}: waiting for the process that works on it: {{"pid": {first.pid}')


def test_taken_folder_is_refused_to_a_person(run: Run) -> None:
    with hold(run) as first:
        with pytest.raises(RunError, match="another process is working on this run"), run.lock():
            pass
        first.kill()
