"""One output file: Arrow batches in, Parquet, JSON Lines or an Arrow file out; the same batches give the same bytes."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.base.arrow import parquet_writer

if TYPE_CHECKING:
    import pyarrow.parquet as pq

ROW_GROUP_BYTES = 64 << 20  # of text: what a reader of one row group has to hold
ROW_GROUP_ROWS = 1 << 20
ZSTD_LEVEL = 1
MANY_VALUES = frozenset({"text", "doc_id", "id", "url", "canonical_url", "title", "metadata", "kept_id", "cluster_id"})
FEW_VALUES = pa.types.is_string


class Writer(Protocol):
    """Writes batches into a file."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends the rows of a batch."""


class ParquetFile:
    """Parquet with zstd; small batches are joined to row groups, columns of few values have dictionaries."""

    def __init__(self, writer: "pq.ParquetWriter") -> None:
        self._writer = writer
        self._waiting: list[pa.RecordBatch] = []
        self._bytes = self._rows = 0

    @classmethod
    @contextmanager
    def open(cls, path: Path, schema: pa.Schema) -> Iterator["ParquetFile"]:
        """The file, which has its footer where nothing went wrong."""
        few = [field.name for field in schema if FEW_VALUES(field.type) and field.name not in MANY_VALUES]
        with parquet_writer(
            path,
            schema,
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            use_dictionary=few,
            write_statistics=[field.name for field in schema if field.name not in ("text", "metadata")],
        ) as writer:
            file = cls(writer)
            yield file
            file.flush()

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends the rows of a batch."""
        self._waiting.append(batch)
        self._bytes += batch.get_total_buffer_size()
        self._rows += batch.num_rows
        if self._bytes >= ROW_GROUP_BYTES or self._rows >= ROW_GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        """Writes the rows that wait as a row group."""
        if self._waiting:
            self._writer.write_table(
                pa.Table.from_batches(self._waiting, self._writer.schema), row_group_size=self._rows
            )
        self._waiting, self._bytes, self._rows = [], 0, 0


class ArrowFile:
    """An Arrow IPC file (Feather 2) with zstd."""

    def __init__(self, writer: pa.ipc.RecordBatchFileWriter) -> None:
        self._writer = writer

    @classmethod
    @contextmanager
    def open(cls, path: Path, schema: pa.Schema) -> Iterator["ArrowFile"]:
        """The file, which has its footer at the end."""
        options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd"), use_threads=False)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema, options=options) as writer:
            yield cls(writer)

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends the rows of a batch."""
        self._writer.write_batch(batch)


class JsonLinesFile:
    """One JSON object per document; ``metadata`` is an object in it, not a string."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    @classmethod
    @contextmanager
    def open(cls, path: Path, schema: pa.Schema) -> Iterator["JsonLinesFile"]:
        """The file; the schema is that of its batches."""
        with open(path, "wb") as file:
            yield cls(file)

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends the rows of a batch."""
        self._file.writelines(json_lines(batch))


OPENERS: dict[str, Callable[[Path, pa.Schema], AbstractContextManager[Writer]]] = {
    "parquet": ParquetFile.open,
    "hf": ParquetFile.open,
    "arrow": ArrowFile.open,
    "jsonl": JsonLinesFile.open,
}


def write_file(path: Path, kind: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Writes a file of one of the formats, and gives each batch back once it is written.

    Args:
        path: Where; an unfinished file stays there if an error ends it.
        kind: A key of ``OPENERS``.
        schema: That of the batches.
        batches: What to write.
    """
    with OPENERS[kind](path, schema) as writer:
        for batch in batches:
            writer.write(batch)
            yield batch


def json_lines(batch: pa.RecordBatch) -> Iterator[bytes]:
    """The rows of a batch as lines of JSON."""
    columns: list[list[Any]] = [batch.column(number).to_pylist() for number in range(batch.num_columns)]
    names = batch.schema.names
    if "metadata" in names:
        at = names.index("metadata")
        columns[at] = [None if held is None else orjson.Fragment(held) for held in columns[at]]
    for row in zip(*columns, strict=True):
        yield orjson.dumps(dict(zip(names, row, strict=True)), option=orjson.OPT_APPEND_NEWLINE)


def text_bytes(batch: pa.RecordBatch) -> int:
    """Bytes of text in a batch; 0 where it has no such column."""
    if "text" not in batch.schema.names:
        return 0
    return int(pc.sum(pc.binary_length(batch.column("text"))).as_py() or 0)
