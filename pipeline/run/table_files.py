"""What a table is, and the only code that opens or writes a table file.

All tables are Arrow IPC files.  The schema metadata names the table and its format version, so that a file says what it
is.  A reader accepts its own major version only.  The tables themselves are in pipeline/run/tables.py.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.base.closable import Closable
from pipeline.base.errors import FormatError

TABLE_KEY, FORMAT_KEY = b"tokenmill.table", b"tokenmill.format"


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

    @property
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

    def close(self) -> None:
        """Writes the footer."""
        self._writer.close()
        self._sink.close()


def open_table(path: Path, table: Table, columns: Collection[str] | None = None) -> pa.RecordBatchFileReader:
    """Opens a table file, memory mapped; with ``columns``, only these are decompressed (in the file's order).

    Raises:
        FormatError: If the file is damaged, holds another table, or another major version of it.
    """
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path), "r"))
    except pa.ArrowInvalid as error:
        raise FormatError(
            f"{path}: expected a {table.name} table (Arrow IPC file), found damage: {error}; "
            "`tokenmill verify RUN` names what to rebuild"
        ) from error
    metadata = reader.schema.metadata or {}
    name, version = metadata.get(TABLE_KEY, b"").decode(), metadata.get(FORMAT_KEY, b"0.0").decode()
    if name != table.name:
        raise FormatError(
            f"{path}: expected a {table.name} table, found {name or 'no table name in the schema metadata'}"
        )
    if int(version.split(".")[0]) != table.version[0]:
        raise FormatError(
            f"{path}: format {version} of table {name}; this tokenmill reads {table.version[0]}.x: "
            f"use the tokenmill that wrote it, or rebuild the stage"
        )
    if columns is None:
        return reader
    wanted = [number for number, field in enumerate(reader.schema.names) if field in columns]
    options = pa.ipc.IpcReadOptions(included_fields=wanted)
    return pa.ipc.open_file(pa.memory_map(str(path), "r"), options=options)


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
