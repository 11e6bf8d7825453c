"""The table clusters/survivors.arrow: which kept documents belong together, where a cluster keeps several.

Evidence names removed documents and their keepers only.  A cluster may keep more: a chain does not collapse, and
``dedup.copies`` keeps some on purpose.  Whoever splits documents must not tear such a cluster apart.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.run.tables import BATCH_ROWS, SURVIVORS


def survivor_rows(clusters: NDArray[np.int64], removed: NDArray[np.int64]) -> NDArray[np.int64]:
    """The kept documents of clusters that keep several.

    Args:
        clusters: First document of the cluster of each, shape (N,).
        removed: The removed documents.
    """
    kept = np.ones(len(clusters), bool)
    kept[removed] = False
    several = np.bincount(clusters[kept], minlength=len(clusters)) > 1
    return np.flatnonzero(kept & several[clusters])


def survivor_tables(
    doc_ids: pa.ChunkedArray, clusters: NDArray[np.int64], rows: NDArray[np.int64]
) -> Iterator[pa.Table]:
    """Rows of the table for these documents, a record batch's worth at a time."""
    for start in range(0, len(rows), BATCH_ROWS):
        part = rows[start : start + BATCH_ROWS]
        columns = [doc_ids.take(pa.array(part)), doc_ids.take(pa.array(clusters[part]))]
        yield pa.Table.from_arrays(columns, schema=SURVIVORS.schema).combine_chunks()
