"""Text in UTF-16, UTF-32, or in an encoding that is declared or told from the bytes -> UTF-8."""

import codecs
from collections.abc import Iterator
from itertools import chain

from pipeline.readers.raw.charsets import detected_encoding
from pipeline.readers.streams import Gap

DETECTED_BYTES = 1 << 18  # of a file that the encoding is told from
TWO_BYTES = frozenset({"gb18030", "gbk", "big5", "shift_jis", "euc_jp", "euc_kr", "cp949"})  # some are UTF-8 by chance
MIN_WRONG = 4  # bytes that are no UTF-8: fewer are damage


def as_utf8(data: Iterator[bytes | Gap], declared: str | None = None, *, detect: bool = False) -> Iterator[bytes | Gap]:
    """The same text in UTF-8, where a byte-order mark, zero bytes or the recipe say that it is in another encoding.

    Args:
        data: The text.
        declared: Its encoding, as the recipe says.
        detect: Tell it from the first bytes, where nobody declares it.
    """
    first = next(data, b"")
    encoding = utf16_of(first) if isinstance(first, bytes) else None
    encoding = encoding or declared
    if encoding is None and detect and isinstance(first, bytes):
        encoding = _detected(first[:DETECTED_BYTES])
    if encoding is None or encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        yield from chain([first], data)
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for chunk in chain([first], data):
        yield chunk if isinstance(chunk, Gap) else decoder.decode(chunk).encode("utf-8", "replace")
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")


def _detected(head: bytes) -> str | None:
    """The encoding of text that is clearly not UTF-8; None where it is, or where single bytes of it are not."""
    if head.isascii():
        return None
    text = head.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    right = len(text) - len(text.encode("ascii", "ignore")) - wrong
    if wrong < MIN_WRONG:
        return None
    name = detected_encoding(head)
    return name if 4 * right <= wrong or (name in TWO_BYTES and _is_in(head, name)) else None


def _is_in(head: bytes, encoding: str) -> bool:
    """Whether bytes that may end within a character are text in an encoding."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    return True


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
        return "utf-16-le"
    return "utf-16-be" if even > 4 * odd else None


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
