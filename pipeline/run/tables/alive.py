"""Which documents are alive: those that no verdict drops.

A verdict's ``keep`` is null where an earlier stage has dropped the document already: not kept either.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.base import storage
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.table_files import batches
from pipeline.run.tables.filter import VERDICTS

Mask = NDArray[np.bool_]


def kept_by(verdicts: Path) -> Mask:
    """The documents that one verdict shard keeps, shape (rows,)."""
    pieces = [batch.column("keep").fill_null(False) for batch in batches(verdicts, VERDICTS, ["keep"])]
    kept: Mask = np.concatenate([*(piece.to_numpy(zero_copy_only=False) for piece in pieces), np.zeros(0, bool)])
    return kept


def alive(verdicts: Iterable[Path], rows: int) -> Mask:
    """The documents of a shard that all of its verdict shards keep, shape (rows,)."""
    mask = np.ones(rows, bool)
    for path in verdicts:
        mask &= kept_by(path)
    return mask


def alive_in_run(run: Run, stages: Iterable[str], shard: str, rows: int) -> Mask:
    """The documents of a shard that are alive after ``stages``, as far as those have judged it; shape (rows,)."""
    urls = [run.url(layout.verdicts(stage, shard)) for stage in stages]
    return alive((storage.open_local(url) for url in urls if storage.exists(url)), rows)
