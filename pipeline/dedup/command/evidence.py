"""The tables beside the kept records: why each other record went, who else was kept, and which are damaged."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.dedup.command.corpus import FileCorpus
from pipeline.dedup.command.scan import ScanJob, quarantine_table
from pipeline.dedup.rule.deduplicate import Outcome
from pipeline.readers.records import Damaged
from pipeline.run.table_files import TableWriter, batches
from pipeline.run.tables import KEPT_CLUSTERS, QUARANTINE, REMOVED

TABLE_ROWS = 65_536


def write_removed(corpus: FileCorpus, found: Outcome, path: Path) -> None:
    """Writes removed.arrow; an earlier document has no path and row here, but the name of its corpus."""
    names = corpus.cluster_names(found.clusters)
    with TableWriter(path, REMOVED) as writer:
        for part in found.evidence([*range(0, len(found.removed), TABLE_ROWS), len(found.removed)]):
            paths, rows = corpus.places(part.removed)
            kept_names, (kept_paths, kept_rows) = corpus.names(part.keepers), corpus.places(part.keepers)
            kept_corpora: list[str | None] = [None] * len(kept_names)
            for place, document in part.earlier.items():
                kept_names[place], kept_corpora[place] = document.id.decode("utf-8", "replace"), document.corpus
            columns = [
                corpus.names(part.removed),
                kept_names,
                part.similarities,
                part.intersections,
                part.unions,
                part.rules,
                names.of(part.clusters),
                paths,
                rows,
                _null_where(part.is_earlier, kept_paths, pa.string()),
                _null_where(part.is_earlier, kept_rows, pa.int64()),
                part.cluster_sizes,
                part.chosen_by,
                kept_corpora,
            ]
            _write_columns(writer, columns)


def _null_where(mask: NDArray[np.bool_], values: Any, kind: pa.DataType) -> pa.Array:
    return pc.if_else(pa.array(mask), pa.scalar(None, kind), pa.array(values, kind))


def write_clusters(corpus: FileCorpus, found: Outcome, path: Path) -> None:
    """Writes clusters.arrow: the kept records of clusters."""
    sizes = found.cluster_sizes()
    kept = sizes > 1
    kept[found.removed] = False
    records = np.flatnonzero(kept)
    names = corpus.cluster_names(found.clusters)
    with TableWriter(path, KEPT_CLUSTERS) as writer:
        for start in range(0, len(records), TABLE_ROWS):
            part = records[start : start + TABLE_ROWS]
            paths, rows = corpus.places(part)
            _write_columns(writer, [corpus.names(part), paths, rows, names.of(found.clusters[part]), sizes[part]])


def _write_columns(writer: TableWriter, columns: Sequence[Any]) -> None:
    arrays = [pa.array(column, field.type) for column, field in zip(columns, writer.schema, strict=True)]
    writer.write(pa.record_batch(arrays, schema=writer.schema))


def write_quarantine(jobs: Sequence[ScanJob], more: Sequence[Damaged], path: Path) -> None:
    """Writes quarantine.arrow: everything damaged, where anything is; ``more`` was found after the first pass."""
    found = [job.path("lost") for job in jobs if job.path("lost").exists()]
    if found or more:
        with TableWriter(path, QUARANTINE) as writer:
            for lost in found:
                for batch in batches(lost, QUARANTINE):
                    writer.write(batch)
            if more:
                writer.write(quarantine_table(more))
