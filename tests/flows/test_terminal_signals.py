"""A terminal that closes, and Ctrl-C typed once and twice, to a command that trains: as a person at a terminal does it.

The commands have a pseudo terminal of their own; closing its other end is what a closed window or a lost ssh does.
"""

import contextlib
import fcntl
import os
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model.checkpoints.steps import complete_steps
from model.training.metrics import read_lines
from pipeline.base.processes import alive, descendants, end
from pipeline.run.folder import Run
from tests.flows.processes import ENVIRONMENT
from tests.model.runs import make_run

LONG = ("train.steps=1000000", "train.checkpoint_every_steps=0")
LONG_STEPS = (*LONG, "train.global_batch_tokens=262144")
PATIENCE_SECONDS = 240.0
CTRL_C = b"\x03"

with_prefect = [pytest.mark.slow, pytest.mark.flow, pytest.mark.xdist_group("prefect")]
WAYS = [
    pytest.param("train", 1, id="train"),
    pytest.param("train", 2, id="train with two processes", marks=pytest.mark.slow),
    pytest.param("run", 1, id="run", marks=with_prefect),
    pytest.param("run", 2, id="run with two processes", marks=with_prefect),
]


class AtTerminal:
    """A command on a terminal of its own."""

    def __init__(self, command: list[str]) -> None:
        self._terminal, theirs = os.openpty()
        streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        variables = {**ENVIRONMENT, "OMP_NUM_THREADS": "1", "TERM": "xterm"}
        self.process = subprocess.Popen(command, env=variables, preexec_fn=_take_terminal, **streams)  # type: ignore[call-overload]
        os.close(theirs)
        self.said = ""

    def read_until(self, reached: Callable[[], bool]) -> None:
        """Reads what is shown until ``reached()``, or the command has ended."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not reached():
            assert time.monotonic() < deadline, self.said[-3000:]
            if select.select([self._terminal], [], [], 0.05)[0]:
                try:
                    self.said += os.read(self._terminal, 65536).decode(errors="replace")
                except OSError:  # nobody has the other end open any more
                    return

    def type(self, keys: bytes) -> None:
        os.write(self._terminal, keys)

    def close(self) -> None:
        if self._terminal >= 0:
            os.close(self._terminal)
        self._terminal = -1

    def wait(self) -> int:
        """Reads on to the end; the exit code."""
        if self._terminal >= 0:
            self.read_until(lambda: False)
        return int(self.process.wait(PATIENCE_SECONDS))


def _take_terminal() -> None:
    """In the child: its standard streams are the terminal that controls it, and whose Ctrl-C reaches it."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextlib.contextmanager
def at_terminal(name: str, run: Run) -> Iterator[AtTerminal]:
    options = ["--root", run.root, *(["--stages", "train"] if name == "run" else [])]
    command = AtTerminal([sys.executable, "-m", "flows.cli", name, f"{run.root}/recipe.toml", *options])
    try:
        yield command
    finally:
        if command.process.poll() is None:
            end([*descendants(command.process.pid), command.process.pid], 0.0)
            command.process.wait()
        command.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "processes"), WAYS)
def test_closed_terminal_saves_a_checkpoint(tmp_path: Path, name: str, processes: int) -> None:
    run = make_run(tmp_path, overrides=(*LONG, f"train.processes={processes}"))
    with at_terminal(name, run) as command:
        command.read_until(lambda: bool(read_lines(run.root)))
        all_of_it = descendants(command.process.pid)
        command.close()
        assert command.wait() == (130 if name == "run" else 0)
    assert_gone(all_of_it)
    (step,) = complete_steps(run.root)
    assert read_lines(run.root)[-1]["step"] == step > 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "processes"), WAYS[1:])
def test_second_ctrl_c_ends_every_process_at_once(tmp_path: Path, name: str, processes: int) -> None:
    run = make_run(tmp_path, overrides=(*LONG_STEPS, f"train.processes={processes}"))
    with at_terminal(name, run) as command:
        command.read_until(lambda: bool(read_lines(run.root)))  # the second step, of several seconds, is at hand
        command.type(CTRL_C)
        command.read_until(lambda: "saving a checkpoint" in command.said)
        all_of_it = descendants(command.process.pid)
        command.type(CTRL_C)
        assert command.wait() == 130, command.said[-2000:]
    assert_gone(all_of_it)
    assert complete_steps(run.root) == []
    assert "ended at once" in command.said


def assert_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 60
    while alive(pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert alive(pids) == []
