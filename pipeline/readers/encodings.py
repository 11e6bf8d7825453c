"""Text in UTF-16, UTF-32, or in an encoding that is declared or told from the bytes -> UTF-8."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from pipeline.readers.raw.charsets import (
    DETECTED_BYTES,
    DOUBLE_BYTE,
    MIN_WRONG,
    detected_encoding,
    has_switches,
    read_as,
)
from pipeline.readers.raw.whatwg import decoder_of, encoding_of
from pipeline.readers.streams import Gap


@dataclass
class AsUtf8:
    """The same text in UTF-8, where a byte-order mark, zero bytes or the recipe say that it is in another encoding.

    Args:
        data: The text.
        declared: Its encoding, as the recipe says.
        detect: Tell it from the first bytes, where nobody declares it.

    Attributes:
        encoding: What it was found to be in, once the first bytes are read; None where it passes as it is.
    """

    data: Iterator[bytes | Gap]
    declared: str | None = None
    detect: bool = False
    encoding: str | None = None

    def __iter__(self) -> Iterator[bytes | Gap]:
        first = next(self.data, b"")
        encoding = utf16_of(first) if isinstance(first, bytes) else None
        encoding = encoding or encoding_of(self.declared)
        if encoding is None and self.detect and isinstance(first, bytes):
            encoding = _detected(first[:DETECTED_BYTES])
        if encoding is None or encoding == "utf-8":
            yield from chain([first], self.data)
            return
        self.encoding = encoding
        decoder = decoder_of(encoding)
        for chunk in chain([first], self.data):
            yield chunk if isinstance(chunk, Gap) else decoder.decode(chunk).encode("utf-8", "replace")
        yield decoder.decode(b"", True).encode("utf-8", "replace")


def as_utf8(data: Iterator[bytes | Gap], declared: str | None = None, *, detect: bool = False) -> Iterator[bytes | Gap]:
    """The text of ``AsUtf8``, where nobody asks what it was in."""
    return iter(AsUtf8(data, declared, detect))


def _detected(head: bytes) -> str | None:
    """The encoding of text that is clearly not UTF-8; None where it is, or where single bytes of it are not."""
    if head.isascii():
        return detected_encoding(head) if has_switches(head) else None
    text = head.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    right = len(text) - len(text.encode("ascii", "ignore")) - wrong
    if wrong < MIN_WRONG:
        return None
    name = detected_encoding(head)
    return name if 4 * right <= wrong or (name in DOUBLE_BYTE and _is_in(head, name)) else None


def _is_in(head: bytes, encoding: str) -> bool:
    """Whether bytes that may end within a character are text in an encoding; some such text is UTF-8 by chance."""
    return read_as(head, encoding).replaced <= 1


def utf16_of(head: bytes) -> str | None:
    """UTF-16 or UTF-32 by its byte-order mark, or by zero bytes on every other place.

    Spaces, digits and line ends are in the text of every script, so that some zero bytes always show.
    """
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    sample = head[:4096]
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if len(sample) < 4 or max(even, odd) < max(1, len(sample) // 20) or not any(sample):
        return None
    if (utf32 := _utf32_of(sample)) is not None:
        return utf32
    if _is_utf8_with_stray_zeros(sample):
        return None
    if odd > 4 * even:
        return "utf-16le"
    return "utf-16be" if even > 4 * odd else None


def _utf32_of(sample: bytes) -> str | None:
    """UTF-32 without a mark: the top byte of a character is zero, the one below it nearly always."""
    for encoding, top, plane in (("utf-32-le", 3, 2), ("utf-32-be", 0, 1)):
        planes = sample[plane::4]
        if not any(sample[top::4]) and max(planes) <= 0x10 and 2 * planes.count(0) > len(planes):
            return encoding
    return None


def _is_utf8_with_stray_zeros(sample: bytes) -> bool:
    """Valid UTF-8 with few control characters.

    In UTF-16 every other byte of an alphabet is one (its block is below 0x2000), and ideographs are no valid UTF-8.
    """
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return False
    return 4 * sum(byte < 32 for byte in sample) < len(sample)
