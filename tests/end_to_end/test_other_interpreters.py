"""The newest Python on this machine makes the same documents, verdicts and tokens; Python 3.14 installs from wheels.

Without torch, which the data stages do not need: its build for another interpreter is gigabytes on some machines.
"""

import filecmp
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
STAGES = "clean,dedup,filter,tokenize"
SAME = ("documents", "excluded", "quarantine", "signatures", "clusters", "verdicts", "tokenizer", "tokens", "index")
NEWEST = (3, 14)
WITHOUT = ("torch", "safetensors")


def requirements() -> list[str]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return [found for found in project["dependencies"] if Requirement(found).name not in WITHOUT]


def newer_interpreter() -> str | None:
    """The newest that fits and is newer than this one, on the PATH or among pyenv's."""
    on_path = [shutil.which(f"python3.{minor}") for minor in range(NEWEST[1], sys.version_info.minor, -1)]
    of_pyenv = sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3"), reverse=True)
    for program in [*on_path, *map(str, of_pyenv)]:
        code = f"import sys, venv; sys.exit(not {sys.version_info[:2]} < sys.version_info[:2] <= {NEWEST})"
        if program and subprocess.run([program, "-c", code], capture_output=True, check=False).returncode == 0:
            return program
    return None


def pip(python: str, *arguments: str) -> None:
    command = [python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", *arguments]
    done = subprocess.run(
        [*command, "--constraint", str(REPOSITORY / "constraints.txt")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def run_demo(python: str, root: Path) -> None:
    command = [python, "-m", "flows.cli", "run", "configs/demo.toml", "--root", str(root), "--stages", STAGES]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]


def differences(compared: filecmp.dircmp[str]) -> list[str]:
    here = [*compared.left_only, *compared.right_only]
    _, unequal, unreadable = filecmp.cmpfiles(compared.left, compared.right, compared.common_files, shallow=False)
    below = [found for folder in compared.subdirs.values() for found in differences(folder)]
    return [f"{compared.left}/{name}" for name in [*here, *unequal, *unreadable]] + below


def test_newest_interpreter_makes_the_same_documents_verdicts_and_tokens(tmp_path: Path) -> None:
    newer = newer_interpreter()
    if newer is None:
        pytest.skip("no interpreter newer than this one is on this machine")
    subprocess.run([newer, "-m", "venv", str(tmp_path / "environment")], check=True)
    python = str(tmp_path / "environment/bin/python")
    pip(python, *requirements())
    run_demo(python, tmp_path / "newer")
    run_demo(sys.executable, tmp_path / "here")
    for folder in SAME:
        assert (tmp_path / "here" / folder).is_dir()
        assert differences(filecmp.dircmp(tmp_path / "here" / folder, tmp_path / "newer" / folder)) == []


def test_python_3_14_installs_from_wheels_alone(tmp_path: Path) -> None:
    there = {"python_version": "3.14", "python_full_version": "3.14.0"}
    found = [Requirement(text) for text in requirements()]
    wanted = [requirement for requirement in found if not requirement.marker or requirement.marker.evaluate(there)]
    for requirement in wanted:
        requirement.marker = None
    assert "fasttext-community" in {requirement.name for requirement in wanted}
    platform = ("--dry-run", "--python-version", "3.14", "--target", str(tmp_path / "nothing"))
    pip(sys.executable, *platform, *map(str, wanted))
    assert not (tmp_path / "nothing").exists()
