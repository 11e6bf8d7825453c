"""A byte range of a file, read in order and digested on the way."""

import os
from pathlib import Path

from pipeline.base.closable import Closable
from pipeline.base.digests import hasher
from pipeline.readers.raw import compression as packing
from pipeline.readers.raw.compression import Inflater

RAW_BYTES = 1 << 18  # read from the file at a time


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
