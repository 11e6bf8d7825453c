"""A byte range of a file -> decompressed chunks, with a gap where the file is damaged.

Compression is recognised by content, never by name.  After a damaged member (gzip, bz2, xz) or frame (zstd) reading
goes on at the next one that really decompresses.  Limits on ratio and size stop a decompression bomb.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from pipeline.readers.members import member_after_damage
from pipeline.readers.ranges import RAW_BYTES, RangeReader
from pipeline.readers.raw.compression import Inflater, decompression_errors
from pipeline.readers.raw.ledger import Ledger
from pipeline.readers.records import HEAD_BYTES, Damaged

CHUNK_BYTES = 1 << 20  # of decompressed data
MEMBER_BYTES = 1 << 14  # given to a decompressor at a time where members are small: what it leaves unused is copied
RATIO_GRACE_BYTES = 64 << 20  # below this much output no ratio is a bomb


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
    following = member_after_damage(reader, start, compression, prefix)
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
