"""Whether a run will find room on its disk."""

import shutil
from pathlib import Path

from pipeline.base import storage

SAY_AT = 0.9  # of what is free


def free_bytes(root: str) -> int | None:
    """Bytes free on the disk where a run folder stands or will stand; None for an object store."""
    if not storage.is_local(root):
        return None
    folder = storage.local_path(root).absolute()
    return shutil.disk_usage(next(place for place in (folder, *folder.parents) if Path(place).is_dir())).free


def too_little(root: str, needed: float, why: str) -> str:
    """What is said where a run needs more than there is; empty where there is room, or it is not known.

    Args:
        root: The run folder.
        needed: Bytes.
        why: Where the figure is from.
    """
    free = free_bytes(root)
    if free is None or needed <= SAY_AT * free:
        return ""
    return (
        f"warning: {root} needs about {needed / 1e9:,.2f} GB ({why}), and {free / 1e9:,.2f} GB are free on its disk; "
        "make room, or give another --root"
    )
