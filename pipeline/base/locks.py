"""Locks of the kernel (flock): they end with the process that holds them, however it dies.

One on each run folder (``pipeline/run/folder.py``), and one on each GPU, so that two trainings never share a device.

A person who starts a second job wants to know at once that there is a first.  A flow run that a schedule or a form has
started has nobody to ask: its processes carry ``WAITS`` in their environment, and wait.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

WAITS = "TOKENMILL_WAITS"  # set for the processes of a deployment's flow run
POLL_SECONDS = 1.0
TELL_SECONDS = 600.0  # between two lines of one that waits


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Holds ``path`` for this process, and writes into it who holds it.

    Raises:
        BlockingIOError: If another process holds it; its argument is who, as that one wrote it.
        OSError: If the file cannot be opened.
    """
    descriptor = open_lock(path)
    try:
        try:
            _take(descriptor)
        except BlockingIOError:
            raise
        except OSError as error:  # of a write, it names no file
            raise OSError(error.errno, error.strerror, str(path)) from error
        yield
    finally:
        os.close(descriptor)


def open_lock(path: Path) -> int:
    """A descriptor of a lock's file, which is made; what a link in its place leads to is left alone.

    A run folder may come from others, and the locks of GPUs lie where every user may put a file.

    Raises:
        OSError: If a link stands there, or the file cannot be opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    if os.fstat(descriptor).st_nlink > 1:
        os.close(descriptor)
        raise OSError(errno.ELOOP, "the file has another name too: a link, which is not followed", str(path))
    return descriptor


def _take(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 4096, 0).decode(errors="replace").strip()
        raise BlockingIOError(holder or "unknown") from error
    who = {"pid": os.getpid(), "host": socket.gethostname(), "command": " ".join(sys.argv)[:500]}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, (json.dumps(who) + "\n").encode(), 0)


@contextlib.contextmanager
def file_lock_in_turn(path: Path, note: Callable[[str], None], what: str) -> Iterator[None]:
    """As ``file_lock``, but a process that carries ``WAITS`` waits for the other one to end.

    Args:
        path: The file.
        note: Told for whom it waits, at first and every ten minutes.
        what: What the lock is of, at the beginning of that line.

    Raises:
        BlockingIOError: If another process holds it and this one does not wait.
        OSError: If the file cannot be opened.
    """
    with contextlib.ExitStack() as held:
        told = -TELL_SECONDS
        while True:
            try:
                held.enter_context(file_lock(path))
                break
            except BlockingIOError as error:
                if not os.environ.get(WAITS):
                    raise
                if time.monotonic() - told >= TELL_SECONDS:
                    told = time.monotonic()
                    note(f"{what}: waiting for the process that works on it: {error}")
            time.sleep(POLL_SECONDS)  # a lock is not granted in the order of asking: to poll loses nothing
        yield


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
