"""Standard streams that are closed, full or have no reader end no run; a result that finds no room is an error."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.flows.processes import ENVIRONMENT

pytestmark = [pytest.mark.flow, pytest.mark.xdist_group("prefect")]

RUN = "run {recipe} --root {root}"
CLOSED = [
    "<&-",
    ">&-",
    "2>&-",
    "<&- >&- 2>&-",
    ">/dev/full",
    "2>/dev/full",
    ">/dev/full 2>&1",
    "2>&1 | true",
    "2>&1 >/dev/null | head -1",
]
QUICK = ("<&- >&- 2>&-",)


def shell(arguments: str, how: str) -> "subprocess.CompletedProcess[str]":
    """A command with its streams as ``how``; the exit code of a pipeline is that of the command."""
    line = f"set -o pipefail; {sys.executable} -m tests.flows.stand_in {arguments} {how}"
    command = ["bash", "-c", line]
    return subprocess.run(command, cwd=REPOSITORY, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)


def empty_run(recipe: Path, root: Path) -> Path:
    """A run folder in which nothing is made."""
    (root / "manifests").mkdir(parents=True)
    (root / "recipe.toml").write_text(recipe.read_text(encoding="utf-8"))
    return root


def made(root: Path) -> bool:
    return (root / "manifests/clean.json").exists() and (root / "report/index.html").exists()


@pytest.mark.parametrize("how", [pytest.param(how, marks=[] if how in QUICK else [pytest.mark.slow]) for how in CLOSED])
def test_run_is_done_whatever_became_of_its_streams(how: str, recipe: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    done = shell(RUN.format(recipe=recipe, root=root), how)
    assert done.returncode == 0, done.stderr
    assert made(root)
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_run_goes_on_when_its_terminal_vanishes(recipe: Path, tmp_path: Path) -> None:
    """The other end of a pseudo terminal is closed after the first line; no SIGHUP, as for a process of a daemon's."""
    root = tmp_path / "run"
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tests.flows.stand_in", "run", str(recipe), "--root", str(root)]
    variables = {**ENVIRONMENT, "STAND_IN_SLOW": "1"}
    process = subprocess.Popen(command, cwd=REPOSITORY, env=variables, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    assert os.read(ours, 1)
    os.close(ours)
    assert process.wait(120) == 0
    assert made(root)


@pytest.mark.slow
def test_object_that_finds_no_room_is_a_failure_of_the_command_and_the_run_is_done(
    recipe: Path, tmp_path: Path
) -> None:
    root = tmp_path / "run"
    done = shell(RUN.format(recipe=recipe, root=root) + " --json", ">/dev/full")
    assert done.returncode == 1
    assert "error: standard output: no space left on the disk; make room" in done.stderr
    assert "Exception ignored" not in done.stderr
    assert made(root)


@pytest.mark.parametrize("more", ["", " --json"])
def test_result_that_finds_no_room_is_a_failure_in_one_line(more: str, recipe: Path, tmp_path: Path) -> None:
    status = shell(f"status {empty_run(recipe, tmp_path / 'none')}{more}", ">/dev/full")
    assert status.returncode == 1
    (line,) = status.stderr.splitlines()
    assert line.startswith("error: standard output: no space left on the disk; make room")


HEAD_QUICK = ["status {root}", "status {root} --json", "--help"]
HEAD = ["doctor", "dedup plan", "dedup compare {recipe} {recipe}", "verify {root}", "run {recipe} --dry-run --json"]
HEAD += ["plan {recipe}", "run --help", "inspect {root}", "completion bash", "inspect {recipe}", "clean-up {root} -n"]


@pytest.mark.parametrize("arguments", [*HEAD_QUICK, *(pytest.param(line, marks=pytest.mark.slow) for line in HEAD)])
def test_output_that_nobody_reads_to_its_end_ends_quietly(arguments: str, recipe: Path, tmp_path: Path) -> None:
    """The exit code is that of the command, as the work was done: 0, or what is wrong (a recipe is no table)."""
    root = empty_run(recipe, tmp_path / "none")
    line = arguments.format(root=root, recipe=recipe)
    read, cut = shell(line, "| cat >/dev/null"), shell(line, "| true")
    assert "Broken pipe" not in cut.stderr
    assert "Traceback" not in cut.stderr
    assert (cut.returncode, cut.stderr) == (read.returncode, read.stderr)


def test_words_wait_for_a_full_pipe_that_another_process_has_set_to_not_block() -> None:
    code = (
        "import os; from pipeline.base.console import guard_streams, say; guard_streams(); os.set_blocking(2, False);"
        "[say('x' * 999) for _ in range(200)]"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True)
    assert done.returncode == 0
    assert len(done.stderr) == 200 * 1000
