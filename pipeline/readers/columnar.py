"""Parquet, Arrow IPC and Feather files to records, one batch of rows at a time.

A batch is bounded by its bytes in all columns, and a file by what it becomes: one value that a dictionary holds once
may stand in a million rows.
"""

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.base.errors import raise_the_systems
from pipeline.readers.columns.checks import sound_columns
from pipeline.readers.columns.values import column_names, distinct, rows_of
from pipeline.readers.records import HEAD_BYTES, Damaged, Fields, Item, Record, too_large
from pipeline.readers.streams import Budget, Limits

BATCH_ROWS = 1024
BATCH_BYTES = 64 << 20  # of all columns of a batch, as Python values hold them
PROBE_ROWS = 16  # read first of a large row group, to see how large its rows are
ROW_BYTES = 64  # what a row costs beside its text: a line in some table
ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError, ValueError)


def read_parquet(
    file: Path | pa.NativeFile,
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
    try:
        opened = pq.ParquetFile(file, memory_map=isinstance(file, Path))
        schema = opened.schema_arrow
    except ERRORS as error:
        raise_the_systems(error)
        yield Damaged(path, 0, None, "corrupt_file", f"parquet: {error}")
        return
    metadata = opened.metadata
    end = metadata.num_row_groups if end is None else end
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    if first == 0 and sum(sizes) != metadata.num_rows:
        detail = f"parquet: {metadata.num_rows:,} rows, but its row groups hold {sum(sizes):,}"
        yield Damaged(path, 0, None, "corrupt_file", detail)
    reader = _Rows(path, fields, limits, _size(file) if part_bytes is None else part_bytes, schema)
    row = sum(sizes[:first])
    for group, rows in enumerate(sizes[first:end], first):
        yield from reader.of_group(opened, group, row, rows)
        if reader.stopped:
            return
        row += rows


def _size(file: Path | pa.NativeFile) -> int:
    return file.stat().st_size if isinstance(file, Path) else int(file.size())


def read_arrow(file: Path | pa.NativeFile, path: str, fields: Fields, limits: Limits) -> Iterator[Item]:
    """One record per row of an Arrow IPC file, IPC stream or Feather file."""
    try:
        source = pa.memory_map(str(file)) if isinstance(file, Path) else file
        batches, schema, rows = open_ipc(source)
    except ERRORS as error:
        raise_the_systems(error)
        yield Damaged(path, 0, None, "corrupt_file", f"arrow: {error}")
        return
    yield from _Rows(path, fields, limits, int(source.size()), schema).of_batches(batches, rows)


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


def group_batches(
    opened: pq.ParquetFile, group: int, columns: Sequence[str] | None = None, done: int = 0
) -> Iterator[pa.RecordBatch]:
    """Batches of a row group from row ``done`` on, whose rows are fewer where they are large.

    What a row becomes is not in the footer (a dictionary holds a value once), so the first rows of a large row group
    tell, and where later ones are larger the row group is read again from there.
    """
    info = opened.metadata.row_group(group)
    large = info.total_byte_size * BATCH_ROWS > 4 * BATCH_BYTES
    rows = PROBE_ROWS if large and info.num_rows > PROBE_ROWS else BATCH_ROWS
    while True:
        skip, wanted = done, rows
        batches = opened.iter_batches(rows, row_groups=[group], columns=columns, use_threads=False)
        for whole in batches:
            batch, skip = whole.slice(min(skip, whole.num_rows)), max(0, skip - whole.num_rows)
            if batch.num_rows:
                done += batch.num_rows
                yield batch
                wanted = max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, row_bytes(batch))))
                if rows == PROBE_ROWS < wanted or 4 * wanted < rows:
                    break
        else:
            return
        rows = wanted


def row_bytes(batch: pa.RecordBatch) -> int:
    """About the bytes of one row as Python values; of dictionaries the longest value counts."""
    size = batch.nbytes // max(1, batch.num_rows)
    for column in batch.columns:
        if pa.types.is_dictionary(column.type) and len(column.dictionary):
            kind = column.dictionary.type
            if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
                size += pc.max(pc.binary_length(column.dictionary)).as_py() or 0
    return int(size)


class _Rows:
    """Items of the rows of one part.

    Attributes:
        stopped: Whether the part became more than it may: nothing of it is read after that.
    """

    def __init__(self, path: str, fields: Fields, limits: Limits, part_bytes: int, schema: pa.Schema) -> None:
        self._path, self._fields, self._limits = path, fields, limits
        self._wrong = wrong_column(schema, fields)
        self._text = _present(column_names(schema), fields)
        self._names = distinct(column_names(schema))
        self._renamed = self._names != column_names(schema) or any("\ufffd" in name for name in self._names)
        self._budget = Budget(limits)
        self._budget.consumed = part_bytes
        self.stopped = False

    def of_group(self, opened: pq.ParquetFile, group: int, row: int, rows: int) -> Iterator[Item]:
        """Items of a row group, whose first row is ``row`` and which should have ``rows`` of them.

        Where not all of its columns can be read, those are read that can, if the text is among them.
        """
        if self._wrong is not None:
            yield from self._without_text(row, rows)
            return
        done, failure = yield from self._until_damage(group_batches(opened, group), row, rows)
        if failure is None or self.stopped:
            return
        names = column_names(opened.schema_arrow)
        good = [name for name in names if names.count(name) == 1 and readable(opened, group, name)]
        if len(good) < len(names) and self._enough(good):
            lost = ", ".join(name for name in names if name not in good)
            yield corrupt(self._path, row + done, row + rows, f"lack {lost}, which cannot be read: {failure}")
            done, failure = yield from self._until_damage(group_batches(opened, group, good, done), row, rows, done)
        if failure is not None and not self.stopped:
            yield corrupt(self._path, row + done, row + rows, f"cannot be read: {failure}")

    def of_batches(self, batches: Iterator[pa.RecordBatch], rows: int | None) -> Iterator[Item]:
        """Items of all batches of a file."""
        done, failure = yield from self._until_damage(batches, 0, rows)
        if failure is not None and not self.stopped:
            yield corrupt(self._path, done, rows, f"cannot be read: {failure}")

    def _until_damage(
        self, batches: Iterator[pa.RecordBatch], row: int, rows: int | None, done: int = 0
    ) -> Generator[Item, None, tuple[int, Exception | None]]:
        """Items up to the end or to what cannot be read; returns the rows done, and what stopped it."""
        while not self.stopped:
            try:
                batch = next(batches, None)
            except ERRORS as error:
                raise_the_systems(error)
                return done, error
            if batch is None:
                if rows is not None and done < rows:
                    yield corrupt(self._path, row + done, row + rows, "are missing")
                return done, None
            yield from self._of_batch(batch, row + done)
            done += batch.num_rows
        return done, None

    def _of_batch(self, batch: pa.RecordBatch, first: int) -> Iterator[Item]:
        if self._wrong is not None:
            yield from self._without_text(first, batch.num_rows)
            return
        if self._renamed and batch.num_columns == len(self._names):
            batch = batch.rename_columns(self._names)  # pyarrow gives no column whose name it cannot decode
        sound, problem = sound_columns(batch)
        if problem:
            names, end = column_names(batch.schema), first + batch.num_rows
            if not self._enough([names[at] for at in sound]):
                yield corrupt(self._path, first, end, f"cannot be read: {problem}")
                return
            lost = ", ".join(name for at, name in enumerate(names) if at not in set(sound))
            yield corrupt(self._path, first, end, f"lack {lost}, which cannot be read: {problem}")
            batch = batch.select(sound)
        size = row_bytes(batch)
        step = max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, size)))
        for start in range(0, batch.num_rows, step):
            if self.stopped:
                return
            yield from self._of_slice(batch.slice(start, step), first + start, size)

    def _enough(self, names: Sequence[str]) -> bool:
        """Whether the text is among columns of these names, or any column will do."""
        return self._fields.whole or self._text in names

    def _of_slice(self, batch: pa.RecordBatch, row: int, size: int) -> Iterator[Item]:
        for number, value in enumerate(rows_of(batch), row):
            self._budget.produced += ROW_BYTES
            if value is None:
                yield Damaged(self._path, number, None, "not_utf8", "a string column holds bytes that are not UTF-8")
                continue
            item = self._fields.record(value, self._path, number)
            if isinstance(item, Record):
                item.weight = size
                text = item.text
                self._budget.produced += len(text) + len(item.body or b"")
                if len(text) > self._limits.record_bytes:
                    found, head = f"{len(text):,} characters", text[:HEAD_BYTES].encode()
                    item = too_large(self._path, number, None, found, self._limits.record_bytes, head)
            yield item
            if (bomb := self._budget.exceeded()) is not None:
                yield self._stop(number + 1, bomb)
                return

    def _without_text(self, row: int, rows: int) -> Iterator[Item]:
        """One damaged record for each of some rows."""
        assert self._wrong is not None, "these rows have a text"
        for number in range(row, row + rows):
            self._budget.produced += ROW_BYTES
            yield Damaged(self._path, number, None, *self._wrong)
            if (bomb := self._budget.exceeded()) is not None:
                yield self._stop(number + 1, bomb)
                return

    def _stop(self, row: int, bomb: str) -> Damaged:
        self.stopped = True
        return Damaged(self._path, row, None, "decompression_bomb", f"rows from {row:,} on are not read: {bomb}")


def readable(opened: pq.ParquetFile, group: int, name: str) -> bool:
    """Whether a column of a row group can be read."""
    try:
        for _ in group_batches(opened, group, [name]):
            pass
    except ERRORS as error:
        raise_the_systems(error)
        return False
    return True


def corrupt(path: str, first: int, end: int | None, what: str) -> Damaged:
    """Rows that are damaged together."""
    rows = f"rows from {first:,} on" if end is None else f"rows {first:,} to {end - 1:,}"
    return Damaged(path, first, None, "corrupt_rows", f"{rows} {what}")


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
