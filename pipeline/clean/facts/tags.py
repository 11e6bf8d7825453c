"""Attributes and texts of tags, read off a page's bytes; no search here is more than linear."""

import html
import re

_ATTRIBUTE = re.compile(rb"(?<![a-zA-Z_:.-])([a-zA-Z_:.-]++)\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s>\"']++))")
TAG_BYTES = 2000  # of a longer tag the rest is not looked at


def attributes(data: bytes, encoding: str) -> dict[str, str]:
    """The attributes of a tag, names in lower case; the first of two of a name."""
    found: dict[str, str] = {}
    for name, double, single, bare in _ATTRIBUTE.findall(data):
        found.setdefault(name.decode("ascii").lower(), as_text(double or single or bare, encoding))
    return found


def as_text(data: bytes, encoding: str) -> str:
    """Bytes of a page as text, on one line and without character references."""
    text = data.decode(encoding, "replace")
    return " ".join((html.unescape(text) if "&" in text else text).split())


def tag_around(body: bytes, at: int) -> tuple[int, int] | None:
    """First and last byte of the tag in which a place stands; None where it stands in text."""
    start = body.rfind(b"<", max(0, at - TAG_BYTES), at)
    if start < 0 or body.find(b">", start, at) >= 0:
        return None
    end = body.find(b">", at, at + TAG_BYTES)
    return (start, end + 1) if end >= 0 else None


def is_within(body: bytes, at: int, opening: bytes, closing: bytes) -> bool:
    """Whether the nearest of two marks before a place is the opening one: it stands in a comment, or a figure."""
    opened = body.rfind(opening, 0, at)
    return opened >= 0 and body.find(closing, opened, at) < 0


def is_hidden(body: bytes, at: int) -> bool:
    """Whether a place stands in a comment or in a script: what stands there is no part of the page."""
    return is_within(body, at, b"<!--", b"-->") or is_within(body, at, b"<script", b"</script")
