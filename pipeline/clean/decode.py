"""Bytes to text: byte-order mark, what the transport declares, what the page declares, UTF-8, then detection."""

import codecs
import re
from collections.abc import Iterator

from pipeline.readers.encodings import utf16_of
from pipeline.readers.raw.charsets import detected_encoding, known_encoding
from pipeline.readers.raw.kinds import why_no_text
from pipeline.readers.raw.prescan import declared_charset

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with theirs
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
META_BYTES = 4096  # where browsers look for a charset, with a margin
_XML_ENCODING = re.compile(rb"^\s*<\?xml[^>]{0,200}encoding\s*=\s*[\"']([a-zA-Z0-9_:.-]+)", re.IGNORECASE)
ZEROS_BYTES = 4096  # where UTF-16 without a mark shows


class NotText(ValueError):  # noqa: N818  the caller makes a quarantine row of it
    """Bytes that are no text in any encoding."""


def decode(body: bytes, declared: str | None = None, *, html: bool = False) -> tuple[str, str]:
    """Decodes a body.

    A declared encoding that does not fit the bytes is not believed: detection decides then.

    Args:
        body: The bytes.
        declared: Charset of the transport, if any.
        html: Look for what the page itself declares.

    Returns:
        The text without byte-order mark or lone surrogates, and the encoding.

    Raises:
        NotText: If the bytes are no text.
    """
    for mark, encoding in BOMS:
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, "replace"), encoding
    if b"\0" in body[:ZEROS_BYTES] and (wide := utf16_of(body)) is not None:  # may be valid UTF-8, too
        return body.decode(wide, "replace"), wide
    if (reason := why_no_text(body)) is not None:
        raise NotText(reason)
    for name in _candidates(body, declared, html=html):
        encoding_name = known_encoding(name)
        if encoding_name is None or (encoding_name != "utf-8" and _is_utf8_with_accents(body)):
            continue
        try:
            return body.decode(encoding_name), encoding_name
        except (UnicodeDecodeError, ValueError):
            continue
    return _detect(body)


def _candidates(body: bytes, declared: str | None, *, html: bool) -> Iterator[str | None]:
    """Encodings in the order of belief; the page is searched only where the transport's does not fit."""
    yield declared
    if html:
        yield _meta_charset(body)
    yield "utf-8"


def _is_utf8_with_accents(body: bytes) -> bool:
    """Non-ASCII bytes that are valid UTF-8: no other encoding makes that by chance, whatever is declared."""
    if body.isascii():
        return False
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _meta_charset(body: bytes) -> str | None:
    head = body[:META_BYTES]
    lower = head.lower()
    if b"charset" not in lower and b"encoding" not in lower:
        return None
    if (declared := declared_charset(head, lambda name: known_encoding(name) is not None)) is not None:
        return declared
    found = _XML_ENCODING.search(head)
    name = found.group(1).decode("ascii") if found else None
    # a declaration that could be read as ASCII is not in UTF-16, whatever it says (HTML standard, 13.2.3.2)
    return "utf-8" if name and name.lower().startswith("utf-16") else name


def _detect(body: bytes) -> tuple[str, str]:
    """Detection for bytes that are not UTF-8 and fit no declaration."""
    cut = _utf8_cut_at_the_end(body)
    if cut is not None:
        return cut, "utf-8"
    name = detected_encoding(body)
    return body.decode(name, "replace"), name


def _utf8_cut_at_the_end(body: bytes) -> str | None:
    """UTF-8 whose last character was cut off by a byte limit."""
    for cut in (1, 2, 3):
        try:
            return body[:-cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
    return None
