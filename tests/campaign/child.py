"""Work in a forked process that has every module loaded; what it said, and how it ended.

The process is a session of its own, so that it goes with all that it has started.  It ends as the command line would:
the same errors are sentences, and any other is "unexpected".
"""

import contextlib
import ctypes
import os
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flows.cli.app import failure_of
from tests.campaign.shim import Shim

HANG_SECONDS = 300.0
SUBREAPER = 36  # of prctl: children of children that have ended become ours
ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
UNEXPECTED = 99


@dataclass(frozen=True)
class Ended:
    """How work ended.

    Attributes:
        code: Its exit code; negative: the signal that ended it.
        said: What it wrote to standard output and standard error.
    """

    code: int
    said: str

    @property
    def killed(self) -> bool:
        """Whether a signal ended it."""
        return self.code < 0

    @property
    def error(self) -> str:
        """The sentence that it ended with, and the lines below it that belong to it."""
        found = re.findall(r"^error: .*(?:\n  .*)*", self.said, re.MULTILINE)
        return str(found[-1]) if found else ""

    def complaints(self, root: Path) -> list[str]:
        """What is wrong with how it failed: no sentence, a traceback, no file, no advice."""
        if self.code == 0 or self.killed:
            return []
        if "Traceback (most recent call last)" in self.said or "unexpected" in self.error or not self.error:
            return [f"no sentence (exit code {self.code}): {self.said[-1500:]}"]
        names_a_file = str(root) in self.error or re.search(r"\w+/[\w.-]+|\b\w+\.(toml|jsonl?)\b", self.error)
        advises = ";" in self.error or "`" in self.error
        return [
            *([] if names_a_file else [f"no file in: {self.error}"]),
            *([] if advises else [f"no advice in: {self.error}"]),
        ]


class Child:
    """Work in a forked process, from now on.

    Args:
        work: A whole number that it gives is the exit code.
        shim: Told the process, where its tree may have to be killed.
    """

    def __init__(self, work: Callable[[], object], shim: Shim | None = None) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed by wait
        sys.stdout.flush()
        sys.stderr.flush()
        self._pid = os.fork()
        if self._pid == 0:
            _be_child(work, shim, self._said.fileno())

    def wait(self, seconds: float = HANG_SECONDS) -> Ended:
        """How it ended; after ``seconds`` it hangs, which is told as the signal SIGALRM."""
        code = _wait(self._pid, seconds)
        with self._said as said:
            said.seek(0)
            return Ended(code, said.read().decode("utf-8", "replace"))


def run(work: Callable[[], object], shim: Shim | None = None, seconds: float = HANG_SECONDS) -> Ended:
    """Does work in a forked process, and waits for its end."""
    return Child(work, shim).wait(seconds)


def _be_child(work: Callable[[], object], shim: Shim | None, output: int) -> None:
    code: object = UNEXPECTED
    try:
        os.setsid()
        if shim is not None:
            shim.own_group()
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", 1, "utf-8", "replace", closefd=False) for n in (1, 2))
        code = _done(work)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code if isinstance(code, int) else 0)


def _done(work: Callable[[], object]) -> object:
    try:
        return work()
    except Exception as error:  # noqa: BLE001  what nobody expected is a finding
        found = failure_of(error)
        if found is None:
            traceback.print_exc()
            return UNEXPECTED
        message, code = found
        sys.stderr.write(f"error: {message}\n")
        return code


def _wait(pid: int, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            break
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return -signal.SIGALRM
        time.sleep(0.002)  # there is no way to wait with a deadline
    _end_rest(pid)
    return os.waitstatus_to_exitcode(status)


def _end_rest(group: int) -> None:
    """Ends what is left of the tree of a process that has ended; forked workers hold its locks as long as they live."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-group, 0)  # they are ours once their parent has gone
