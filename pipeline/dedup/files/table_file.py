"""A table that a command writes to a file of the user's: in the format that the file's name says.

It is refused before anything is done, or published whole at the end.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.base import storage
from pipeline.base.arrow import parquet_writer
from pipeline.base.errors import FormatError, RunError, UserError, in_a_sentence, parse_json, raise_the_systems
from pipeline.dedup.files.packed import compression_of_name, compressor
from pipeline.readers.parts.formats import format_of_name
from pipeline.run.table_files import Table, TableWriter, open_table
from pipeline.run.tables import REMOVED

DELIMITERS = {"csv": ",", "tsv": "\t"}


class _Writer(Protocol):
    def write(self, table: pa.Table) -> None:
        """Adds rows."""


class TableFile:
    """A table to be, in Arrow unless its name says JSON Lines, CSV, TSV or Parquet.

    Args:
        flag: The option that names it, for messages.
        path: Where it will be; an earlier such table there is replaced.
        table: What it is.

    Raises:
        UserError: If nothing can be written there, or something else is there.
    """

    def __init__(self, flag: str, path: Path, table: Table) -> None:
        self.path, self._partial, self._table = path, path.with_name(f".{path.name}.partial"), table
        self._format = format_of_name(path.name) or "arrow"
        self._compression = compression_of_name(path.name)
        if self._format not in ("arrow", "parquet", "jsonl", "csv", "tsv") or (
            self._compression and self._format in ("arrow", "parquet")
        ):
            raise UserError(f"{flag} {path}: expected a name that ends in .jsonl, .csv, .tsv, .parquet or .arrow")
        if path.exists() and not self._stands_there():
            what = "removed records" if table is REMOVED else "matches"
            raise UserError(f"{flag} {path}: there is something else than a table of {what}; name another")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._partial.touch()
            self._partial.unlink()
        except OSError as error:
            raise UserError(f"{flag} {path}: cannot be written: {error.strerror or error}; name another") from error

    def _stands_there(self) -> bool:
        """Whether an earlier table of this kind is there, or nothing at all."""
        names = [column.name for column in self._table.columns]
        try:
            if not self.path.stat().st_size:
                return True
            if self._format == "arrow":
                open_table(self.path, self._table)
                return True
            if self._format == "parquet":
                return list(pq.read_schema(self.path).names) == names
            if self._compression:
                return False  # it is not read for that
            with open(self.path, "rb") as file:
                first = file.readline(1 << 20).decode()
            if self._format == "jsonl":
                return list(parse_json(first)) == names
            return next(csv.reader([first], delimiter=DELIMITERS[self._format])) == names
        except (FormatError, OSError, ValueError, TypeError, pa.ArrowException) as error:
            raise_the_systems(error)
            return False

    def publish(self, tables: Iterable[pa.Table]) -> None:
        """Writes the rows of some tables.

        Raises:
            RunError: If the disk is full, or the file cannot be written any more.
        """
        try:
            with self._writer() as writer:
                for table in tables:
                    writer.write(table)
            storage.publish(self._partial, str(self.path))
        except OSError as error:
            self._partial.unlink(missing_ok=True)
            raise RunError(f"cannot be written: {in_a_sentence(error, str(self.path))}") from error

    @contextmanager
    def _writer(self) -> Iterator[_Writer]:
        if self._format == "arrow":
            with TableWriter(self._partial, self._table) as writer:
                yield writer
        elif self._format == "parquet":
            with parquet_writer(self._partial, self._table.schema) as parquet:
                yield _Parquet(parquet)
        else:
            with compressor(self._partial, self._compression) as sink:
                yield _Lines(sink) if self._format == "jsonl" else _Rows(sink, self._format, self._table)


class _Parquet:
    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table.cast(self._writer.schema))


class _Lines:
    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink

    def write(self, table: pa.Table) -> None:
        for batch in table.to_batches(1024):
            self._sink.write(b"".join(orjson.dumps(row, default=str) + b"\n" for row in batch.to_pylist()))


class _Rows:
    def __init__(self, sink: BinaryIO, kind: str, table: Table) -> None:
        self._sink, self._delimiter = sink, DELIMITERS[kind]
        self._add([[column.name for column in table.columns]])

    def write(self, table: pa.Table) -> None:
        for batch in table.to_batches(1024):
            self._add([list(row.values()) for row in batch.to_pylist()])

    def _add(self, rows: Iterable[Iterable[object]]) -> None:
        text = io.StringIO()
        csv.writer(text, delimiter=self._delimiter, lineterminator="\n").writerows(rows)
        self._sink.write(text.getvalue().encode("utf-8"))
