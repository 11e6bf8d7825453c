"""The GPUs that this process may use, and a lock on each, so that two trainings never share a device.

No torch: ``tokenmill doctor`` asks for them, too.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.base.errors import RunError
from pipeline.base.locks import WAITS, file_lock_in_turn

GPUS = Path("/proc/driver/nvidia/gpus")


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
    """The UUID of each device by number, "" where the driver does not say it: one device must not have two locks."""
    folders = sorted(GPUS.iterdir()) if GPUS.is_dir() else []
    found = []
    for folder in folders:
        with contextlib.suppress(OSError):
            lines = (folder / "information").read_text(errors="replace", encoding="utf-8").splitlines()
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

    A person's job that finds its GPU taken is refused rather than queued: which of the two should wait is a person's
    decision.  That of a deployment's flow run waits (``pipeline/base/locks.py``).

    Args:
        note: Called with a line for people when a device cannot be locked, or is waited for.

    Raises:
        RunError: If another training holds one, naming its process.
    """
    with contextlib.ExitStack() as held:
        devices = visible_gpus()
        for device in devices:
            path = gpu_lock_folder() / f"{device.replace('/', '_')}.lock"
            try:
                held.enter_context(file_lock_in_turn(path, note, f"GPU {device}"))
            except BlockingIOError as error:
                raise RunError(
                    f"GPU {device} is used by another training: {error}; wait for it, end it, or choose another "
                    f"device with CUDA_VISIBLE_DEVICES"
                ) from error
            except OSError as error:
                note(f"cannot lock GPU {device} ({path}: {error.strerror}); going on without the lock")
        yield devices


def wait_for_gpus(note: Callable[[str], None]) -> None:
    """Returns once no other training holds a visible GPU, in a process that waits; at once in any other.

    For the program that starts trainers: several that wait for the one among them that takes the locks would give up
    after ten minutes, the limit of their library.
    """
    if os.environ.get(WAITS):
        with gpu_lock(note):
            pass
