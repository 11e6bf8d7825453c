"""Parquet, Arrow IPC and Feather files to records: one per row."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.readers.columnar import ROW_BYTES, ColumnarReader, Rows, Wanted
from pipeline.readers.columns.values import column_names, rows_of
from pipeline.readers.records import HEAD_BYTES, Damaged, Fields, Item, Record, too_large
from pipeline.readers.streams import Limits


def read_parquet(
    file: Path,
    path: str,
    fields: Fields,
    limits: Limits,
    first: int = 0,
    end: int | None = None,
    part_bytes: int | None = None,
) -> Iterator[Item]:
    """One record per row of the row groups [first, end); a row group that cannot be read is one damaged record.

    The offset of a record is its row in the file.

    Args:
        file: Where it lies.
        path: What the items are named by.
        fields: Of a record.
        limits: Of a record, and of what the part may become.
        first: First row group.
        end: One past the last row group; None for all.
        part_bytes: Of the row groups in the file, for the ratio; by default the file's.
    """
    size = file.stat().st_size if part_bytes is None else part_bytes
    reader = ColumnarReader(path, limits, _wanted_by(fields), size)
    yield from _items(reader, reader.parquet(file, first, end), path, fields, limits)


def read_arrow(file: Path, path: str, fields: Fields, limits: Limits) -> Iterator[Item]:
    """One record per row of an Arrow IPC file, IPC stream or Feather file."""
    reader = ColumnarReader(path, limits, _wanted_by(fields), file.stat().st_size)
    yield from _items(reader, reader.arrow(file), path, fields, limits)


def _wanted_by(fields: Fields) -> Wanted:
    """All columns; of those that can be read, the one with the text must be one, unless any will do."""

    def enough(readable: Sequence[str], names: Sequence[str]) -> bool:
        return fields.whole or _present(names, fields) in readable

    return Wanted(lambda schema: wrong_column(schema, fields), enough)


def _items(
    reader: ColumnarReader, found: Iterator[Rows | Damaged], path: str, fields: Fields, limits: Limits
) -> Iterator[Item]:
    for rows in found:
        if isinstance(rows, Damaged):
            yield rows
            continue
        for number, value in _values(rows, path, limits):
            item, size = (value, 0) if isinstance(value, Damaged) else _item(value, number, rows, path, fields, limits)
            bomb = reader.spend(ROW_BYTES + size, number + 1)
            yield item
            if bomb is not None:
                yield bomb
                break


def _values(rows: Rows, path: str, limits: Limits) -> Iterator[tuple[int, dict[str, Any] | Damaged | None]]:
    """Each row of the file as Python values, but one that is larger than a record may be: it is not made."""
    if rows.batch.nbytes <= limits.record_bytes:
        yield from enumerate(rows_of(rows.batch), rows.first)
        return
    for place in range(rows.batch.num_rows):
        alone, row = rows.batch.slice(place, 1), rows.first + place
        # a dictionary is shared by all rows, and counted with each
        size = sum(column.nbytes for column in alone.columns if not pa.types.is_dictionary(column.type))
        if size > limits.record_bytes:
            yield row, too_large(path, row, None, f"a row of {size:,} bytes", limits.record_bytes, b"")
        else:
            yield row, rows_of(alone)[0]


def _item(
    value: dict[str, Any] | None, row: int, rows: Rows, path: str, fields: Fields, limits: Limits
) -> tuple[Item, int]:
    """What a row gives, and the size of its text."""
    if value is None:
        return Damaged(path, row, None, "not_utf8", "a string column holds bytes that are not UTF-8"), 0
    item = fields.record(value, path, row)
    if not isinstance(item, Record):
        return item, 0
    item.weight = rows.row_bytes
    text = item.text
    size = len(text) + len(item.body or b"")
    if 4 * len(text) > limits.record_bytes and (given := len(text.encode("utf-8", "replace"))) > limits.record_bytes:
        item = too_large(path, row, None, f"{given:,} bytes", limits.record_bytes, text[:HEAD_BYTES].encode())
    return item, size


def wrong_column(schema: pa.Schema, fields: Fields) -> tuple[str, str] | None:
    """Reason and detail where no row of the file can have a text."""
    if fields.whole:
        return None
    names = column_names(schema)
    if (wrong := _wrong_names(names, fields)) is not None:
        return wrong
    present = _present(names, fields)
    kind: Any = schema.field(names.index(present)).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not any(check(kind) for check in (*_TEXT_TYPES, *(_LIST_TYPES if fields.takes_lists else ()))):
        return "wrong_type", f"column {present} is of type {kind}, not string"
    return None


# bytes hold text where a string column was written without its mark
_TEXT_TYPES = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_struct,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
)


_LIST_TYPES = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_list_view)


def _wrong_names(names: Sequence[str], fields: Fields) -> tuple[str, str] | None:
    """Reason and detail where columns of these names give no text."""
    present = _present(names, fields)
    if not present:
        wanted = " or ".join(_wanted(fields))
        return "missing_text", f"no column {wanted}; columns: {', '.join(names[:20])}"
    if (count := list(names).count(present)) > 1:
        return "ambiguous_text", f"{count} columns are named {present}; rename all but one"
    return None


def _wanted(fields: Fields) -> tuple[str, ...]:
    return (fields.html_name,) if fields.html_name else fields.names["text"]


def _present(names: Sequence[str], fields: Fields) -> str:
    """The first of the wanted names that is there; empty where none is."""
    wanted = _wanted(fields)
    roots = [name.partition(".")[0] for name in wanted]
    return next((name for name in (*wanted, *roots) if name in names), "")
