"""Parquet, Arrow IPC and Feather files to records, one batch of rows at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.readers.records import HEAD_BYTES, Damaged, Fields, Item, too_large
from pipeline.readers.streams import Limits

BATCH_ROWS = 1024
ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError, ValueError)


def read_parquet(
    file: Path | pa.NativeFile, path: str, fields: Fields, limits: Limits, first: int = 0, end: int | None = None
) -> Iterator[Item]:
    """One record per row of the row groups [first, end); a row group that cannot be read is one damaged record.

    The offset of a record is its row in the file.
    """
    try:
        opened = pq.ParquetFile(file, memory_map=isinstance(file, Path))
    except ERRORS as error:
        yield Damaged(path, 0, None, "corrupt_file", f"parquet: {error}")
        return
    metadata = opened.metadata
    end = metadata.num_row_groups if end is None else end
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    if first == 0 and sum(sizes) != metadata.num_rows:
        detail = f"parquet: {metadata.num_rows:,} rows, but its row groups hold {sum(sizes):,}"
        yield Damaged(path, 0, None, "corrupt_file", detail)
    row = sum(sizes[:first])
    if (wrong := _wrong_column(opened.schema_arrow, fields)) is not None:
        yield from (Damaged(path, row + number, None, *wrong) for number in range(sum(sizes[first:end])))
        return
    for group, rows in enumerate(sizes[first:end], first):
        yield from _batches(opened.iter_batches(BATCH_ROWS, row_groups=[group]), path, fields, limits, row, rows)
        row += rows


def read_arrow(file: Path | pa.NativeFile, path: str, fields: Fields, limits: Limits) -> Iterator[Item]:
    """One record per row of an Arrow IPC file, IPC stream or Feather file."""
    try:
        source = pa.memory_map(str(file)) if isinstance(file, Path) else file
        batches, schema, rows = open_ipc(source)
    except ERRORS as error:
        yield Damaged(path, 0, None, "corrupt_file", f"arrow: {error}")
        return
    yield from _batches(batches, path, fields, limits, 0, rows, _wrong_column(schema, fields))


def open_ipc(source: pa.NativeFile) -> tuple[Iterator[pa.RecordBatch], pa.Schema, int | None]:
    """Batches, schema and (where it is known) rows of an Arrow IPC file, IPC stream or Feather file."""
    head = source.read(6)
    source.seek(0)
    if head[:4] == b"FEA1":  # Feather version 1
        import pyarrow.feather as feather

        table = feather.read_table(source)
        return iter(table.to_batches(BATCH_ROWS)), table.schema, table.num_rows
    if head == b"ARROW1":
        opened = pa.ipc.open_file(source)
        return (opened.get_batch(n) for n in range(opened.num_record_batches)), opened.schema, None
    stream = pa.ipc.open_stream(source)
    return _to_the_end(stream, source), stream.schema, None


def _to_the_end(stream: pa.RecordBatchStreamReader, source: pa.NativeFile) -> Iterator[pa.RecordBatch]:
    """The batches of a stream; an error where data follow the mark of its end: damage can look like that mark."""
    yield from stream
    at = source.tell()
    if source.read(1 << 20).strip(b"\0"):
        raise pa.ArrowInvalid(f"the stream ends at byte {at:,} of {source.size():,}")


def _batches(
    batches: Iterator[pa.RecordBatch],
    path: str,
    fields: Fields,
    limits: Limits,
    row: int,
    rows: int | None,
    wrong: tuple[str, str] | None = None,
) -> Iterator[Item]:
    """Items of the rows from ``row`` on; ``wrong`` says why none of them can have a text."""
    done = 0
    while True:
        try:
            batch = next(batches, None)
        except ERRORS as error:
            left = f"rows {row + done:,} to {row + rows - 1:,}" if rows is not None else f"rows from {row + done:,} on"
            yield Damaged(path, row + done, None, "corrupt_rows", f"{left} cannot be read: {error}")
            return
        if batch is None:
            if rows is not None and done < rows:
                detail = f"rows {row + done:,} to {row + rows - 1:,} are missing"
                yield Damaged(path, row + done, None, "corrupt_rows", detail)
            return
        first, done = row + done, done + batch.num_rows
        if wrong is not None:
            yield from (Damaged(path, first + number, None, *wrong) for number in range(batch.num_rows))
            continue
        try:
            check_batch(batch)
        except pa.ArrowInvalid as error:
            detail = f"rows {first:,} to {row + done - 1:,} cannot be read: {error}"
            yield Damaged(path, first, None, "corrupt_rows", detail)
            continue
        for start in range(0, batch.num_rows, BATCH_ROWS):
            yield from _rows(batch.slice(start, BATCH_ROWS), path, fields, limits, first + start)


def check_batch(batch: pa.RecordBatch) -> None:
    """Checks that the offsets of its columns lie within their data, which reading does not check; nor is UTF-8 here.

    Raises:
        ArrowInvalid: If one does not.
    """
    for column in batch.columns:
        _check(column)


def _check(column: pa.Array) -> None:
    column.validate()
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column.view(pa.binary() if pa.types.is_string(kind) else pa.large_binary()).validate(full=True)
    elif pa.types.is_struct(kind):
        for number in range(kind.num_fields):
            _check(column.field(number))
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        places = np.concatenate(([0], column.offsets.to_numpy(), [len(column.values)]))
        if (np.diff(places) < 0).any():
            raise pa.ArrowInvalid("a list that ends before it begins, or after its values")
        _check(column.values)
    else:
        column.validate(full=True)


def _rows(batch: pa.RecordBatch, path: str, fields: Fields, limits: Limits, row: int) -> Iterator[Item]:
    try:
        values = batch.to_pylist()
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            yield Damaged(path, row, None, "not_utf8", "a string column holds bytes that are not UTF-8")
            return
        for number in range(batch.num_rows):
            yield from _rows(batch.slice(number, 1), path, fields, limits, row + number)
        return
    for number, value in enumerate(values):
        item = fields.record(value, path, row + number)
        text = getattr(item, "text", "")
        if len(text) > limits.record_bytes:
            found = f"{len(text):,} characters"
            yield too_large(path, row + number, None, found, limits.record_bytes, text[:HEAD_BYTES].encode())
        else:
            yield item


def _wrong_column(schema: pa.Schema, fields: Fields) -> tuple[str, str] | None:
    """Reason and detail where no row of the file can have a text."""
    wanted = (fields.html_name,) if fields.html_name else fields.names["text"]
    roots = [name.partition(".")[0] for name in wanted]
    present = [name for name in (*wanted, *roots) if name in schema.names]
    if not present:
        return "missing_text", f"no column {' or '.join(wanted)}; columns: {', '.join(schema.names[:20])}"
    kind: Any = schema.field(present[0]).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    strings = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_struct)
    binary = fields.html_name and (pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
    if not any(check(kind) for check in strings) and not binary:
        return "wrong_type", f"column {present[0]} is of type {kind}, not string"
    return None
