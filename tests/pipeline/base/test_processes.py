"""A process ends with the one that started it, and leaves nothing below it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.base.processes import alive, environment

CHILD = """
import subprocess, sys
from pipeline.base.processes import end_with_parent, end_with_process
below = subprocess.Popen(["sleep", "600"])
{end}
print(below.pid, flush=True)
below.wait()
"""


def start(end: str) -> "tuple[subprocess.Popen[str], int]":
    """A process that has called ``end``, and the number of one below it."""
    code = [sys.executable, "-c", CHILD.format(end=end)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(code, text=True, **pipes)  # type: ignore[call-overload]
    return process, int(process.stdout.readline())


def assert_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while alive([pid]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert alive([pid]) == []


@pytest.mark.parametrize(
    ("call", "code", "told"),
    [("end_with_parent()", 1, ""), ("end_with_parent(code=0, last_words='that was all')", 0, "that was all\n")],
)
def test_process_ends_when_its_pipe_closes_and_all_below_it_end_too(call: str, code: int, told: str) -> None:
    process, below = start(call)
    process.stdin.write("what comes through the pipe is thrown away\n")  # type: ignore[union-attr]
    process.stdin.flush()  # type: ignore[union-attr]
    assert alive([process.pid, below]) == [process.pid, below]
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (code, told)
    assert_gone(below)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system cannot watch a process")
def test_process_ends_with_another_that_it_has_no_pipe_to() -> None:
    with subprocess.Popen(["sleep", "600"]) as watched:
        process, below = start(f"end_with_process({watched.pid})")
        assert alive([process.pid]) == [process.pid]
        watched.kill()
    process.communicate(timeout=30)
    assert process.returncode == 1
    assert_gone(below)


KILLED = """
import os, threading, time
from pipeline.base.pool import Pool
if __name__ == "__main__":
    with Pool(2, fork=False) as pool:
        list(pool.run(time.sleep, [((0.01,), 1), ((0.01,), 2)]))
        os.kill(os.getpid(), 9)
"""


def test_a_killed_run_says_nothing_of_leaks_afterwards(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment(), timeout=60)
    assert ended.returncode == -9
    assert ended.stderr == ""
