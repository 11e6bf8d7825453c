"""Decompressed chunks -> lines with their offsets, in bounded memory whatever the length of a line."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.readers.records import HEAD_BYTES, Damaged, too_large
from pipeline.readers.streams import Gap


@dataclass(slots=True)
class Line:
    """One line without its newline; ``after_gap`` marks the first one after a damaged region: it may be a half."""

    offset: int
    data: bytes
    after_gap: bool = False


def lines(chunks: Iterator[bytes | Gap], path: str, max_bytes: int, start: int = 0) -> Iterator[Line | Damaged]:
    """Splits at line feeds.

    A line above ``max_bytes`` is one ``Damaged`` item (``record_too_large``) and is never held.  A gap swallows the
    half line before it: both together are one damaged record.

    Args:
        chunks: From ``streams.chunks``.
        path: Of the file, for the items.
        max_bytes: Of the longest line that is yielded.
        start: Offset of the first chunk.
    """
    splitter = _Splitter(path, max_bytes, start)
    for chunk in chunks:
        if isinstance(chunk, Gap):
            yield splitter.gap(chunk)
        else:
            yield from splitter.feed(chunk)
    yield from splitter.end()


class _Splitter:
    """The unfinished line between two chunks."""

    def __init__(self, path: str, max_bytes: int, start: int) -> None:
        self.path, self.max_bytes = path, max_bytes
        self.offset = start  # of the unfinished line
        self.pieces: list[bytes] = []
        self.length = 0
        self.head = b""  # of a line that is too long to hold
        self.after_gap = False

    def feed(self, chunk: bytes) -> Iterator[Line | Damaged]:
        """The lines that ``chunk`` completes."""
        first, newline, rest = chunk.partition(b"\n")
        self._extend(first)
        if not newline:
            return
        yield self._take(1)
        whole = rest.split(b"\n")
        unfinished = whole.pop()
        offset, limit = self.offset, self.max_bytes
        for data in whole:
            if len(data) > limit:
                yield self._too_large(offset, len(data), data)
            else:
                yield Line(offset, data)
            offset += len(data) + 1
        self.offset = offset
        self._extend(unfinished)

    def end(self) -> Iterator[Line | Damaged]:
        """The last line, where no newline ends it."""
        if self.length:
            yield self._take(0)

    def gap(self, gap: Gap) -> Damaged:
        """One item for the gap and the half line before it."""
        item = gap.damaged(self.path)
        item.given = self.length
        self.offset += self.length
        self._clear()
        self.after_gap = True
        return item

    def _extend(self, data: bytes) -> None:
        self.length += len(data)
        if self.length > self.max_bytes:
            self.head = self.head or b"".join([*self.pieces, data[:HEAD_BYTES]])[:HEAD_BYTES]
            self.pieces = []
        elif data:
            self.pieces.append(data)

    def _take(self, newline_bytes: int) -> Line | Damaged:
        taken: Line | Damaged
        if self.length > self.max_bytes:
            taken = self._too_large(self.offset, self.length, self.head)
        else:
            taken = Line(self.offset, b"".join(self.pieces), self.after_gap)
        self.offset += self.length + newline_bytes
        self._clear()
        return taken

    def _clear(self) -> None:
        self.pieces, self.length, self.head, self.after_gap = [], 0, b"", False

    def _too_large(self, offset: int, length: int, head: bytes) -> Damaged:
        return too_large(self.path, offset, length, f"a line of {length:,} bytes", self.max_bytes, head)
