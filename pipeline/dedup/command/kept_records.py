"""Last pass: the kept records of a file, in input order, as they were.

Lines of plain JSON Lines are copied by the kernel, byte for byte; compressed ones are decompressed and compressed
again.  Parquet and Arrow keep schema, metadata and compression.
"""

import bz2
import gzip
import lzma
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from numpy.typing import NDArray

from pipeline.dedup.files.input_files import File, Part
from pipeline.dedup.files.records import chosen_rows, column_batches, open_range, schema_of
from pipeline.readers.columns.footers import Footers
from pipeline.readers.lines import lines
from pipeline.readers.records import Damaged
from pipeline.readers.streams import Gap, Limits, chunks

ROW_GROUP_BYTES = 64 << 20
GZIP_LEVEL = 6
_COPY_BYTES = 1 << 30
_OPENERS: dict[str | None, Callable[[Path, str], Any]] = {
    None: open,
    "zstd": zstandard.open,
    "bz2": bz2.open,
    "xz": lzma.open,
}
_CODECS = ("uncompressed", "snappy", "gzip", "brotli", "zstd", "lz4")
_MAGIC = {"zstd": b"\x28\xb5\x2f\xfd", "lz4": b"\x04\x22\x4d\x18"}


def copy_ranges(file: File, ranges: NDArray[np.int64], target: Path) -> None:
    """Copies byte ranges of a file, in order, to a new file.

    Args:
        file: The input.
        ranges: First byte and end of each kept record, ascending, shape (n, 2).
        target: The new file.
    """
    file.check()
    joined = np.flatnonzero(np.append(True, ranges[1:, 0] != ranges[:-1, 1])) if len(ranges) else np.zeros(0, int)
    starts, ends = ranges[joined, 0], np.append(ranges[joined[1:] - 1, 1], ranges[-1:, 1])
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(file.local, "rb", buffering=0) as source, open(target, "wb", buffering=0) as sink:
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            while start < end:
                copied = os.sendfile(sink.fileno(), source.fileno(), start, min(end - start, _COPY_BYTES))
                if not copied:
                    break  # the file has become shorter, which check() below finds
                start += copied
    file.check()


def write_kept(file: File, rows: NDArray[np.int64], target: Path, codecs: Mapping[str, str]) -> None:
    """Writes the kept records of a compressed or columnar file.

    Args:
        file: The input.
        rows: Rows kept, ascending.
        target: The new file.
        codecs: Of a Parquet file's columns, from ``parquet_codecs``.
    """
    file.check()
    target.parent.mkdir(parents=True, exist_ok=True)
    if file.format == "jsonl":
        _write_lines(file, rows, target)
    elif file.format == "parquet":
        _write_parquet(file, rows, target, codecs)
    else:
        _write_arrow(file, rows, target)
    file.check()


def _write_lines(file: File, rows: NDArray[np.int64], target: Path) -> None:
    last = b""

    def remembering(data: Iterator[bytes | Gap]) -> Iterator[bytes | Gap]:
        nonlocal last
        for chunk in data:
            last = chunk[-1:] if isinstance(chunk, bytes) and chunk else last
            yield chunk

    wanted = iter([*rows.tolist(), -1])
    following = next(wanted)
    with open_range(file, 0, file.size) as reader, _compressor(target, file.compression) as sink:
        held: bytes | None = None
        for row, line in enumerate(lines(remembering(chunks(reader, Limits())), file.path, Limits().record_bytes)):
            if held is not None:
                sink.write(held + b"\n")
                held = None
            if row == following and not isinstance(line, Damaged):
                held, following = line.data, next(wanted)
        if held is not None:  # the file's very last line ends as it did
            sink.write(held + (b"\n" if last == b"\n" else b""))


def _compressor(target: Path, compression: str | None) -> AbstractContextManager[BinaryIO]:
    """Opens a file for writing through the compression of the input."""
    opened: Any
    if compression == "gzip":
        opened = gzip.GzipFile(target, "wb", compresslevel=GZIP_LEVEL, mtime=0)
    else:
        opened = _OPENERS[compression](target, "wb")
    return cast(AbstractContextManager[BinaryIO], opened)


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


def parquet_codecs(files: Sequence[File]) -> dict[str, dict[str, str]]:
    """By the path of each Parquet file: how its columns are compressed, where that can be written again.

    A footer that cannot be read gives none, as does a codec that is only read (the LZ4 of Hadoop).
    """
    with Footers() as footers:
        groups = {f.path: footers.chunks(f.local) or [] for f in files if f.format == "parquet"}
    return {
        path: {name: codec.lower() for name, codec, _ in found[0] if codec.lower() in _CODECS} if found else {}
        for path, found in groups.items()
    }


def _write_parquet(file: File, rows: NDArray[np.int64], target: Path, codecs: Mapping[str, str]) -> None:
    with pq.ParquetFile(file.local) as opened:
        schema, metadata = opened.schema_arrow, opened.metadata
        edges = np.cumsum([metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)])
    mask, pending, size, row = _Mask(rows), [], 0, 0
    chosen = {name: codec.replace("uncompressed", "none") for name, codec in codecs.items()} or "snappy"
    with pq.ParquetWriter(target, schema, compression=chosen) as writer:
        for batch in column_batches(Part.whole(file)):
            kept = mask.of(batch)
            group_before, row = int(np.searchsorted(edges, row, "right")), row + batch.num_rows
            pending.append(kept)
            size += kept.get_total_buffer_size()
            if int(np.searchsorted(edges, row, "right")) != group_before or size > ROW_GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(pending, schema))
                pending, size = [], 0
        if any(kept.num_rows for kept in pending):
            writer.write_table(pa.Table.from_batches(pending, schema))


def _write_arrow(file: File, rows: NDArray[np.int64], target: Path) -> None:
    with open(file.local, "rb") as opened:
        head = opened.read(1 << 20)
    codec = next((name for name, magic in _MAGIC.items() if magic in head), None)
    options = pa.ipc.IpcWriteOptions(compression=codec)
    new = pa.ipc.new_file if head[:6] == b"ARROW1" or head[:4] == b"FEA1" else pa.ipc.new_stream
    mask = _Mask(rows)
    batches = column_batches(Part.whole(file))
    first = next(batches, None)
    schema = first.schema if first is not None else schema_of(file)[0]
    with pa.OSFile(str(target), "wb") as sink, new(sink, schema, options=options) as writer:
        while first is not None:
            writer.write_batch(mask.of(first))
            first = next(batches, None)
