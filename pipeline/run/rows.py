"""Single rows of table files; only the record batches that hold them are decompressed."""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.base import storage
from pipeline.base.arrow import doc_id_array
from pipeline.base.errors import RunError
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.manifest import sound_manifest
from pipeline.run.table_files import Table, open_table


def behind(where: str | Path) -> RunError:
    """The error of an index whose documents have changed since it was made."""
    return RunError(
        f"{where}: its index is behind its documents: the run is being written, or was stopped. `tokenmill status RUN` "
        "shows it; `tokenmill run` finishes it"
    )


DOC_INDEX = ("index", "all")  # step and shard of the manifest of index/doc_id.arrow


def shard_names(run: Run, folder: str = layout.DOCUMENTS) -> list[str]:
    """Shards of a table of the run, as far as their files stand."""
    return [name.removesuffix(".arrow") for name in storage.list_files(run.url(folder), ".arrow")]


def numbered_shards(run: Run) -> list[str]:
    """Shards of the documents in the order that index/doc_id.arrow numbers them: also one whose file is gone.

    Where nothing tells which shards the index was made of, those whose files stand.
    """
    made = sound_manifest(run.root, *DOC_INDEX)
    return shard_names(run) if made is None else [layout.shard_of(path) for path in sorted(made.inputs)]


def read_rows(
    path: Path,
    table: Table,
    rows: Sequence[int],
    columns: Collection[str] | None = None,
    edges: Sequence[int] | None = None,
) -> pa.Table:
    """Some rows of a table file, in the order asked for.

    Args:
        path: The file.
        table: What it holds.
        rows: Row numbers.
        columns: Only these columns are decompressed; None: all.
        edges: Number of the first row of each record batch, and of all rows, where it is known; else it is read.
    """
    reader = open_table(path, table, columns)
    if edges is None or len(edges) != reader.num_record_batches + 1:
        edges = _edges(path, table)
    # slices, not take: that would load pyarrow.compute and pandas, which costs more than a lookup
    parts: list[pa.RecordBatch] = []
    opened: tuple[int, pa.RecordBatch | None] = (-1, None)
    slices: dict[int, pa.RecordBatch] = {}
    for row in sorted(set(rows)):
        if row >= edges[-1]:
            raise behind(path)
        number = bisect_right(edges, row) - 1
        if opened[0] != number:
            opened = number, reader.get_batch(number)
        assert opened[1] is not None
        slices[row] = opened[1].slice(row - edges[number], 1)
        if not slices[row].num_rows:
            raise behind(path)
    parts = [slices[row] for row in rows]
    return pa.Table.from_batches(parts, reader.schema)


def read_row(
    run: Run,
    path: str,
    table: Table,
    row: int,
    columns: Collection[str] | None = None,
    edges: Sequence[int] | None = None,
) -> dict[str, Any]:
    """One row of a table of the run as a dict; empty where the run has no such file."""
    if not storage.exists(run.url(path)):
        return {}
    found: list[dict[str, Any]] = read_rows(run.local(path), table, [row], columns, edges).to_pylist()
    return found[0]


def _edges(path: Path, table: Table) -> list[int]:
    """Number of the first row of each record batch, and of all rows; from the first column alone."""
    reader = open_table(path, table, [table.columns[0].name])
    sizes = (reader.get_batch(number).num_rows for number in range(reader.num_record_batches))
    return [0, *accumulate(sizes)]


def rows_of_id(path: Path, table: Table, column: str, doc_id: bytes) -> Iterator[int]:
    """Rows of a table file whose ``column`` of doc_ids is this one; compared as two words, without a hash table."""
    first_word, second_word = np.frombuffer(doc_id, np.uint64)
    reader = open_table(path, table, [column])
    first = 0
    for number in range(reader.num_record_batches):
        halves = doc_id_array(reader.get_batch(number).column(0)).view(np.uint64)
        yield from (np.flatnonzero((halves[:, 0] == first_word) & (halves[:, 1] == second_word)) + first).tolist()
        first += len(halves)


def matching_rows(path: Path, table: Table, column: str, wanted: pa.Array) -> Iterator[int]:
    """Rows of a table file whose ``column`` is one of ``wanted``."""
    import pyarrow.compute as pc

    reader = open_table(path, table, [column])
    first = 0
    for number in range(reader.num_record_batches):
        batch = reader.get_batch(number)
        found = pc.is_in(batch.column(0), value_set=wanted.cast(batch.schema.field(0).type))
        yield from (np.flatnonzero(found.to_numpy(zero_copy_only=False)) + first).tolist()
        first += batch.num_rows
