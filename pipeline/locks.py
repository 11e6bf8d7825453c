"""Locks of the kernel (flock): they end with the process that holds them, however it dies.

One on each run folder (``pipeline/run.py``), and one on each GPU, so that two trainings never share a device.
"""

import contextlib
import fcntl
import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import RunError

GPUS = Path("/proc/driver/nvidia/gpus")


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


def visible_gpus() -> list[str]:
    """The NVIDIA devices that this process may use, by number where it is known; found without loading torch."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    uuids = _gpu_uuids()
    if chosen is None or not uuids:
        return [str(number) for number in range(len(uuids))]
    names = []
    for name in (part.strip() for part in chosen.split(",")):
        if name == "-1":
            break  # CUDA's rule: what follows is not seen
        if name:
            names.append(next((str(number) for number, uuid in enumerate(uuids) if uuid.startswith(name)), name))
    return names


def _gpu_uuids() -> list[str]:
    """The UUID of each device by number, "" where the driver does not tell: one device must not have two locks."""
    folders = sorted(GPUS.iterdir()) if GPUS.is_dir() else []
    found = []
    for folder in folders:
        with contextlib.suppress(OSError):
            lines = (folder / "information").read_text(errors="replace").splitlines()
            found.append(next((line.split()[-1] for line in lines if line.startswith("GPU UUID")), ""))
            continue
        found.append("")
    return found


def gpu_lock_folder() -> Path:
    """Where the locks of GPUs lie: one folder for all users of the machine."""
    folder = Path(tempfile.gettempdir()) / "tokenmill-gpu"
    with contextlib.suppress(OSError):  # another user has made it
        folder.mkdir(exist_ok=True)
        folder.chmod(0o1777)
    return folder


@contextlib.contextmanager
def gpu_lock(note: Callable[[str], None]) -> Iterator[list[str]]:
    """Holds every visible GPU; nothing to hold on a machine without one.

    A job that finds its GPU taken is refused rather than queued: which of the two should wait is a person's decision.

    Args:
        note: Told when a device cannot be locked.

    Raises:
        RunError: If another training holds one, naming its process.
    """
    with contextlib.ExitStack() as held:
        devices = visible_gpus()
        for device in devices:
            path = gpu_lock_folder() / f"{device.replace('/', '_')}.lock"
            try:
                held.enter_context(file_lock(path))
            except BlockingIOError as error:
                raise RunError(
                    f"GPU {device} is used by another training: {error}; wait for it, end it, or choose another "
                    f"device with CUDA_VISIBLE_DEVICES"
                ) from error
            except OSError as error:
                note(f"cannot lock GPU {device} ({path}: {error.strerror}); going on without the lock")
        yield devices
