"""What a table is, and the only code that opens or writes a table file.

All tables are Arrow IPC files.  The schema metadata names the table and its format version, so that a file says what it
is.  A reader accepts its own major version only.  The tables themselves are in pipeline/run/tables/.

Of some tables each task reads one range: what is shuffled between tasks.  A range is a record batch; its number says
for whom it is.  The file's footer says where each one stands, and each one carries its own checksum, so a task reads
the footer and its range, and no other byte: mapped on a disk, by ranged requests from an object store.
"""

import contextlib
import errno
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.base import storage
from pipeline.base.arrow import one_array
from pipeline.base.closable import Closable
from pipeline.base.digests import hasher
from pipeline.base.errors import FormatError, is_the_systems
from pipeline.base.stores import RangedObject

TABLE_KEY, FORMAT_KEY = b"tokenmill.table", b"tokenmill.format"
CHECKSUM = "checksum"  # in the metadata of a range


@dataclass(frozen=True)
class Column:
    """One column: what it holds, in which unit, and whether it may be null."""

    name: str
    type: pa.DataType
    description: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """One kind of table on disk.

    ``version`` is (major, minor): a new column raises the minor version, any other change the major one.
    """

    name: str
    folder: str
    version: tuple[int, int]
    columns: tuple[Column, ...]
    order: str
    compression: str | None = "zstd"

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema, with the table's name and version in its metadata."""
        fields = [pa.field(column.name, column.type, nullable=column.nullable) for column in self.columns]
        version = f"{self.version[0]}.{self.version[1]}"
        return pa.schema(fields, metadata={TABLE_KEY: self.name.encode(), FORMAT_KEY: version.encode()})


class TableWriter(Closable):
    """Writes one table file, batch by batch.

    Args:
        path: Local file to write: the engine's scratch file, not the final name.
        table: What is written.
        metadata: Further schema metadata, such as the tokenizer's digest.
        schema: Overrides ``table.schema`` where a stage adds columns (signals of a recipe's classifiers).
    """

    def __init__(
        self,
        path: Path,
        table: Table,
        metadata: Mapping[str, str] | None = None,
        schema: pa.Schema | None = None,
    ) -> None:
        schema = schema or table.schema
        extra = {key.encode(): value.encode() for key, value in sorted((metadata or {}).items())}
        self.schema = schema.with_metadata({**table.schema.metadata, **extra})
        self.rows = self.given = 0  # rows, and bytes before compression, that it was given
        path.parent.mkdir(parents=True, exist_ok=True)
        codec = pa.Codec(table.compression) if table.compression else None
        options = pa.ipc.IpcWriteOptions(compression=codec, use_threads=False)
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._sink, self.schema, options=options)

    def write(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Appends rows; the columns must be those of the schema, in its order."""
        batch = batch.cast(self.schema) if batch.schema != self.schema else batch
        self.given += batch.nbytes
        if isinstance(batch, pa.Table):
            self._writer.write_table(batch)
        else:
            self._writer.write_batch(batch)
        self.rows += batch.num_rows

    def write_batch(self, batch: pa.RecordBatch, metadata: Mapping[str, str]) -> None:
        """Appends a record batch of the very schema, with metadata of its own."""
        self.given += batch.nbytes
        self._writer.write_batch(batch, custom_metadata=metadata)
        self.rows += batch.num_rows

    def close(self) -> None:
        """Writes the footer."""
        self._writer.close()
        self._sink.close()


REBUILD = "`tokenmill verify RUN` names what is damaged and the command that makes it again"
# files that this process has written, or whose checksums it has compared, since they changed: (path, size, modified)
_sound: set[tuple[str, int, int]] = set()


def mark_sound(path: Path) -> None:
    """What is read of this file need not be looked at once more: it was just written, or its checksum compared."""
    _sound.add(file_version(path))


def _is_sound(path: Path) -> bool:
    return file_version(path) in _sound


def file_version(path: Path) -> tuple[str, int, int]:
    """What tells a file from what it was before it was written to: path, size, when it was modified."""
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


@contextlib.contextmanager
def as_damage(path: Path | str, what: str) -> Iterator[None]:
    """Whatever Arrow says of a file's bytes as the error that names the file and what to do."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, OSError) and is_the_systems(error):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise FormatError(f"{path}: expected {what}, found damage: {error}; {REBUILD}") from error


class TableReader:
    """An open table file: its schema, and its record batches one by one.

    Where no checksum was compared, the offsets and the UTF-8 of each batch are looked at before it is given away: code
    that reads buffers in place goes where they point.
    """

    def __init__(self, path: Path, table: Table, columns: Collection[str] | None = None) -> None:
        self._path, self._what = path, f"a {table.name} table (Arrow IPC file)"
        self._is_sound = _is_sound(path)
        with self._damage():
            whole = pa.ipc.open_file(pa.memory_map(str(path), "r"))
            check_table(path, table, whole.schema.metadata or {})
            self._reader = whole if columns is None else self._only(whole.schema.names, columns)
        self.schema: pa.Schema = self._reader.schema
        self.num_record_batches: int = self._reader.num_record_batches

    def _only(self, names: Sequence[str], columns: Collection[str]) -> pa.RecordBatchFileReader:
        wanted = [number for number, name in enumerate(names) if name in columns]
        options = pa.ipc.IpcReadOptions(included_fields=wanted)
        return pa.ipc.open_file(pa.memory_map(str(self._path), "r"), options=options)

    def _damage(self) -> contextlib.AbstractContextManager[None]:
        return as_damage(self._path, self._what)

    def get_batch(self, number: int) -> pa.RecordBatch:
        """One record batch."""
        with self._damage():
            batch = self._reader.get_batch(number)
            if not self._is_sound:
                batch.validate(full=True)
            return batch

    def read_all(self) -> pa.Table:
        """All of them."""
        with self._damage():
            found = self._reader.read_all()
            if not self._is_sound:
                found.validate(full=True)
            return found


def open_table(path: Path, table: Table, columns: Collection[str] | None = None) -> TableReader:
    """Opens a table file, memory mapped; with ``columns``, only these are decompressed (in the file's order).

    Raises:
        FormatError: If the file is damaged, holds another table, or another major version of it; of a record batch
            when that one is asked for.
    """
    return TableReader(path, table, columns)


def check_table(path: Path | str, table: Table, metadata: Mapping[bytes, bytes]) -> None:
    """Raises a ``FormatError`` where the schema metadata is not that of the table, in a version that is read."""
    name, version = metadata.get(TABLE_KEY, b"").decode(), metadata.get(FORMAT_KEY, b"0.0").decode()
    if name != table.name:
        raise FormatError(
            f"{path}: expected a {table.name} table, found {name or 'no table name in the schema metadata'}; {REBUILD}"
        )
    if int(version.split(".")[0]) != table.version[0]:
        raise FormatError(
            f"{path}: format {version} of table {name}; this tokenmill reads {table.version[0]}.x: "
            f"use the tokenmill that wrote it, or rebuild the stage"
        )


def batches(path: Path, table: Table, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The record batches of a table file: of ``columns`` those that it has, in the order asked for; all if None."""
    reader = open_table(path, table, columns)
    for number in range(reader.num_record_batches):
        yield _selected(reader.get_batch(number), columns)


def read_table(path: Path, table: Table, columns: Sequence[str] | None = None) -> pa.Table:
    """Reads a whole table file; ``columns`` as in ``batches``."""
    return _selected(open_table(path, table, columns).read_all(), columns)


def _selected(rows: Any, columns: Sequence[str] | None) -> Any:
    return rows if columns is None else rows.select([name for name in columns if name in rows.schema.names])


class RangeWriter(Closable):
    """Writes ranges in the order of their numbers, also the empty ones.

    Args:
        writer: Of the table.
    """

    def __init__(self, writer: TableWriter) -> None:
        self._writer = writer

    def write(self, rows: pa.RecordBatch) -> None:
        """Appends the next range, of the very schema."""
        # what is serialized is what a reader of the file will see, whatever the rows are a slice of
        self._writer.write_batch(rows, {CHECKSUM: range_checksum(rows, self._writer.schema)})

    def write_all(self, rows: pa.Table, edges: Sequence[int]) -> None:
        """Appends ranges of a table.

        Args:
            rows: The columns must be those of the schema, in its order.
            edges: Row at which each range begins, and the end.
        """
        whole = pa.record_batch([one_array(column) for column in rows.columns], schema=self._writer.schema)
        for start, end in pairwise(edges):
            self.write(whole.slice(start, end - start))

    def close(self) -> None:
        """Writes the footer."""
        self._writer.close()


class RangeReader(Closable):
    """An open file of ranges.

    Args:
        url: The file.
        table: What it holds.

    Raises:
        FormatError: If it is damaged, or holds another table.
        FileNotFoundError: If it is missing.
    """

    def __init__(self, url: str, table: Table) -> None:
        self._url, self._what = url, f"a {table.name} table (Arrow IPC file)"
        with contextlib.ExitStack() as stack, self._damage():
            source: Any = stack.enter_context(_opened(url))
            self._reader = pa.ipc.open_file(source)
            check_table(url, table, self._reader.schema.metadata or {})
            self._held = stack.pop_all()
        self._is_sound = storage.is_local(url) and _is_sound(storage.local_path(url))
        self.schema: pa.Schema = self._reader.schema
        self.ranges: int = self._reader.num_record_batches

    def read(self, number: int, checksum: str = "") -> pa.RecordBatch:
        """One range, its checksum compared where this process has not written the file.

        Args:
            number: Of the range.
            checksum: Its checksum (``range_checksum``), where it does not carry one.

        Raises:
            FormatError: If it is damaged, or not there.
        """
        if number >= self.ranges:
            raise FormatError(f"{self._url}: expected at least {number + 1} ranges, found {self.ranges}; {REBUILD}")
        with self._damage():
            if self._is_sound:
                return self._reader.get_batch(number)
            found = self._reader.get_batch_with_custom_metadata(number)
            found.batch.validate(full=True)  # before anything goes where its offsets point
            expected = checksum or (found.custom_metadata or {}).get(CHECKSUM.encode(), b"").decode()
            if range_checksum(found.batch, self.schema) != expected:
                raise ValueError(f"the checksum of range {number} is not the one written with it")
        batch: pa.RecordBatch = found.batch
        return batch

    def _damage(self) -> contextlib.AbstractContextManager[None]:
        return as_damage(self._url, self._what)

    def close(self) -> None:
        """Lets go of the file; batches that were read from a mapped one stay."""
        self._held.close()


def _opened(url: str) -> Any:
    if storage.is_local(url):
        try:
            return pa.memory_map(url.removeprefix("file://"), "r")
        except FileNotFoundError as error:  # Arrow's own names no file
            raise FileNotFoundError(errno.ENOENT, "no such file", url) from error
    return pa.PythonFile(RangedObject(url), "r")


def range_checksum(batch: pa.RecordBatch, schema: pa.Schema) -> str:
    """What tells a record batch of a file: BLAKE2b-128 of the file's schema and the rows, as Arrow writes them, hex."""
    told = hasher()
    told.update(schema.serialize())
    told.update(batch.serialize())
    return told.hexdigest()


def read_range(url: str, table: Table, number: int, checksum: str = "") -> pa.RecordBatch:
    """One range of one file; see ``RangeReader``."""
    with RangeReader(url, table) as reader:
        return reader.read(number, checksum)
