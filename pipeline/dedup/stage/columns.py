"""Columns of a shard that the survivor policy may name: of its signals, its documents, or their metadata."""

from typing import Any

import orjson
import pyarrow as pa

from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.table_files import batches
from pipeline.run.tables import DOCUMENTS, SIGNALS


def shard_column(job: Job, outputs: Outputs, name: str, shard: str) -> list[pa.Array]:
    """A column of one shard, whole, in pieces."""
    signals = layout.signals(shard)
    if signals in job.inputs:
        found = [batch for batch in batches(outputs.run_path(signals), SIGNALS) if name in batch.schema.names]
        if found:
            return [batch.column(name) for batch in found]
    path = outputs.run_path(layout.documents(shard))
    if name in DOCUMENTS.schema.names:
        return [batch.column(name) for batch in batches(path, DOCUMENTS, [name])]
    return [metadata_values(batch.column("metadata"), name) for batch in batches(path, DOCUMENTS, ["metadata"])]


def common_type(types: list[pa.DataType]) -> pa.DataType:
    """The type of all that say something, strings where they differ."""
    known = [kind for kind in types if not pa.types.is_null(kind)]
    if not known:
        return pa.null()
    return known[0] if all(kind == known[0] for kind in known) else pa.string()


def metadata_values(column: pa.Array, name: str) -> pa.Array:
    """One key of the records' metadata: numbers where all are, else text."""
    values: list[Any] = [orjson.loads(item).get(name) if item else None for item in column.to_pylist()]
    if all(value is None or isinstance(value, int | float) for value in values):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array([value if value is None or isinstance(value, str) else str(value) for value in values], pa.string())
