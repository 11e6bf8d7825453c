"""`make setup` finds an interpreter that fits, and says before it downloads anything what is missing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

TOOLS = ("make", "sh", "df", "awk")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A PATH of its own, with make and what the Makefile calls, and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(str(shutil.which(tool)))
    return folder


def interpreter(folder: Path, name: str, version: str, fits: bool) -> None:
    """A program that answers as an interpreter of this version does."""
    answers = f'case "$*" in *version.split*) echo {version};; *exit*) exit {0 if fits else 1};; *) exit 1;; esac'
    (folder / name).write_text(f"#!/bin/sh\n{answers}\n")
    (folder / name).chmod(0o755)


def make(path: Path, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "requirements.lock"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    command = ["make", *arguments]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        command, cwd=tmp_path, env={**clean, "PATH": str(path)}, capture_output=True, text=True, timeout=60, check=False
    )


def test_first_interpreter_that_fits_is_taken(path: Path, tmp_path: Path) -> None:
    interpreter(path, "python3", "3.10.12", fits=False)
    interpreter(path, "python3.12", "3.12.4", fits=True)
    assert "\npython3.12 -m venv .venv\n" in make(path, tmp_path, "-n", "setup").stdout


def test_the_users_own_interpreter_comes_first(path: Path, tmp_path: Path) -> None:
    interpreter(path, "python3", "3.11.7", fits=True)
    interpreter(path, "python3.13", "3.13.0", fits=True)
    assert "\npython3 -m venv .venv\n" in make(path, tmp_path, "-n", "setup").stdout


def test_without_one_that_fits_each_that_was_looked_at_is_named(path: Path, tmp_path: Path) -> None:
    interpreter(path, "python3", "3.10.12", fits=False)
    done = make(path, tmp_path, "setup")
    assert done.returncode != 0
    assert "needs Python 3.11 to 3.14" in done.stderr
    assert "python3 (3.10.12, without them)" in done.stderr
    assert "python3.13 (not there or does not start" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_full_disk_is_told_before_the_first_download(path: Path, tmp_path: Path) -> None:
    interpreter(path, "python3", "3.12.4", fits=True)
    done = make(path, tmp_path, "setup", "NEEDED_KB=99999999999999")
    assert done.returncode != 0
    assert "kB are free in" in done.stderr
    assert not (tmp_path / ".venv").exists()
