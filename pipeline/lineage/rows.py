"""Single rows of table files, without decompressing more than the record batches they lie in."""

from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.run import Run
from pipeline.tables import Table, open_table


def shard_names(run: Run) -> list[str]:
    """Document shards in the order that index/doc_id.arrow numbers them."""
    return [name.removesuffix(".arrow") for name in storage.list_files(run.url("documents"), ".arrow")]


def read_rows(path: Path, table: Table, rows: Sequence[int], columns: Collection[str] | None = None) -> pa.Table:
    """Some rows of a table file, in the order asked for.

    Args:
        path: The file.
        table: What it holds.
        rows: Row numbers.
        columns: Only these columns are decompressed; None: all.
    """
    edges = _edges(path, table)
    reader = open_table(path, table, columns)
    wanted = np.asarray(rows, np.int64)
    order = np.argsort(wanted, kind="stable")
    parts: list[pa.RecordBatch] = []
    for number, start in enumerate(edges[:-1]):
        inside = wanted[order]
        chosen = inside[(inside >= start) & (inside < edges[number + 1])]
        if len(chosen):
            parts.append(reader.get_batch(number).take(pa.array(chosen - start)))
    found = pa.Table.from_batches(parts, reader.schema)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return found.take(pa.array(back))


def read_row(run: Run, path: str, table: Table, row: int, columns: Collection[str] | None = None) -> dict[str, Any]:
    """One row of a table of the run as a dict; empty where the run has no such file."""
    if not storage.exists(run.url(path)):
        return {}
    found: list[dict[str, Any]] = read_rows(run.local(path), table, [row], columns).to_pylist()
    return found[0]


def _edges(path: Path, table: Table) -> list[int]:
    """Number of the first row of each record batch, and of all rows; from the doc_id column alone."""
    reader = open_table(path, table, ["doc_id"])
    sizes = (reader.get_batch(number).num_rows for number in range(reader.num_record_batches))
    return [0, *accumulate(sizes)]


def matching_rows(path: Path, table: Table, column: str, wanted: pa.Array) -> Iterator[int]:
    """Rows of a table file whose ``column`` is one of ``wanted``."""
    reader = open_table(path, table, [column])
    first = 0
    for number in range(reader.num_record_batches):
        batch = reader.get_batch(number)
        found = pc.is_in(batch.column(0), value_set=wanted.cast(batch.schema.field(0).type))
        yield from (np.flatnonzero(found.to_numpy(zero_copy_only=False)) + first).tolist()
        first += batch.num_rows
