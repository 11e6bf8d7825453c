"""Locks of the kernel (flock): they end with the process that holds them, however it dies.

One on each run folder (``pipeline/run/folder.py``), and one on each GPU, so that two trainings never share a device.
"""

import contextlib
import fcntl
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Holds ``path`` for this process, and writes into it who holds it.

    Raises:
        BlockingIOError: If another process holds it; its argument is who, as that one wrote it.
        OSError: If the file cannot be opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _take(descriptor)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 4096, 0).decode(errors="replace").strip()
        raise BlockingIOError(holder or "unknown") from error
    who = {"pid": os.getpid(), "host": socket.gethostname(), "command": " ".join(sys.argv)[:500]}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, (json.dumps(who) + "\n").encode(), 0)


def is_held(path: Path) -> bool:
    """Whether a process holds ``path``."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # for a moment, and let go with the descriptor
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
