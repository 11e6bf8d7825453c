"""Where a task of the join keeps what does not fit its memory: beside the run, until the task ends."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.run.engine import Job


@contextmanager
def scratch_folder(job: Job) -> Iterator[Path]:
    """A folder that goes with the task; ``arguments["scratch"]`` says where, None for the system's temporary one."""
    parent = job.arguments["scratch"]
    if parent is not None:
        Path(parent).mkdir(parents=True, exist_ok=True)  # nothing else of this run may have been written yet
    with tempfile.TemporaryDirectory(prefix="dedup-", dir=parent) as folder:
        yield Path(folder)
