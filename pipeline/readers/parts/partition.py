"""Files -> partitions of balanced size: a pure function of the inputs, so that every shard's bytes are too.

A partition is the input of one document shard and holds parts of one source.  Its size is total bytes / 32, between 4
and 128 MiB.  A large file is split where a record starts: uncompressed JSON Lines at a line, WARC at a gzip member or a
record header, Parquet between row groups.  Everything else stays whole.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from pipeline.base import storage
from pipeline.base.errors import TokenmillError, in_words
from pipeline.readers.columns.footers import Footers
from pipeline.readers.encodings import utf16_of
from pipeline.readers.members import next_cut, next_member
from pipeline.readers.parts.formats import format_of, format_of_name
from pipeline.readers.parts.inputs import InputFile, SourceInputs
from pipeline.readers.ranges import RangeReader

PARTITIONS = 32
MIN_PARTITION_BYTES = 4 << 20
MAX_PARTITION_BYTES = 128 << 20
PROBE_BYTES = 1 << 20
_LENGTH = re.compile(rb"\ncontent-length:\s*(\d{1,18})\s", re.IGNORECASE)  # longer: the record is damaged


@dataclass(frozen=True)
class Part:
    """A range of one file: bytes, row groups of a Parquet file, or a data set that its reader finds (``unit``).

    ``size`` is the range's bytes, for the balance; ``error`` stands for a file or folder that cannot be read (and of
    the unit ``excluded`` is the reason why it is not wanted).
    """

    path: str
    format: str
    start: int
    end: int
    unit: str = "bytes"
    size: int = 0
    error: str | None = None

    @property
    def key(self) -> str:
        """The name under which a manifest keeps the digest of what was read."""
        return f"{self.path}@{self.start}-{self.end}"

    def is_whole(self, size: int) -> bool:
        """Whether it is all of a file of so many bytes."""
        return self.unit == "bytes" and (self.start, self.end) == (0, size)

    def url(self, root: str, names: Mapping[str, str]) -> str:
        """Where its file lies.

        Args:
            root: Folder or URL below which the source lies.
            names: True names of files whose name is not valid Unicode, hex of their bytes.
        """
        name = os.fsdecode(bytes.fromhex(names[self.path])) if self.path in names else self.path
        return f"{root.rstrip('/')}/{name}"

    def open(self, local: Path, *, digests: bool = True) -> RangeReader:
        """The bytes it takes of its file: all of them where it is counted in other units."""
        start, end = (self.start, self.end) if self.unit == "bytes" else (0, local.stat().st_size)
        return RangeReader(local, start, end, digests=digests)


FIRST_ROWS = "first_rows"  # unit of a part of a sample: so many records of a table, from its beginning


@dataclass(frozen=True)
class Partition:
    """The input of one document shard."""

    shard: str
    source: str
    parts: tuple[Part, ...]

    def config(self) -> list[dict[str, Any]]:
        """The parts as plain values."""
        return [asdict(part) for part in self.parts]


@dataclass
class _Packer:
    """Fills partitions in input order, each up to the target."""

    target: int
    partitions: list[tuple[str, list[Part]]] = field(default_factory=list)
    filled: int = 0

    def add(self, source: str, part: Part) -> None:
        if self.partitions and self.partitions[-1][0] == source and self.filled + part.size <= self.target:
            self.partitions[-1][1].append(part)
            self.filled += part.size
        else:
            self.partitions.append((source, [part]))
            self.filled = part.size


def plan(inputs: Sequence[tuple[SourceInputs, str]]) -> list[Partition]:
    """Partitions the inputs.

    Args:
        inputs: The sources in recipe order, each with the format that the recipe names.
    """
    total = sum(file.size for source, _ in inputs for file in source.files)
    target = partition_bytes(total)
    packer = _Packer(target)
    with Footers() as footers:
        for source, named_format in inputs:
            for file in source.files:
                for part in split(file, named_format, target, footers):
                    packer.add(source.name, part)
    return [
        Partition(f"{number:05d}", source, tuple(parts)) for number, (source, parts) in enumerate(packer.partitions)
    ]


def partition_bytes(total_bytes: int) -> int:
    """Size of a partition for inputs of this total.

    Example:
        >>> partition_bytes(0) == 4 << 20, partition_bytes(1 << 30) == 32 << 20, partition_bytes(1 << 40) == 128 << 20
        (True, True, True)
    """
    return min(MAX_PARTITION_BYTES, max(MIN_PARTITION_BYTES, total_bytes // PARTITIONS))


def split(file: InputFile, named_format: str, target: int, footers: Footers | None = None) -> Iterator[Part]:
    """A file's parts: one, or several where it is large and its format can be split.

    Where that fails for a reason that nobody foresaw it is one part, whose reader says what is wrong with it.
    """
    try:
        with Footers() if footers is None else nullcontext(footers) as opened:
            parts = list(_split(file, named_format, target, opened))
    except (TokenmillError, ImportError):
        raise
    except OSError as error:
        why = f"file cannot be read: {error.strerror or error}"
        yield Part(file.path, named_format, 0, 0, error=why)
    except Exception as error:  # noqa: BLE001  an odd file must not end the run
        kind = format_of_name(file.path) if named_format == "auto" else named_format
        if kind is None:
            yield Part(file.path, named_format, 0, 0, error=in_words(error))
        else:
            yield Part(file.path, kind, 0, file.size, size=file.size)
    else:
        yield from parts


def _split(file: InputFile, named_format: str, target: int, footers: Footers) -> Iterator[Part]:
    if file.excluded is not None:
        yield Part(file.path, named_format, 0, 0, unit="excluded", size=file.size, error=file.excluded)
        return
    if file.error is not None:
        yield Part(file.path, named_format, 0, 0, error=file.error)
        return
    if file.is_dataset:
        yield Part(file.path, named_format, 0, file.size, unit="dataset", size=file.size)
        return
    kind = format_of(file, named_format)
    if file.size <= target or kind not in ("jsonl", "warc", "wet", "parquet"):
        yield Part(file.path, kind, 0, file.size, size=file.size)
        return
    local = storage.open_local(file.url)
    if kind == "parquet":
        yield from _row_group_parts(file, local, target, footers)
        return
    starts = [0, *_starts(local, kind, file.size, target), file.size]
    for start, end in pairwise(starts):
        yield Part(file.path, kind, start, end, size=end - start)


def _starts(local: Path, kind: str, size: int, target: int) -> list[int]:
    """Where parts after the first begin: the first record start at or after each multiple of an equal share."""
    pieces = -(-size // target)
    nominal = [size * number // pieces for number in range(1, pieces)]
    with RangeReader(local, 0, size) as reader:
        compression = reader.compression
        if kind == "jsonl" and (compression or utf16_of(reader.peek(0, 4096))):
            found = []
        elif kind == "jsonl":
            found = [_after_newline(reader, at) for at in nominal]
        elif compression:
            found = _member_starts(reader, compression, nominal)
        else:
            found = _record_starts(reader, nominal)
    return sorted({start for start in found if start is not None and 0 < start < size})


def _after_newline(reader: RangeReader, position: int) -> int | None:
    position -= 1  # a boundary that is a line start already stays
    while block := reader.peek(position, PROBE_BYTES):
        found = block.find(b"\n")
        if found >= 0:
            return position + found + 1
        position += len(block)
    return None


def _member_starts(reader: RangeReader, compression: str, nominal: list[int]) -> list[int | None]:
    """Member starts, where each record is a member of its own: then the second one begins soon."""
    second = next_member(reader, 1, compression, b"WARC/", end=PROBE_BYTES)
    return [next_cut(reader, at, compression, b"WARC/") for at in nominal] if second is not None else []


def _record_starts(reader: RangeReader, nominal: list[int]) -> list[int | None]:
    """Record starts of a plain WARC, by hopping from header to header; none after the first that is damaged."""
    found: list[int | None] = []
    position = 0
    for wanted in nominal:
        while position < wanted:
            head = reader.peek(position, 1 << 14)
            end, length = head.find(b"\r\n\r\n"), _LENGTH.search(head)
            if not head.startswith(b"WARC/") or end < 0 or length is None or length.start() > end:
                return found
            position += end + 4 + int(length.group(1)) + 4
        if not reader.peek(position, 5).startswith(b"WARC/"):
            return found
        found.append(position)
    return found


def _row_group_parts(file: InputFile, local: Path, target: int, footers: Footers) -> Iterator[Part]:
    sizes = footers.group_bytes(local)
    if sizes is None:
        yield Part(file.path, "parquet", 0, file.size, size=file.size)  # its reader says what is wrong with it
        return
    first, size = 0, 0
    for group, group_size in enumerate(sizes):
        if size and size + group_size > target:
            yield Part(file.path, "parquet", first, group, unit="row_groups", size=size)
            first, size = group, 0
        size += group_size
    yield Part(file.path, "parquet", first, len(sizes), unit="row_groups", size=size)
