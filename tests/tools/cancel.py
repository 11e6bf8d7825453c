"""How long a cancelled run takes to leave no process behind: ``python -m tests.tools.cancel RECIPE FOLDER``.

Each process of a run carries a mark in its environment, so that none is missed, wherever it stands in the tree.  Prints
the table of docs/prefect.md; the slow test in test_cancel.py asserts that nothing is left, not how soon.
"""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.flows.processes import ENVIRONMENT

MARK = "TOKENMILL_TEST_MARK"
# the line that says a stage is at work
MOMENTS = {
    "clean": "clean: ",
    "dedup": "dedup.signatures: ",
    "tokenize": "tokenize.tokenizer: ",
    "train": "train: ",
}
LONG_TRAINING = ("--set", "train.steps=100000", "--set", "train.processes=2", "--set", "train.log_every_steps=1")


@dataclass(frozen=True)
class Cancelled:
    """A run that was cancelled: its exit code, seconds to the end of the last process, and how many there were."""

    code: int
    seconds: float
    processes: int
    told: str


def marked(mark: str) -> list[int]:
    """Living processes that carry the mark."""
    return [pid for pid in _pids() if _carries(pid, f"{MARK}={mark}".encode())]


def _pids() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").glob("[0-9]*"))


def _carries(pid: int, wanted: bytes) -> bool:
    try:
        # a zombie has no environment left
        return wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def gone(mark: str, patience_seconds: float) -> tuple[bool, float]:
    """Waits for the last marked process to end; whether it did, and after how many seconds."""
    started = time.monotonic()
    while marked(mark):
        if time.monotonic() - started > patience_seconds:
            return False, time.monotonic() - started
        time.sleep(0.01)
    return True, time.monotonic() - started


def cancel(command: list[str], stage: str, number: signal.Signals, patience_seconds: float = 60.0) -> Cancelled:
    """Starts a run, sends the signal a moment after ``stage`` has begun its work, and waits for every process.

    SIGINT goes to the whole process group, as a terminal's Ctrl-C does.
    """
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**ENVIRONMENT, MARK: mark},
        text=True,
        stderr=subprocess.PIPE,
        stdout=sys.stderr,
        start_new_session=True,
    )
    assert process.stderr is not None
    told = ""
    for line in process.stderr:
        told += line
        if line.startswith(MOMENTS[stage]) and " to do" in line:
            break
    time.sleep(0.2)
    count = len(marked(mark))
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    ended, seconds = gone(mark, patience_seconds)
    if not ended:
        raise AssertionError(f"{stage}, {number.name}: still there after {patience_seconds} s: {marked(mark)}\n{told}")
    told += process.stderr.read()
    process.stderr.close()
    return Cancelled(process.wait(), seconds, count, told)


def run_command(recipe: Path, root: Path, *arguments: str) -> list[str]:
    """The real command."""
    return [sys.executable, "-m", "flows.cli", "run", str(recipe), "--root", str(root), *arguments]


if __name__ == "__main__":
    given, folder = Path(sys.argv[1]), Path(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGTERM):
        for stage in sys.argv[3:] or MOMENTS:
            found = cancel(run_command(given, folder / number.name, *LONG_TRAINING), stage, number)
            row = f"| {number.name} | {stage} | {found.processes} | {found.seconds:.1f} s | {found.code} |\n"
            sys.stdout.write(row)
            sys.stdout.flush()
