"""clusters/survivors.arrow: which kept documents belong together, where a cluster keeps several.

Evidence names removed documents and their keepers only.  A cluster may keep more: a chain does not collapse, and
``dedup.copies`` keeps some on purpose.  Whoever splits documents must not tear such a cluster apart.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.engine import Outputs
from pipeline.tables import BATCH_ROWS, SURVIVORS

PATH = "clusters/survivors.arrow"


def write_survivors(
    outputs: Outputs, doc_ids: pa.ChunkedArray, clusters: NDArray[np.int64], removed: NDArray[np.int64]
) -> None:
    """Writes a row for each kept document of a cluster that keeps several.

    Args:
        outputs: Where to.
        doc_ids: The N documents that took part.
        clusters: First document of the cluster of each, shape (N,).
        removed: The removed documents.
    """
    kept = np.ones(len(clusters), bool)
    kept[removed] = False
    several = np.bincount(clusters[kept], minlength=len(clusters)) > 1
    rows = np.flatnonzero(kept & several[clusters])
    with outputs.table(PATH, SURVIVORS) as writer:
        for start in range(0, len(rows), BATCH_ROWS):
            part = rows[start : start + BATCH_ROWS]
            columns = [doc_ids.take(pa.array(part)), doc_ids.take(pa.array(clusters[part]))]
            writer.write(pa.Table.from_arrays(columns, schema=SURVIVORS.schema).combine_chunks())
    outputs.count(survivors_of_shared_clusters=len(rows))
