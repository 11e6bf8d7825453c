"""One output file: Arrow batches in, Parquet, JSON Lines or an Arrow file out; the same batches give the same bytes."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol

import orjson
import pyarrow as pa

ROW_GROUP_BYTES = 64 << 20  # of text: what a reader of one row group has to hold
ROW_GROUP_ROWS = 1 << 20
ZSTD_LEVEL = 1
MANY_VALUES = frozenset({"text", "doc_id", "id", "url", "canonical_url", "title", "metadata", "kept_id", "cluster_id"})
FEW_VALUES = pa.types.is_string


class Writer(Protocol):
    """Writes batches into a file; ``close`` ends it."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends the rows of a batch."""

    def close(self) -> None:
        """Writes what ends the file."""


class ParquetFile:
    """Parquet with zstd; small batches are joined to row groups, columns of few values have dictionaries."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        few = [field.name for field in schema if FEW_VALUES(field.type) and field.name not in MANY_VALUES]
        self._file = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            use_dictionary=few,
            write_statistics=[field.name for field in schema if field.name not in ("text", "metadata")],
        )
        self._schema = schema
        self._waiting: list[pa.RecordBatch] = []
        self._bytes = self._rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends the rows of a batch."""
        self._waiting.append(batch)
        self._bytes += batch.get_total_buffer_size()
        self._rows += batch.num_rows
        if self._bytes >= ROW_GROUP_BYTES or self._rows >= ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._file.write_table(pa.Table.from_batches(self._waiting, self._schema), row_group_size=self._rows)
        self._waiting, self._bytes, self._rows = [], 0, 0

    def close(self) -> None:
        """Writes the last row group and the footer."""
        self._flush()
        self._file.close()


class ArrowFile:
    """An Arrow IPC file (Feather 2) with zstd."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd"), use_threads=False)
        self._sink = pa.OSFile(str(path), "wb")
        self._file = pa.ipc.new_file(self._sink, schema, options=options)

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends the rows of a batch."""
        self._file.write_batch(batch)

    def close(self) -> None:
        """Writes the footer."""
        self._file.close()
        self._sink.close()


class JsonLinesFile:
    """One JSON object per document; ``metadata`` is an object in it, not a string."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file: IO[bytes] = open(path, "wb")  # noqa: SIM115 - closed by close()

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends the rows of a batch."""
        self._file.writelines(json_lines(batch))

    def close(self) -> None:
        """Ends the file."""
        self._file.close()


WRITERS: dict[str, Callable[[Path, pa.Schema], Writer]] = {
    "parquet": ParquetFile,
    "hf": ParquetFile,
    "arrow": ArrowFile,
    "jsonl": JsonLinesFile,
}


def write_file(path: Path, kind: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Writes a file of one of the formats, and gives each batch back once it is written.

    Args:
        path: Where; an unfinished file stays there if an error ends it.
        kind: A key of ``WRITERS``.
        schema: That of the batches.
        batches: What to write.
    """
    writer = WRITERS[kind](path, schema)
    try:
        for batch in batches:
            writer.write(batch)
            yield batch
    finally:
        writer.close()


def json_lines(batch: pa.RecordBatch) -> Iterator[bytes]:
    """The rows of a batch as lines of JSON."""
    columns: list[list[Any]] = [batch.column(number).to_pylist() for number in range(batch.num_columns)]
    names = batch.schema.names
    if "metadata" in names:
        at = names.index("metadata")
        columns[at] = [None if held is None else orjson.Fragment(held) for held in columns[at]]
    for row in zip(*columns, strict=True):
        yield orjson.dumps(dict(zip(names, row, strict=True)), option=orjson.OPT_APPEND_NEWLINE)
