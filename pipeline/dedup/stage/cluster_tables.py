"""The rows of clusters/: evidence.arrow (why each removed document went) and survivors.arrow (who else was kept).

Evidence names removed documents and their keepers only.  A cluster may keep more: a chain does not collapse, and
``dedup.copies`` keeps some on purpose.  Whoever splits documents must not tear such a cluster apart, so the kept
documents of clusters that keep several have a table of their own.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base.arrow import one_array
from pipeline.dedup.rule.deduplicate import Outcome
from pipeline.run import layout
from pipeline.run.engine import Outputs
from pipeline.run.table_files import range_checksum
from pipeline.run.tables import BATCH_ROWS, CLUSTERS, SURVIVORS


def evidence_tables(found: Outcome, doc_ids: pa.ChunkedArray, edges: Sequence[int]) -> Iterator[pa.Table]:
    """Rows of the evidence in the order of the removed documents, cut at ``edges``."""
    for part in found.evidence(edges):
        kept_ids = doc_ids.take(part.keepers).to_pylist()
        corpora: list[str | None] = [None] * len(kept_ids)
        names: list[str | None] = [None] * len(kept_ids)
        for place, document in part.earlier.items():
            kept_ids[place], corpora[place] = document.doc_id, document.corpus
            names[place] = document.id.decode("utf-8", "replace")
        columns = [
            doc_ids.take(pa.array(part.removed)),
            pa.array(kept_ids, pa.binary(16)),
            pa.array(part.similarities),
            pa.array(part.intersections),
            pa.array(part.unions),
            part.rules,
            doc_ids.take(pa.array(part.clusters)),
            pa.array(corpora, pa.string()),
            pa.array(names, pa.string()),
            pa.array(part.cluster_sizes),
            part.chosen_by,
        ]
        yield pa.Table.from_arrays(columns, schema=CLUSTERS.schema)


def write_evidence(outputs: Outputs, tables: Iterable[pa.Table]) -> None:
    """Writes clusters/evidence.arrow, a record batch for each document shard, also an empty one.

    The manifest keeps the checksum of each, so that a shard's task reads no other.
    """
    ranges: list[str] = []
    outputs.read[layout.EVIDENCE] = {"ranges": ranges}
    with outputs.table(layout.EVIDENCE, CLUSTERS) as writer:
        for table in tables:
            columns = [one_array(column) for column in table.columns]
            batch = pa.record_batch(columns, schema=CLUSTERS.schema)
            ranges.append(range_checksum(batch, writer.schema))
            writer.write(batch)


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


def write_survivors(outputs: Outputs, tables: Iterable[pa.Table]) -> None:
    """Writes clusters/survivors.arrow."""
    with outputs.table(layout.SURVIVORS, SURVIVORS) as writer:
        for table in tables:
            writer.write(table)
