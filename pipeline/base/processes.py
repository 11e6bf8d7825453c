"""The processes below a process, so that nothing outlives a run: a trainer's ranks sit several levels down.

Read from ``/proc``; where there is none, the answer is empty and only the workers themselves are ended.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")


def descendants(pid: int) -> list[int]:
    """Every living process below ``pid``, children before their own children; zombies are left out."""
    children: dict[int, list[int]] = {}
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            # "pid (name) state parent ...": the name may hold spaces and brackets
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if state not in ("Z", "X"):
                children.setdefault(int(parent), []).append(int(folder.name))
    found: list[int] = []
    level = [pid]
    while level:
        level = [child for parent in level for child in children.get(parent, [])]
        found += level
    return found


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Sends a signal to each process that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def alive(pids: Iterable[int]) -> list[int]:
    """Those of ``pids`` that have not ended; a zombie has."""
    left = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X"):
                left.append(pid)
    return left


def end(pids: list[int], grace_seconds: float) -> None:
    """SIGTERM, then SIGKILL for what is still there after ``grace_seconds``: a trainer uses them to save itself."""
    if grace_seconds > 0.0:
        send(pids, signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        while alive(pids) and time.monotonic() < deadline:
            time.sleep(0.05)  # there is no way to wait for a process that is not one's child
    send(pids, signal.SIGKILL)
