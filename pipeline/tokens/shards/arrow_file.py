"""Where the buffers of an uncompressed Arrow IPC file lie, read from its footer and message headers alone.

pyarrow asks the system to read a whole record batch ahead when it opens one.  A lookup needs a few kilobytes of it (the
offsets and doc_ids of a token shard), so this module parses the few flatbuffers fields that say where they are.  Only
positions come from here; a test holds them against what pyarrow reads.

Layout: https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format
"""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.errors import FormatError

_MAGIC = b"ARROW1"
_BATCHES_FIELD = 3  # of the table Footer
_HEADER_FIELD = 2  # of the table Message
_LENGTH_FIELD, _BUFFERS_FIELD, _COMPRESSION_FIELD = 0, 2, 3  # of the table RecordBatch


@dataclass(frozen=True)
class BatchPlace:
    """One record batch: its rows, and start and length in the file of each of its buffers, in schema order."""

    rows: int
    buffers: tuple[tuple[int, int], ...]


class ArrowFile:
    """A mapped file, and its record batches.

    Args:
        path: The file.
        sparse: Few of its pages will be read: the system shall not read ahead.

    Raises:
        FormatError: If it is no Arrow file, or damaged.
    """

    def __init__(self, path: Path, *, sparse: bool = False) -> None:
        self._path = path
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size < 24:
                raise FormatError(f"{path}: expected an Arrow IPC file, found {size} bytes")
            self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if sparse:
            self.data.madvise(mmap.MADV_RANDOM)
        if self.data[:6] != _MAGIC or self.data[-6:] != _MAGIC:
            raise FormatError(f"{path}: expected an Arrow IPC file, found no {_MAGIC.decode()} at its two ends")
        try:
            self._blocks = list(self._read_blocks())
        except struct.error as error:
            raise self._damage(error) from error

    def __len__(self) -> int:
        return len(self._blocks)

    def batch(self, number: int) -> BatchPlace:
        """Where a record batch lies.

        Raises:
            FormatError: If its header is damaged, or it is compressed.
        """
        start, header_bytes = self._blocks[number]
        try:
            message = start + 8 + self._u32(start + 8)  # after the continuation marker and the size
            header = self._table(message, _HEADER_FIELD)
            if self._field(header, _COMPRESSION_FIELD):
                raise FormatError(f"{self._path}: compressed; expected an uncompressed file, as tokenmill writes it")
            field = self._field(header, _LENGTH_FIELD)
            rows = self._i64(field) if field else 0
            return BatchPlace(rows, tuple(self._buffers(header, start + header_bytes)))
        except struct.error as error:
            raise self._damage(error) from error

    def _damage(self, error: object) -> FormatError:
        return FormatError(f"{self._path}: damaged Arrow file: {error}; `tokenmill verify RUN` names what to rebuild")

    def _read_blocks(self) -> Iterator[tuple[int, int]]:
        """Start of each record batch's message, and bytes until its body."""
        end = len(self.data) - 10
        footer = end - self._u32(end)
        first, count = self._vector(footer + self._u32(footer), _BATCHES_FIELD)
        for number in range(count):
            start, header_bytes = struct.unpack_from("<qi", self.data, first + 24 * number)
            yield start, header_bytes

    def _buffers(self, header: int, body: int) -> Iterator[tuple[int, int]]:
        first, count = self._vector(header, _BUFFERS_FIELD)
        for number in range(count):
            start, length = struct.unpack_from("<qq", self.data, first + 16 * number)
            if not 0 <= body + start <= body + start + length <= len(self.data):
                raise self._damage("a buffer lies outside the file")
            yield body + start, length

    def _u32(self, at: int) -> int:
        return int(struct.unpack_from("<I", self.data, at)[0])

    def _i64(self, at: int) -> int:
        return int(struct.unpack_from("<q", self.data, at)[0])

    def _field(self, table: int, number: int) -> int:
        """Where a table's field stands; 0 where it is absent."""
        fields = table - struct.unpack_from("<i", self.data, table)[0]
        (size,) = struct.unpack_from("<H", self.data, fields)
        if 4 + 2 * number >= size:
            return 0
        (inside,) = struct.unpack_from("<H", self.data, fields + 4 + 2 * number)
        return table + inside if inside else 0

    def _table(self, table: int, number: int) -> int:
        """The table that a field points to."""
        field = self._field(table, number)
        if not field:
            raise self._damage(f"field {number} is missing")
        return field + self._u32(field)

    def _vector(self, table: int, number: int) -> tuple[int, int]:
        """First element and length of a vector field; an absent one is empty."""
        field = self._field(table, number)
        if not field:
            return 0, 0
        vector = field + self._u32(field)
        return vector + 4, self._u32(vector)
