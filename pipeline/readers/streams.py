"""A byte range of a file -> decompressed chunks, with a gap where the file is damaged.

Compression is recognised by content, never by name.  After a damaged member (gzip, bz2, xz) or frame (zstd) reading
goes on at the next one that really decompresses.  Limits on ratio and size stop a decompression bomb.
"""

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.closable import Closable
from pipeline.base.digests import hasher
from pipeline.readers.raw import compression as packing
from pipeline.readers.raw.compression import MAGIC, Inflater, decompression_errors
from pipeline.readers.raw.ledger import Ledger
from pipeline.readers.records import HEAD_BYTES, Damaged

CHUNK_BYTES = 1 << 20  # of decompressed data
RAW_BYTES = 1 << 18  # read from the file at a time
MEMBER_BYTES = 1 << 14  # given to a decompressor at a time where members are small: what it leaves unused is copied
RATIO_GRACE_BYTES = 64 << 20  # below this much output no ratio is a bomb
PROBE_BYTES = 1 << 16  # what a candidate member must decompress without error to be taken for one
FIRST_PROBE_BYTES = 1 << 9  # tried before that, so that a file of nothing but beginnings is not read over and over


@dataclass(frozen=True)
class Limits:
    """Bounds of what one file or record may become."""

    record_bytes: int = 256 << 20
    ratio: float = 500.0
    decompressed_bytes: int = 1 << 40


@dataclass(frozen=True)
class Gap:
    """A region of the file that gave no data.

    ``start`` and ``length`` are bytes of the file as it lies on disk; ``final`` says that nothing comes after.
    """

    start: int
    length: int
    reason: str
    detail: str
    head: bytes
    final: bool
    lost: int | None = None  # of its bytes, where the others gave data; None: all of them

    def damaged(self, path: str) -> Damaged:
        """The item that stands for it in the file at ``path``."""
        lost = self.length if self.lost is None else self.lost
        return Damaged(path, self.start, self.length, self.reason, self.detail, self.head, lost=lost)


class RangeReader(Closable):
    """Reads bytes [start, end) of a file in order, and where asked digests them on the way.

    Args:
        path: Local file.
        start: First byte.
        end: One past the last byte; what the plan saw, so that a file that shrank since is noticed.
        digests: Whether ``digest`` will be asked for.
    """

    def __init__(self, path: Path, start: int, end: int, *, digests: bool = True) -> None:
        self.start, self.end, self.position = start, end, start
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115  closed by close()
        self._hasher = hasher()
        self._hashed, self._digests = start, digests
        self._block, self._block_start = b"", start
        self.shrank = False
        self._dictionary: bytes | None = None
        self._dictionary_sought = False

    def read(self, size: int = RAW_BYTES) -> bytes:
        """The next bytes, at most ``size``; empty at the end of the range or of the file."""
        at = self.position - self._block_start
        if not 0 <= at < len(self._block):
            self._fetch(size)
            at = 0
        data = self._block[at : at + size]
        self.position += len(data)
        return data

    def _fetch(self, size: int) -> None:
        """Reads the block at the position, and digests the part of it that is new."""
        self._block_start = self.position
        self._block = self.peek(self.position, max(size, RAW_BYTES))
        if not self._block and self.position < self.end:
            self.shrank = True
        end = self.position + len(self._block)
        if self._digests and self.position <= self._hashed < end:
            self._hasher.update(self._block[self._hashed - self.position :])
            self._hashed = end

    def seek(self, position: int) -> None:
        """Moves to ``position``: back, or forward within what has been read."""
        self.position = position

    def peek(self, position: int, size: int) -> bytes:
        """Bytes at ``position``, within the range, without moving."""
        size = min(size, self.end - position)
        # asked first: a position that the input states may be beyond what the system can seek to
        return os.pread(self._file.fileno(), size, position) if size > 0 else b""

    @property
    def compression(self) -> str | None:
        """The compression that the range begins with; None where it is plain."""
        return packing.compression_of(self.peek(self.start, packing.HEAD_BYTES))

    def inflater(self, compression: str) -> Inflater:
        """A decompressor for one member of the file, which knows the dictionary that a zstd file begins with."""
        if compression == "zstd" and not self._dictionary_sought:
            self._dictionary, self._dictionary_sought = packing.dictionary_of(self.peek), True
        return Inflater(compression, self._dictionary)

    def digest(self) -> str:
        """BLAKE2b-128 of the whole range, reading what is left of it."""
        assert self._digests, "this reader was made without a digest"
        self.seek(self._hashed)
        while self.read(1 << 20):
            pass
        return self._hasher.hexdigest()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def next_member(
    reader: RangeReader, position: int, compression: str, prefix: bytes = b"", end: int | None = None
) -> int | None:
    """Start of the first member at or after ``position`` that decompresses to something that begins with ``prefix``.

    A pure function of the bytes before ``end``, so that two neighbouring partitions agree on it.
    """
    magic = MAGIC[compression]
    end = reader.end if end is None else min(end, reader.end)
    while position < end:
        block = reader.peek(position, min(CHUNK_BYTES, end - position))
        found = block.find(magic)
        while found >= 0:
            start = position + found
            if _is_member(reader, start, end, compression, prefix):
                return start
            found = block.find(magic, found + 1)
        if len(block) < len(magic):
            return None
        position += len(block) - len(magic) + 1
    return None


def _is_member(reader: RangeReader, start: int, end: int, compression: str, prefix: bytes) -> bool:
    """Whether what begins at ``start`` decompresses to something that begins with ``prefix``."""
    for size in (FIRST_PROBE_BYTES, PROBE_BYTES):
        inflater = reader.inflater(compression)
        try:
            out = inflater.decompress(reader.peek(start, min(size, end - start)), max(len(prefix), 256))
        except decompression_errors():
            return False
    return (bool(out) or inflater.eof) and out.startswith(prefix)


def chunks(reader: RangeReader, limits: Limits) -> Iterator[bytes | Gap]:
    """Decompressed chunks of a range, and a ``Gap`` for each damaged region."""
    compression = reader.compression
    if compression is None:
        yield from plain_chunks(reader)
        return
    position: int | None = reader.start
    budget = Budget(limits)
    while position is not None and position < reader.end:
        reader.seek(position)
        position = yield from member_chunks(reader, compression, budget)


def plain_chunks(reader: RangeReader) -> Iterator[bytes | Gap]:
    """The bytes of a range as they are."""
    while data := reader.read(CHUNK_BYTES):
        yield data
    if reader.shrank:
        yield shrunk(reader)


def shrunk(reader: RangeReader) -> Gap:
    """The gap of a file that ends before the plan's end."""
    missing = reader.end - reader.position
    detail = f"the file ends at byte {reader.position:,}, it had {reader.end:,} when the run was planned"
    return Gap(reader.position, missing, "file_shrank", detail, b"", final=True)


class Watched:
    """Chunks on their way to a reader, and what the reader left of them."""

    def __init__(self, data: Iterator[bytes | Gap]) -> None:
        self._data = data
        self.given = 0  # bytes

    def __iter__(self) -> "Watched":
        return self

    def __next__(self) -> bytes | Gap:
        chunk = next(self._data)
        if isinstance(chunk, bytes):
            self.given += len(chunk)
        return chunk

    def rest(self) -> int:
        """Bytes that the reader did not ask for."""
        before = self.given
        for _ in self:
            pass
        return self.given - before


def counted(data: Iterator[bytes | Gap], ledger: Ledger) -> Iterator[bytes | Gap]:
    """The chunks, counted as what the reader of a format is given: text in UTF-8, as the lengths of its items are."""
    for chunk in data:
        if isinstance(chunk, bytes):
            ledger.given += len(chunk)
        yield chunk


class Budget:
    """How much a file has become so far, against the limits."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.consumed, self.produced = limits, 0, 0

    def exceeded(self) -> str | None:
        """Why this is a bomb, in words; None while it is not."""
        if self.produced > self.limits.decompressed_bytes:
            return f"more than max_decompressed_bytes = {self.limits.decompressed_bytes:,}"
        if self.produced > RATIO_GRACE_BYTES and self.produced > self.limits.ratio * max(1, self.consumed):
            ratio = self.produced / max(1, self.consumed)
            return f"ratio {ratio:,.0f}, more than max_decompression_ratio = {self.limits.ratio:g}"
        return None


def member_chunks(
    reader: RangeReader, compression: str, budget: Budget, prefix: bytes = b""
) -> Generator[bytes | Gap, None, int | None]:
    """Yields the data of the member at the reader's position; returns where the next one starts, None at the end.

    Args:
        reader: Stands at the member's first byte.
        compression: Its kind.
        budget: Counts what it becomes.
        prefix: How every member's data begins (``WARC/``), where that is known: damage then never outlasts a member.
    """
    start = good = reader.position
    inflater = reader.inflater(compression)
    while not inflater.eof:
        data = inflater.pending
        if not data and inflater.hungry:
            good = reader.position
            data = reader.read(MEMBER_BYTES if prefix else RAW_BYTES)
            budget.consumed += len(data)
            if not data and reader.shrank:
                yield shrunk(reader)
                return None
            if not data:
                yield _gap(reader, start, reader.end, "truncated", f"{compression} data ends early", good, final=True)
                return None
        try:
            out = inflater.decompress(data, CHUNK_BYTES)
        except decompression_errors() as error:
            detail = f"{compression}: {error}"
            return (yield from _give_up(reader, (start, good), compression, "corrupt_compression", detail, prefix))
        budget.produced += len(out)
        if (bomb := budget.exceeded()) is not None:
            if prefix:
                return (yield from _give_up(reader, (start, good), compression, "decompression_bomb", bomb, prefix))
            yield _gap(reader, start, reader.end, "decompression_bomb", bomb, good, final=True)
            return None
        if out:
            yield out
    return _after_member(reader, inflater)


def _give_up(
    reader: RangeReader, place: tuple[int, int], compression: str, reason: str, detail: str, prefix: bytes
) -> Generator[Gap, None, int | None]:
    """The gap from a damaged member to the next one that decompresses; ``place``: its start, and what gave no data."""
    start, good = place
    following = next_member(reader, start + 1, compression, prefix)
    end = following if following is not None else reader.end
    yield _gap(reader, start, end, reason, detail, good, final=following is None)
    return following


def _after_member(reader: RangeReader, inflater: Inflater) -> int | None:
    unused = inflater.unused
    position = reader.position - len(unused)
    if unused[:1] not in (b"", b"\0"):
        return position
    # zero padding after the last member is legal (tar blocks, tape)
    while position < reader.end:
        block = reader.peek(position, RAW_BYTES)
        stripped = block.lstrip(b"\0")
        if stripped or not block:
            return position + len(block) - len(stripped)
        position += len(block)
    return None


def _gap(reader: RangeReader, start: int, end: int, reason: str, detail: str, good: int, *, final: bool) -> Gap:
    return Gap(start, end - start, reason, detail, reader.peek(start, HEAD_BYTES), final, max(1, end - good))
