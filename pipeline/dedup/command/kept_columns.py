"""The kept rows of a Parquet or Arrow file, with its schema, metadata and compression.

The first pass has read the text and a few columns; only here are all of them.  Of a column that cannot be read the rows
are kept with nulls in its place, and the loss is told.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.base.arrow import parquet_writer
from pipeline.base.errors import RunError, raise_the_systems
from pipeline.dedup.files.columns import chosen_rows
from pipeline.dedup.files.fields import WantedFields
from pipeline.dedup.files.input_files import File
from pipeline.readers.columnar import ERRORS, corrupt, group_batches, open_ipc, open_parquet, readable
from pipeline.readers.columns.checks import check_column
from pipeline.readers.columns.footers import Footers
from pipeline.readers.columns.values import column_names
from pipeline.readers.records import Damaged

ROW_GROUP_BYTES = 64 << 20
_CODECS = ("uncompressed", "snappy", "gzip", "brotli", "zstd", "lz4")
_MAGIC = {"zstd": b"\x28\xb5\x2f\xfd", "lz4": b"\x04\x22\x4d\x18"}


class _UnreadableError(Exception):
    """Not all columns of a file can be read."""


def parquet_codecs(files: Sequence[File]) -> dict[str, dict[str, str]]:
    """By the path of each Parquet file: how its columns are compressed, where that can be written again.

    A footer that cannot be read gives none, as does a codec that is only read (the LZ4 of Hadoop).
    """
    with Footers() as footers:
        groups = {f.path: footers.chunks(f.local) or [] for f in files if f.format == "parquet" and f.error is None}
    return {
        path: {name: codec.lower() for name, codec, _ in found[0] if codec.lower() in _CODECS} if found else {}
        for path, found in groups.items()
    }


def write_columns(
    file: File, rows: NDArray[np.int64], target: Path, codecs: Mapping[str, str], text: WantedFields
) -> list[Damaged]:
    """Writes the kept rows; returns what could not be read of them.

    Args:
        file: The input.
        rows: Rows kept, ascending.
        target: The new file.
        codecs: Of a Parquet file's columns, from ``parquet_codecs``.
        text: Names the columns with the text, which was read as far as there are kept rows.

    Raises:
        RunError: If a kept row, whose text was read a moment ago, cannot be read any more.
    """
    lost: list[Damaged] = []
    if file.format == "parquet":
        chosen = {name: codec.replace("uncompressed", "none") for name, codec in codecs.items()} or "snappy"
        try:
            _write_parquet(file, rows, target, chosen)
        except _UnreadableError:
            lost = _write_readable_columns(file, rows, target, chosen, text)
    else:
        _write_arrow(file, rows, target, lost)
    return lost


class _Mask:
    """Which rows of the next batch are kept."""

    def __init__(self, rows: NDArray[np.int64]) -> None:
        self._rows, self._row = rows, 0

    def of(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The kept rows of the next batch."""
        low, high = np.searchsorted(self._rows, (self._row, self._row + batch.num_rows))
        chosen = self._rows[low:high] - self._row
        self._row += batch.num_rows
        return batch if len(chosen) == batch.num_rows else chosen_rows(batch, chosen)

    def skip(self, rows: int) -> None:
        """Passes over rows that are not read."""
        self._row += rows

    def wanted(self, rows: int) -> int:
        """How many of the next rows are kept."""
        low, high = np.searchsorted(self._rows, (self._row, self._row + rows))
        return int(high - low)


def _write_parquet(file: File, rows: NDArray[np.int64], target: Path, codecs: dict[str, str] | str) -> None:
    try:
        with open_parquet(file.local) as opened:
            schema, metadata = opened.schema_arrow, opened.metadata
            edges = np.cumsum([metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)])
    except ERRORS as error:
        raise_the_systems(error)
        return  # no row was read of it
    mask, pending, size, row = _Mask(rows), [], 0, 0
    with parquet_writer(target, schema, compression=codecs) as writer:
        for batch in _all_columns(file):
            kept = mask.of(batch)
            group_before, row = int(np.searchsorted(edges, row, "right")), row + batch.num_rows
            pending.append(kept)
            size += kept.get_total_buffer_size()
            if int(np.searchsorted(edges, row, "right")) != group_before or size > ROW_GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(pending, schema))
                pending, size = [], 0
        if any(kept.num_rows for kept in pending):
            writer.write_table(pa.Table.from_batches(pending, schema))


def _all_columns(file: File) -> Iterator[pa.RecordBatch]:
    try:
        with open_parquet(file.local) as opened:
            yield from group_batches(opened, range(opened.num_row_groups))
    except ERRORS as error:
        raise_the_systems(error)
        raise _UnreadableError from error


def _write_readable_columns(
    file: File, rows: NDArray[np.int64], target: Path, codecs: dict[str, str] | str, text: WantedFields
) -> list[Damaged]:
    """Writes the rows group by group, each with the columns that can be read."""
    lost: list[Damaged] = []
    mask, row = _Mask(rows), 0
    roots = {root for name in text.names["text"] for root in (name, name.partition(".")[0])}
    with open_parquet(file.local) as opened:
        schema = pa.schema([field.with_nullable(True) for field in opened.schema_arrow], opened.schema_arrow.metadata)
        sizes = [opened.metadata.row_group(number).num_rows for number in range(opened.metadata.num_row_groups)]
        with parquet_writer(target, schema, compression=codecs) as writer:
            for group, count in enumerate(sizes):
                if mask.wanted(count):
                    lost += _write_group(opened, group, row, mask, writer, roots)
                else:
                    mask.skip(count)
                row += count
    for item in lost:
        item.path = file.path
    return lost


def _write_group(
    opened: pq.ParquetFile, group: int, row: int, mask: _Mask, writer: pq.ParquetWriter, needed: set[str]
) -> list[Damaged]:
    """Writes the kept rows of a row group, with nulls in the columns that cannot be read; says which these are."""
    schema, count = writer.schema, opened.metadata.row_group(group).num_rows
    names = column_names(schema)
    good = [n for n in names if names.count(n) == 1 and (n in needed or readable(opened, group, n))]
    left = mask.wanted(count)
    for batch in _up_to_damage(group_batches(opened, [group], good)):
        kept = mask.of(batch)
        count, left = count - batch.num_rows, left - kept.num_rows
        writer.write_table(pa.Table.from_batches([_with_nulls(kept, schema)], schema))
    if left:
        raise RunError("rows that were read cannot be read any more; run again")
    mask.skip(count)
    missing = ", ".join(name for name in names if name not in good)
    end = row + opened.metadata.row_group(group).num_rows
    return [corrupt("", row, end, f"lack {missing}, which cannot be read")] if missing else []


def _up_to_damage(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    while True:
        try:
            batch = next(batches, None)
        except ERRORS as error:
            raise_the_systems(error)
            return
        if batch is None:
            return
        yield batch


def _with_nulls(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with all columns of the schema, null where it lacks one."""
    there = {name: number for number, name in enumerate(column_names(batch.schema))}
    columns = [
        batch.column(there[name]) if name in there else pa.nulls(batch.num_rows, schema.field(number).type)
        for number, name in enumerate(column_names(schema))
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _write_arrow(file: File, rows: NDArray[np.int64], target: Path, lost: list[Damaged]) -> None:
    with open(file.local, "rb") as opened:
        head = opened.read(1 << 20)
    codec = next((name for name, magic in _MAGIC.items() if magic in head), None)
    options = pa.ipc.IpcWriteOptions(compression=codec)
    new = pa.ipc.new_file if head[:6] == b"ARROW1" or head[:4] == b"FEA1" else pa.ipc.new_stream
    mask, row = _Mask(rows), 0
    with pa.memory_map(str(file.local)) as source:
        try:
            batches, schema, _ = open_ipc(source)
        except ERRORS as error:
            raise_the_systems(error)
            return  # no row was read of it
        with pa.OSFile(str(target), "wb") as sink, new(sink, schema, options=options) as writer:
            for batch in _up_to_damage(batches):
                bad = _unreadable(batch) if mask.wanted(batch.num_rows) else []
                if bad:
                    names = ", ".join(column_names(schema)[number] for number in bad)
                    lost.append(corrupt(file.path, row, row + batch.num_rows, f"lack {names}, which cannot be read"))
                for number in bad:
                    column = schema.field(number)
                    batch = batch.set_column(number, column, pa.nulls(batch.num_rows, column.type))
                writer.write_batch(mask.of(batch))
                row += batch.num_rows


def _unreadable(batch: pa.RecordBatch) -> list[int]:
    """Places of the columns that a check refuses; columns of which Python has no values are written as they are."""
    found = []
    for number in range(batch.num_columns):
        try:
            check_column(batch, number)
        except pa.ArrowNotImplementedError:
            if not _is_whole(batch.select([number])):
                found.append(number)
        except ERRORS:
            found.append(number)
    return found


def _is_whole(columns: pa.RecordBatch) -> bool:
    try:
        columns.validate(full=True)
    except ERRORS:
        return False
    return True
