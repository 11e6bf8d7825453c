"""Whether a run will find room on its disk."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from pipeline.base import storage
from pipeline.clean.stage import source_inputs
from pipeline.run.folder import Run
from pipeline.run.stages import StagePlan

SAY_AT = 0.9  # of what is free
RAW_TO_RUN = 2  # bytes of a run folder for each byte of its sources, roughly


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


def told_of_room(run: Run, plans: Sequence[StagePlan]) -> str:
    """What a real run says first where its disk has too little room for what it reads; empty where it has."""
    if not any(planned.stage == "clean" and planned.state != "done" for planned in plans):
        return ""
    # a store is slow to list
    local = [source for source in run.recipe.sources if all(map(storage.is_local, source.paths))]
    size = sum(file.size for source in local for file in source_inputs(source).files)
    return too_little(run.root, RAW_TO_RUN * size, f"the sources hold {size / 1e9:,.2f} GB")
