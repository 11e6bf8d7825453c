"""Where the members of a compressed file begin, told by their first bytes: to cut a large file, and after damage.

What begins like a member may lie within one: a compressor keeps what another one has packed, such as a .warc.gz that a
crawler fetched, nearly as it is.  It does so in blocks that have a header each, every 64 KiB with deflate.  So whole
members that follow each other for longer than a block, with nothing between them, lie in no other one.
"""

from collections import deque
from collections.abc import Iterator

from pipeline.base.errors import raise_the_systems
from pipeline.readers.ranges import RAW_BYTES, RangeReader
from pipeline.readers.raw.compression import MAGIC, Inflater, decompression_errors

CHUNK_BYTES = 1 << 20  # looked through, or decompressed, at a time
PROBE_BYTES = 1 << 16  # what a candidate member must decompress without error to be taken for one
FIRST_PROBE_BYTES = 1 << 9  # tried before that, so that a file of nothing but beginnings is not read over and over
# the longest run of input that a compression keeps as it is: a block, and its header
STORED_BYTES = {"gzip": (1 << 16) + 5, "zstd": (1 << 17) + 3, "xz": (1 << 16) + 6, "bz2": 0}
MOST_BYTES = 1 << 30  # that a member becomes which is followed to its end
HEADER_BYTES = 10  # by which a member is known again within the data of another one
MEMBER_BYTES = 1 << 14  # read of a member at a time: most are small
FED_BYTES = 1 << 12  # given at a time to a decompressor of data that may be damaged or a bomb
KEPT_BYTES = 1 << 18  # of what that becomes: what is kept as it is does not become more


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


def next_cut(reader: RangeReader, position: int, compression: str, prefix: bytes) -> int | None:
    """As ``next_member``, but none that may lie within another member."""
    while (start := next_member(reader, position, compression, prefix)) is not None:
        broken = _chain_breaks_at(reader, start, compression, prefix)
        if broken is None:
            return start
        position = broken + 1
    return None


def member_after_damage(reader: RangeReader, start: int, compression: str, prefix: bytes) -> int | None:
    """Start of the member after a damaged one, which begins at ``start`` and was read up to the reader's position.

    One that lies within the damaged member is passed over: its bytes are data of that, and no run of members goes
    on beyond it.  Without the first it is not worth the doubt, without the second the damaged one was only cut off.
    """
    read, data = reader.position, _Data(reader, start, compression)
    position = start + 1
    while (found := next_member(reader, position, compression, prefix)) is not None:
        if found >= read or not data.has(found):
            return found
        broken = _chain_breaks_at(reader, found, compression, prefix)
        if broken is None:
            return found
        position = broken + 1
    return None


def _is_member(reader: RangeReader, start: int, end: int, compression: str, prefix: bytes) -> bool:
    """Whether what begins at ``start`` decompresses to something that begins with ``prefix``."""
    for size in (FIRST_PROBE_BYTES, PROBE_BYTES):
        inflater = reader.inflater(compression)
        try:
            out = inflater.decompress(reader.peek(start, min(size, end - start)), max(len(prefix), 256))
        except decompression_errors() as error:
            raise_the_systems(error)
            return False
    return (bool(out) or inflater.eof) and out.startswith(prefix)


def _chain_breaks_at(reader: RangeReader, start: int, compression: str, prefix: bytes) -> int | None:
    """Start of the first member from here on that is damaged or not followed by another one, or by the end.

    None where the members go on for longer than any of them could be kept within another one.
    """
    member = start
    while member < reader.end and member - start <= STORED_BYTES[compression]:
        following = _member_end(reader, member, compression, prefix)
        if following is None:
            return member
        member = following
    return None


def _member_end(reader: RangeReader, start: int, compression: str, prefix: bytes) -> int | None:
    """Where the member after this one begins, or the file ends; None where it is damaged or something else follows."""
    inflater = reader.inflater(compression)
    position, produced, head = start, 0, b""
    try:
        while not inflater.eof:
            data = reader.peek(position, MEMBER_BYTES)
            if not data or produced > MOST_BYTES:
                return None
            position += len(data)
            for out in _inflated(inflater, data):
                produced += len(out)
                head = (head + out)[: len(prefix)] if len(head) < len(prefix) else head
    except decompression_errors() as error:
        raise_the_systems(error)
        return None
    if head != prefix:
        return None
    return _after_padding(reader, position - len(inflater.unused), MAGIC[compression])


def _after_padding(reader: RangeReader, position: int, magic: bytes) -> int | None:
    """Where the next member begins, or the file ends: zeros may stand before it."""
    while position < reader.end:
        block = reader.peek(position, RAW_BYTES)
        stripped = block.lstrip(b"\0")
        position += len(block) - len(stripped)
        if stripped:
            return position if reader.peek(position, len(magic)) == magic else None
        if not block:
            return None
    return position


def _inflated(inflater: Inflater, data: bytes) -> Iterator[bytes]:
    """What all of ``data`` becomes, a chunk at a time."""
    while True:
        yield inflater.decompress(data, CHUNK_BYTES)
        data = inflater.pending
        if inflater.eof or (not data and inflater.hungry):
            return


class _Data:
    """What a member becomes where it has the bytes of a place in the file: asked of places from first to last."""

    def __init__(self, reader: RangeReader, start: int, compression: str) -> None:
        self._reader, self._fed = reader, start
        self._inflater = reader.inflater(compression)
        self._behind = STORED_BYTES[compression]  # a block may have to be read whole before it becomes anything
        self._made: deque[tuple[int, bytes]] = deque()  # up to where was fed, and what it became
        self._ended = False

    def has(self, position: int) -> bool:
        """Whether the bytes that stand at a place are data of the member as they are."""
        end = position + HEADER_BYTES + self._behind
        while not self._ended and self._fed < end:
            self._feed(self._reader.peek(self._fed, min(FED_BYTES, end - self._fed)))
        while self._made and self._made[0][0] <= position:
            self._made.popleft()
        return self._reader.peek(position, HEADER_BYTES) in b"".join(data for _, data in self._made)

    def _feed(self, data: bytes) -> None:
        self._fed += len(data)
        try:
            for out in _inflated(self._inflater, data):
                self._made.append((self._fed, out[:KEPT_BYTES]))
            self._ended = self._inflater.eof or not data
        except decompression_errors():
            self._ended = True
