"""JSON-LD: what it says of the page's main entity, never of a picture, a song or a comment in it."""

import re
from collections.abc import Iterator
from typing import Any

from pipeline.base.errors import parse_json
from pipeline.readers.jsonl import replace_surrogates

_SCRIPT_END = re.compile(rb"</script", re.IGNORECASE)
_LINE_BREAKS = re.compile(r"[\x00-\x1f]+")
_TRAILING_COMMA = re.compile(r",\s*([}\]])")
_DATE_PUBLISHED = re.compile(r'"datePublished"\s*:\s*"([^"\n]{8,40})"')
NAMES = ("license", "datePublished", "dateCreated", "headline")
# entities that are a part of a page, and not what it is about
_PARTS = frozenset(
    ("ImageObject", "VideoObject", "AudioObject", "MediaObject", "MusicRecording", "MusicAlbum", "Photograph",
     "Comment", "Person", "Organization", "NewsMediaOrganization", "BreadcrumbList", "ListItem", "SearchAction",
     "Product", "Offer", "Review", "AggregateRating", "SoftwareApplication", "WebSite", "Corporation", "LocalBusiness")
)  # fmt: skip
DEPTH = 8


def read(body: bytes, start: int, encoding: str, found: dict[str, str]) -> None:
    """Adds what a script says, unless an earlier one has named it.

    Pages often hold JSON-LD that is broken: raw line ends in strings and a comma too many are forgiven; of what is no
    JSON even so, only a day of publication is taken.
    """
    end = _SCRIPT_END.search(body, start)
    text = body[start : end.start() if end else None].decode(encoding, "replace")
    try:
        values = _loads(text)
    except (ValueError, RecursionError):
        match = _DATE_PUBLISHED.search(text)
        if match:
            found.setdefault("datePublished", match.group(1))
        return
    for node in _nodes(values):
        for name in NAMES:
            value = _text_of(node.get(name))
            if value:
                found.setdefault(name, str(replace_surrogates(value)))


def _loads(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        text = _LINE_BREAKS.sub(" ", text).strip().removeprefix("<![CDATA[").removesuffix("]]>").strip().rstrip(";")
        return parse_json(_TRAILING_COMMA.sub(r"\1", text))


def _text_of(value: Any) -> str | None:
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        value = value.get("@id") or value.get("url")
    return value.strip() or None if isinstance(value, str) else None


def _nodes(value: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    if depth > DEPTH:
        return
    if isinstance(value, dict):
        types = value.get("@type")
        if _PARTS.isdisjoint(types if isinstance(types, list) else [types] if isinstance(types, str) else []):
            yield value
        for key in ("@graph", "mainEntity", "isPartOf"):
            yield from _nodes(value.get(key), depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _nodes(item, depth + 1)
