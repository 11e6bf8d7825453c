"""The compressions that are undone: how each begins, and one decompressor for all of them."""

import bz2
import lzma
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any, cast

HEAD_BYTES = 16  # what ``compression_of`` needs to see
MAX_DICTIONARY_BYTES = 64 << 20

MAGIC = {  # how a member begins, to search for
    "gzip": b"\x1f\x8b\x08",
    "zstd": b"\x28\xb5\x2f\xfd",
    "bz2": b"BZh",
    "xz": b"\xfd7zXZ\x00",
}
_BEGINNINGS = {  # how a file begins: longer where the magic could be text, and with zstd's skippable frames
    "gzip": re.compile(rb"\x1f\x8b\x08"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
    "bz2": re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
}
_DICTIONARY_FRAME = b"\x5d\x2a\x4d\x18"  # the skippable frame of IIPC's proposal, first in a .warc.zst
_RAW_DICTIONARY = b"\x37\xa4\x30\xec"


def compression_of(head: bytes) -> str | None:
    """Name of the compression that ``head`` begins with.

    Example:
        >>> compression_of(b"BZhang writes"), compression_of(b"BZh91AY&SY")
        (None, 'bz2')
    """
    return next((name for name, beginning in _BEGINNINGS.items() if beginning.match(head)), None)


class Inflater:
    """One decompressor for every compression: ``decompress(data, limit)``, ``eof``, and what was left over.

    Args:
        compression: Its name.
        dictionary: Of zstd frames that were made with one.
    """

    def __init__(self, compression: str, dictionary: bytes | None = None) -> None:
        self._state: Any = _ZstdState(dictionary) if compression == "zstd" else _DECOMPRESSORS[compression]()
        self._gzip = compression == "gzip"

    def decompress(self, data: bytes, limit: int) -> bytes:
        """Decompresses up to ``limit`` bytes; call with ``b""`` or ``pending`` input to get more."""
        return bytes(self._state.decompress(data, limit))

    @property
    def pending(self) -> bytes:
        """Input that was given but not used because of the limit; give it again."""
        return self._state.unconsumed_tail if self._gzip else b""

    @property
    def hungry(self) -> bool:
        """True when more input is needed for more output."""
        if self._gzip:
            return not self._state.unconsumed_tail
        return bool(getattr(self._state, "needs_input", True))

    @property
    def eof(self) -> bool:
        """True at the end of the member."""
        return bool(self._state.eof)

    @property
    def unused(self) -> bytes:
        """Input after the end of the member."""
        return bytes(self._state.unused_data)


class _ZstdState:
    """zstandard's decompressor object; its output per call is bounded by the input it is given (a block is 128 KiB)."""

    def __init__(self, dictionary: bytes | None) -> None:
        import zstandard

        given = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
        self._object = zstandard.ZstdDecompressor(dict_data=given, max_window_size=1 << 31).decompressobj()
        self._input = b""
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return bool(self._object.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._object.unused_data) + self._input

    def decompress(self, data: bytes, limit: int) -> bytes:
        self._input += data
        out: list[bytes] = []
        size = 0
        while self._input and size < limit and not self._object.eof:
            # 4 KiB of input is at most 1,000 blocks of one repeated byte: 128 MiB; a ratio check follows every call
            piece, self._input = self._input[:4096], self._input[4096:]
            out.append(self._object.decompress(piece))
            size += len(out[-1])
        self.needs_input = not self._input
        return b"".join(out)


def _gzip_state() -> Any:
    from isal import isal_zlib  # twice as fast as zlib

    return isal_zlib.decompressobj(wbits=31)


_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "gzip": _gzip_state,
    "bz2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(memlimit=512 << 20),
}


def decompression_errors() -> tuple[type[Exception], ...]:
    """What a decompressor raises on damaged data; ``zlib.error`` comes from ZIP members."""
    import zstandard
    from isal import isal_zlib

    isal_error = cast(type[Exception], isal_zlib.error)  # its stubs take the class for an instance
    return (isal_error, zlib.error, OSError, EOFError, lzma.LZMAError, zstandard.ZstdError, ValueError)


def dictionary_of(peek: Callable[[int, int], bytes]) -> bytes | None:
    """The dictionary that a zstd file holds in its first frame; None where it has none that can be read.

    Args:
        peek: Gives the file's bytes from a position on, at most so many.
    """
    head = peek(0, 8)
    if not head.startswith(_DICTIONARY_FRAME) or len(head) < 8:
        return None
    size = struct.unpack("<I", head[4:])[0]
    data = peek(8, min(size, MAX_DICTIONARY_BYTES))
    if data.startswith(_RAW_DICTIONARY):
        return data
    if not data.startswith(MAGIC["zstd"]):
        return None
    state = Inflater("zstd")
    try:
        found = state.decompress(data, MAX_DICTIONARY_BYTES)
    except decompression_errors():
        return None  # the frames that need it say so, each in its own quarantine row
    return found if state.eof else None
