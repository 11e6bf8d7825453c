"""Parquet, Arrow IPC and Feather files to batches of rows that can be read, and what is damaged of them.

The one place where such a file is opened, bounded and looked at: ``columnar_rows`` makes records of the rows for a run,
``pipeline/dedup/files/columns.py`` takes the columns as they are.  A batch is bounded by its bytes in all columns, and
a file by what it becomes: one value that a dictionary holds once may stand in a million rows.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.base.errors import raise_the_systems
from pipeline.readers.columns.checks import sound_columns
from pipeline.readers.columns.values import column_names, distinct
from pipeline.readers.records import Damaged
from pipeline.readers.streams import Budget, Limits

BATCH_ROWS = 1024
BATCH_BYTES = 64 << 20  # of all columns of a batch, as Python values hold them
PROBE_ROWS = 16  # read first of a large row group, to see how large its rows are
ROW_BYTES = 64  # what a row costs beside its text: a line in some table
READ_BYTES = 1 << 20  # of a column chunk at a time: a chunk may be as large as its row group
ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError, ValueError)


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a file: ``first`` is the row of the file that the batch begins with."""

    first: int
    batch: pa.RecordBatch
    row_bytes: int  # about what one of them is as Python values


@dataclass(frozen=True)
class Wanted:
    """What is asked of a file.

    Attributes:
        wrong: Says of a schema for which reason, and in which detail, no row can have a text; None where one can.
        enough: Whether the columns that can be read are enough for a record: their names, and those of all.
        chosen: Whether a column of this name is read; None: all are, by names that are distinct.
        tells_lost_columns: Whether rows that lack a column which cannot be read are told.
    """

    wrong: Callable[[pa.Schema], tuple[str, str] | None]
    enough: Callable[[Sequence[str], Sequence[str]], bool]
    chosen: Callable[[str], bool] | None = None
    tells_lost_columns: bool = True


class ColumnarReader:
    """Reads one part of a file; what cannot be read is told in the place of its rows.

    Args:
        path: What the damage is named by.
        limits: Of what the part may become.
        wanted: What is asked of it.
        part_bytes: Of the part in the file, for the ratio.

    Attributes:
        first: Row of the file that the part begins with.
        row: The row after what has been given so far; in the end the one after the part.
        stopped: Whether the part became more than it may: nothing of it is given after that.
    """

    def __init__(self, path: str, limits: Limits, wanted: Wanted, part_bytes: int) -> None:
        self._path, self._wanted = path, wanted
        self._budget = Budget(limits)
        self._budget.consumed = part_bytes
        self._wrong: tuple[str, str] | None = None
        self._names: list[str] | None = None
        self.first = self.row = 0
        self.stopped = False

    def parquet(self, file: Path, first: int = 0, end: int | None = None) -> Iterator[Rows | Damaged]:
        """The rows of the row groups [first, end); None for all of them.

        Raises:
            OSError: If the system refuses to read.
        """
        try:
            opened = open_parquet(file)
            schema, metadata = opened.schema_arrow, opened.metadata
            sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
            self._begin(schema)
        except ERRORS as error:
            raise_the_systems(error)
            yield Damaged(self._path, 0, None, "corrupt_file", f"parquet: {error}")
            return
        with opened:
            if first == 0 and sum(sizes) != metadata.num_rows:
                detail = f"parquet: {metadata.num_rows:,} rows, but its row groups hold {sum(sizes):,}"
                yield Damaged(self._path, 0, None, "corrupt_file", detail)
            self.first = self.row = sum(sizes[:first])
            for group, rows in enumerate(sizes[first:end], first):
                stop = self.row + rows
                if not self.stopped:
                    yield from self._of_group(opened, group, stop)
                self.row = stop

    def arrow(self, file: Path) -> Iterator[Rows | Damaged]:
        """The rows of an Arrow IPC file, IPC stream or Feather file.

        Raises:
            OSError: If the system refuses to read.
        """
        try:
            source = pa.memory_map(str(file))
            batches, schema, rows = open_ipc(source)
            self._begin(schema)
        except ERRORS as error:
            raise_the_systems(error)
            yield Damaged(self._path, 0, None, "corrupt_file", f"arrow: {error}")
            return
        with source:
            failure = yield from self._until_damage(self._of_chosen(batches), rows)
            if failure is not None and not self.stopped:
                yield corrupt(self._path, self.row, rows, f"cannot be read: {failure}")
            self.row = self.row if rows is None else rows

    def spend(self, size: int, row: int) -> Damaged | None:
        """Adds to what the part has become; where that is too much, what stands for the rows from ``row`` on."""
        self._budget.produced += size
        if self.stopped or (bomb := self._budget.exceeded()) is None:
            return None
        self.stopped = True
        return Damaged(self._path, row, None, "decompression_bomb", f"rows from {row:,} on are not read: {bomb}")

    def _begin(self, schema: pa.Schema) -> None:
        self._wrong = self._wanted.wrong(schema)
        names = column_names(schema)
        if self._wanted.chosen is None and (distinct(names) != names or any("\ufffd" in name for name in names)):
            self._names = distinct(names)  # pyarrow gives no column whose name it cannot decode

    def _columns(self, schema: pa.Schema) -> list[str] | None:
        chosen = self._wanted.chosen
        return None if chosen is None else [name for name in column_names(schema) if chosen(name)]

    def _of_chosen(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        chosen = self._wanted.chosen
        if chosen is None:
            return batches
        return (b.select([at for at, name in enumerate(column_names(b.schema)) if chosen(name)]) for b in batches)

    def _of_group(self, opened: pq.ParquetFile, group: int, stop: int) -> Iterator[Rows | Damaged]:
        """Rows of a row group; where columns of it cannot be read, of the others if these are enough."""
        if self._wrong is not None:
            yield from self._without_text(stop - self.row)
            return
        start, columns = self.row, self._columns(opened.schema_arrow)
        failure = yield from self._until_damage(group_batches(opened, [group], columns), stop)
        if failure is None or self.stopped:
            return
        names = column_names(opened.schema_arrow) if columns is None else columns
        good = [name for name in names if names.count(name) == 1 and readable(opened, group, name)]
        if len(good) < len(names) and self._wanted.enough(good, names):
            lost = ", ".join(name for name in names if name not in good)
            yield from self._lacking(self.row, stop, lost, failure)
            rest = group_batches(opened, [group], good, self.row - start)
            failure = yield from self._until_damage(rest, stop)
        if failure is not None and not self.stopped:
            yield corrupt(self._path, self.row, stop, f"cannot be read: {failure}")

    def _until_damage(
        self, batches: Iterator[pa.RecordBatch], stop: int | None
    ) -> Generator[Rows | Damaged, None, Exception | None]:
        """Rows up to the end, which is the row ``stop``, or to what cannot be read; returns what that was."""
        while not self.stopped:
            try:
                batch = next(batches, None)
            except ERRORS as error:
                raise_the_systems(error)
                return error
            if batch is None:
                if stop is not None and self.row < stop:
                    yield corrupt(self._path, self.row, stop, "are missing")
                return None
            yield from self._of_batch(batch)
        return None

    def _of_batch(self, batch: pa.RecordBatch) -> Iterator[Rows | Damaged]:
        if self._wrong is not None:
            yield from self._without_text(batch.num_rows)
            return
        first, end = self.row, self.row + batch.num_rows
        self.row = end
        if self._names is not None and batch.num_columns == len(self._names):
            batch = batch.rename_columns(self._names)
        sound, problem = sound_columns(batch)
        if problem:
            names = column_names(batch.schema)
            if not self._wanted.enough([names[at] for at in sound], names):
                yield corrupt(self._path, first, end, f"cannot be read: {problem}")
                return
            lost = ", ".join(name for at, name in enumerate(names) if at not in set(sound))
            yield from self._lacking(first, end, lost, problem)
            batch = batch.select(sound)
        size = row_bytes(batch)
        step = max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, size)))
        for start in range(0, batch.num_rows, step):
            if self.stopped:
                return
            yield Rows(first + start, batch.slice(start, step), size)

    def _lacking(self, first: int, end: int, names: str, why: object) -> Iterator[Damaged]:
        if self._wanted.tells_lost_columns:
            yield corrupt(self._path, first, end, f"lack {names}, which cannot be read: {why}")

    def _without_text(self, rows: int) -> Iterator[Damaged]:
        """One damaged record for each of some rows, as many as the budget has room for."""
        assert self._wrong is not None, "these rows have a text"
        first = self.row
        self.row += rows
        for row in range(first, first + rows):
            if self.stopped:
                return
            yield Damaged(self._path, row, None, *self._wrong)
            if (bomb := self.spend(ROW_BYTES, row + 1)) is not None:
                yield bomb


def open_parquet(file: Path) -> pq.ParquetFile:
    """A Parquet file that is read, not mapped: what the system refuses is then an error, and no signal."""
    return pq.ParquetFile(file, memory_map=False, buffer_size=READ_BYTES)


def schema_and_rows(file: Path, kind: str) -> tuple[pa.Schema, int | None]:
    """What the head of a Parquet or Arrow file tells; its rows where they are known without reading it."""
    if kind == "parquet":
        with open_parquet(file) as opened:
            return opened.schema_arrow, int(opened.metadata.num_rows)
    with pa.memory_map(str(file)) as source:
        _, schema, rows = open_ipc(source)
        return schema, rows


def first_rows(file: Path, kind: str, most: int) -> tuple[int, int] | None:
    """Rows at the beginning of a Parquet or Arrow file that are about so many of its bytes, and their bytes.

    Returns:
        None of a file that cannot be read, whose reader says why.
    """
    try:
        rows, size = _rows_of_bytes(file, kind)
    except ERRORS:
        return None
    taken = -(-rows * most // max(1, size))
    return (taken, taken * size // rows) if rows else None


def _rows_of_bytes(file: Path, kind: str) -> tuple[int, int]:
    """Rows, and the bytes of the file that they take: of all, or of the first batch where the file does not say."""
    _, rows = schema_and_rows(file, kind)
    size = file.stat().st_size
    if rows is not None:
        return rows, size
    with pa.memory_map(str(file)) as source:
        batches, _, _ = open_ipc(source)
        first = next(batches, None)
        if first is None:
            return 0, size
        if source.seek(0) == 0 and source.read(6) == b"ARROW1":
            source.seek(0)
            return first.num_rows, size // pa.ipc.open_file(source).num_record_batches
        source.seek(0)
        stream = pa.ipc.open_stream(source)
        return stream.read_next_batch().num_rows, source.tell()


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
    opened: pq.ParquetFile, groups: Sequence[int], columns: Sequence[str] | None = None, done: int = 0
) -> Iterator[pa.RecordBatch]:
    """Batches of row groups from row ``done`` on, whose rows are fewer where they are large.

    What a row becomes is not in the footer (a dictionary holds a value once), so the first rows of large row groups
    tell, and where later ones are larger the row groups are read again from there.
    """
    found = [opened.metadata.row_group(group) for group in groups]
    count = sum(info.num_rows for info in found)
    large = any(info.total_byte_size * BATCH_ROWS > 4 * BATCH_BYTES for info in found)
    rows = PROBE_ROWS if large and count > PROBE_ROWS else BATCH_ROWS
    while True:
        skip, wanted = done, rows
        batches = opened.iter_batches(rows, row_groups=list(groups), columns=columns, use_threads=False)
        for whole in batches:
            batch, skip = whole.slice(min(skip, whole.num_rows)), max(0, skip - whole.num_rows)
            if batch.num_rows:
                wanted = max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, row_bytes(batch))))
                if rows == PROBE_ROWS < wanted:
                    break
                done += batch.num_rows
                yield batch
                if 4 * wanted < rows:
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


def readable(opened: pq.ParquetFile, group: int, name: str) -> bool:
    """Whether a column of a row group can be read."""
    try:
        for _ in group_batches(opened, [group], [name]):
            pass
    except ERRORS as error:
        raise_the_systems(error)
        return False
    return True


def corrupt(path: str, first: int, end: int | None, what: str) -> Damaged:
    """Rows that are damaged together."""
    rows = f"rows from {first:,} on" if end is None else f"rows {first:,} to {end - 1:,}"
    return Damaged(path, first, None, "corrupt_rows", f"{rows} {what}")
