"""Bytes to text: byte-order mark, what the transport declares, what the page declares, UTF-8, then detection.

How each of these is read, and when a declaration is distrusted: pipeline/readers/raw/charsets.py.
"""

import codecs
import re
from collections.abc import Iterator

from pipeline.kernels.text_scan import control_bytes
from pipeline.readers.encodings import utf16_of
from pipeline.readers.raw.charsets import Decoded, declared_text, read_as, undeclared_text
from pipeline.readers.raw.kinds import SAMPLE_BYTES, why_no_text
from pipeline.readers.raw.prescan import declared_charset
from pipeline.readers.raw.whatwg import encoding_of

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with theirs
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16le"),
    (codecs.BOM_UTF16_BE, "utf-16be"),
)
META_BYTES = 4096  # where browsers look for a charset, with a margin
_XML_ENCODING = re.compile(rb"^\s*<\?xml[^>]{0,200}encoding\s*=\s*[\"']([a-zA-Z0-9_:.-]+)", re.IGNORECASE)
ZEROS_BYTES = 4096  # where UTF-16 without a mark shows


class NotText(ValueError):  # noqa: N818  the caller makes a quarantine row of it
    """Bytes that are no text in any encoding."""


def decode(body: bytes, declared: str | None = None, *, html: bool = False) -> Decoded:
    """Decodes a body.

    Args:
        body: The bytes.
        declared: Charset of the transport, if any.
        html: Look for what the page itself declares.

    Returns:
        The text without byte-order mark or lone surrogates, the encoding, and how many characters were broken.

    Raises:
        NotText: If the bytes are no text.
    """
    sample = body[:SAMPLE_BYTES]
    for mark, encoding in BOMS:
        if body.startswith(mark):
            return read_as(body[len(mark) :], encoding)
    if b"\0" in body[:ZEROS_BYTES] and (wide := utf16_of(body)) is not None:  # may be valid UTF-8, too
        return read_as(body, wide)
    if (reason := why_no_text(body, control_bytes(sample) / max(1, len(sample)))) is not None:
        raise NotText(reason)
    for label in _declarations(body, declared, html=html):
        if (found := declared_text(body, label)) is not None:
            return found
    if (found := undeclared_text(body, is_page=html)) is None:
        raise NotText("its bytes are text in no encoding")
    return found


def _declarations(body: bytes, declared: str | None, *, html: bool) -> Iterator[str | None]:
    """Encodings in the order of belief; the page is searched only where the transport's does not fit."""
    yield declared
    if html:
        yield _meta_charset(body)


def _is_label(name: str) -> bool:
    """Whether browsers know a label; one that a stray quote is a part of is none."""
    return '"' not in name and "'" not in name and encoding_of(name) is not None


def _meta_charset(body: bytes) -> str | None:
    head = body[:META_BYTES]
    lower = head.lower()
    if b"charset" not in lower and b"encoding" not in lower:
        return None
    if (declared := declared_charset(head, _is_label)) is not None:
        return declared
    found = _XML_ENCODING.search(head)
    name = found.group(1).decode("ascii") if found else None
    # a declaration that could be read as ASCII is not in UTF-16, whatever it says (HTML standard, 13.2.3.2)
    return "utf-8" if name and name.lower().startswith("utf-16") else name
