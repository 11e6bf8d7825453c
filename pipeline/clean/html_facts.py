"""What a page says about itself: title, canonical URL, language, date, licence, robots and opt-out marks.

Read off the tags that the scan before parsing has noted (pipeline/kernels/html_scan.py), so that it costs a fiftieth of
a parse and does not depend on the extractor.
"""

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from pipeline.kernels.html_scan import HTML, JSON_LD, LICENCE, LINK, META, TITLE, Note
from pipeline.readers.jsonl import replace_surrogates
from pipeline.readers.records import Record

OPT_OUTS = ("noai", "noimageai", "tdm-reservation")
ROBOTS_NAMES = ("robots", "googlebot", "bingbot", "ai-robots")
DATE_NAMES = ("article:published_time", "datepublished", "date", "dc.date", "dc.date.issued", "dcterms.issued",
              "dcterms.created", "citation_publication_date", "pubdate", "og:published_time")  # fmt: skip

# every search is bounded, or goes on where the last one ended: no page makes it quadratic
_TELLING = {LINK: b"canonical", HTML: b"lang"}  # what these tags must contain to be worth taking apart
_ATTRIBUTE = re.compile(rb"(?<![a-zA-Z_:.-])([a-zA-Z_:.-]++)\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s>\"']++))")
_TITLE_BYTES = 4000  # of a longer one the rest is cut
_REL_LICENCE = {"license", "licence"}
_CC_LINK = re.compile(rb"(?:https?:)?//(?:www\.)?creativecommons\.org/(?:licenses|publicdomain)/[a-zA-Z0-9./+-]+")
_CC_URL = re.compile(
    r"(?:https?:)?//(?:www\.)?creativecommons\.org/(licenses|publicdomain)/([a-z+-]+)(?:/(\d\.\d))?(?:/([a-z]{2}))?",
    re.I,
)
_SCRIPT_END = re.compile(rb"</script", re.IGNORECASE)
_DATE = re.compile(r"\d{4}(?:-\d{2}(?:-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?)?)?")


@dataclass(slots=True)
class Facts:
    """What a page says about itself; None where it says nothing."""

    title: str | None = None
    canonical_url: str | None = None
    language: str | None = None
    date: str | None = None
    licence: str | None = None
    licence_evidence: str | None = None  # json-ld | rel | meta | link
    robots: str | None = None  # directives, sorted, joined by commas
    opt_out: str | None = None  # those of OPT_OUTS, joined by commas


def facts(body: bytes, encoding: str, record: Record, notes: list[Note]) -> Facts:
    """Reads the facts of a page.

    Args:
        body: The page in an encoding that contains ASCII.
        encoding: That encoding.
        record: Its URL and HTTP headers.
        notes: Of ``html_scan.scan``.
    """
    found = Facts()
    metas: dict[str, str] = {}
    robots = set(_robots_header(record.headers))
    linked: dict[str, str] = {}
    rel = None
    for kind, start, end in notes:
        if kind == TITLE:
            found.title = found.title or _title(body, end, encoding)
        elif kind == JSON_LD:
            _json_ld(body, end, encoding, linked)
        elif kind == LICENCE:
            rel = rel or _rel_licence(_attributes(body[start:end], encoding), record.url)
        elif (attributes := _told(body[start:end], kind, encoding)) is None:
            continue
        elif kind == META:
            _meta(attributes, metas, robots)
        elif kind == HTML:
            found.language = found.language or attributes.get("lang") or attributes.get("xml:lang")
        elif "canonical" in attributes.get("rel", "").lower().split():
            found.canonical_url = found.canonical_url or _absolute(attributes.get("href"), record.url)
    found.language = _language(found.language or metas.get("content-language") or _header(record, "content-language"))
    found.date = _date(metas, linked)
    found.licence, found.licence_evidence = _licence(body, metas, linked, rel)
    if metas.get("tdm-reservation") == "1" or _header(record, "tdm-reservation") == "1":
        robots.add("tdm-reservation")
    found.robots = ",".join(sorted(robots)) or None
    found.opt_out = ",".join(mark for mark in OPT_OUTS if mark in robots) or None
    return found


def _title(body: bytes, start: int, encoding: str) -> str | None:
    end = body.find(b"<", start, start + _TITLE_BYTES)
    return _text(body[start : end if end >= 0 else start + _TITLE_BYTES], encoding) or None


def _told(tag: bytes, kind: int, encoding: str) -> dict[str, str] | None:
    """Attributes of a tag; None of one that says nothing, as most: these are not taken apart."""
    lower = tag.lower()
    telling = _says_something(lower) if kind == META else _TELLING[kind] in lower
    return _attributes(tag, encoding) if telling else None


def _says_something(meta: bytes) -> bool:
    """Whether the name of a ``<meta>`` that is read (robots, dates, licence, language, tdm) may be in it."""
    return (
        b"bot" in meta
        or b"date" in meta
        or b"publi" in meta
        or b"licen" in meta
        or b"rights" in meta
        or b"content-lang" in meta
        or b"tdm" in meta
        or b"issued" in meta
        or b"created" in meta
    )


def _attributes(data: bytes, encoding: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, double, single, bare in _ATTRIBUTE.findall(data):
        found.setdefault(name.decode("ascii").lower(), _text(double or single or bare, encoding))
    return found


def _text(data: bytes, encoding: str) -> str:
    text = data.decode(encoding, "replace")
    return " ".join((html.unescape(text) if "&" in text else text).split())


def _meta(attributes: dict[str, str], metas: dict[str, str], robots: set[str]) -> None:
    name = (attributes.get("name") or attributes.get("property") or attributes.get("http-equiv") or "").lower()
    name = name or attributes.get("itemprop", "").lower()
    content = attributes.get("content", "")
    if name in ROBOTS_NAMES:
        robots.update(_directives(content))
    elif name and content:
        metas.setdefault(name, content)


def _directives(value: str) -> list[str]:
    return [word for part in value.lower().split(",") if (word := part.strip()) and len(word) <= 40]


def _robots_header(headers: dict[str, str] | None) -> Iterator[str]:
    """Directives of ``X-Robots-Tag``; one for a named robot counts for all."""
    for directive in _directives((headers or {}).get("x-robots-tag", "")):
        name, colon, rest = directive.partition(":")
        if colon and name.strip() not in ("max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"):
            directive = rest.strip()
        if directive:
            yield directive


def _header(record: Record, name: str) -> str | None:
    return (record.headers or {}).get(name)


def _absolute(href: str | None, base: str | None) -> str | None:
    if not href:
        return None
    if href.startswith(("http://", "https://")):
        return href
    try:
        joined = urljoin(base or "", href)
    except ValueError:  # a malformed host
        return None
    return joined if joined.startswith(("http://", "https://")) else None


def _language(value: str | None) -> str | None:
    first = (value or "").partition(",")[0].strip().replace("_", "-")
    return first if re.fullmatch(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*", first) else None


def _json_ld(body: bytes, start: int, encoding: str, found: dict[str, str]) -> None:
    """Adds ``license`` and ``datePublished`` of a page's JSON-LD, unless an earlier script has named them."""
    end = _SCRIPT_END.search(body, start)
    try:
        values = json.loads(body[start : end.start() if end else None].decode(encoding, "replace"))
    except (ValueError, RecursionError):
        return  # pages often hold broken JSON-LD; it says nothing then
    for node in _nodes(values):
        for name in ("license", "datePublished"):
            value = node.get(name)
            value = value.get("@id") or value.get("url") if isinstance(value, dict) else value
            if isinstance(value, str) and value.strip():
                found.setdefault(name, str(replace_surrogates(value.strip())))


def _nodes(value: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    if depth > 8:
        return
    if isinstance(value, dict):
        yield value
        for key in ("@graph", "mainEntity", "isPartOf"):
            yield from _nodes(value.get(key), depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _nodes(item, depth + 1)


def _date(metas: dict[str, str], linked: dict[str, str]) -> str | None:
    """The publication date that the page states, where it is ISO 8601."""
    for value in (linked.get("datePublished"), *(metas.get(name) for name in DATE_NAMES)):
        match = _DATE.match(value.strip().replace("/", "-")) if value else None
        if match and "1990" <= match.group()[:4] <= "2100":
            return match.group()
    return None


def _licence(
    body: bytes, metas: dict[str, str], linked: dict[str, str], rel: str | None
) -> tuple[str | None, str | None]:
    """The licence that the page states, and where: the most explicit place wins."""
    if "license" in linked:
        return spdx(linked["license"]), "json-ld"
    if rel is not None:
        return spdx(rel), "rel"
    for name in ("dcterms.license", "dc.rights.license", "dc.license", "license", "dcterms.rights", "dc.rights"):
        if name in metas and (_CC_URL.search(metas[name]) or name.endswith("license")):
            return spdx(metas[name]), "meta"
    if b"creativecommons.org/" in body:
        named = {spdx(link.decode("ascii")) for link in _CC_LINK.findall(body)}
        if len(named) == 1:  # several: of pictures, or a list of licences
            return named.pop(), "link"
    return None, None


def _rel_licence(attributes: dict[str, str], base: str | None) -> str | None:
    """Where a tag points that is marked as the page's licence."""
    href = attributes.get("href", "")
    marked = not _REL_LICENCE.isdisjoint(attributes.get("rel", "").lower().split())
    if not marked or not href or href.startswith(("#", "javascript:")):
        return None
    return _absolute(href, base) or href


def spdx(value: str) -> str:
    """SPDX id of a Creative Commons URL; any other statement as it is, at most 200 characters.

    Example:
        >>> spdx("http://creativecommons.org/licenses/by-sa/4.0/deed.en")
        'CC-BY-SA-4.0'
    """
    match = _CC_URL.search(value)
    if match is None:
        return value[:200]
    family, kind, version, country = match.groups()
    if family.lower() == "publicdomain":
        return {"zero": "CC0-1.0", "mark": "CC-PDM-1.0"}.get(kind.lower(), value[:200])
    name = f"CC-{kind.upper().strip('-')}" + (f"-{version}" if version else "")
    return name + (f"-{country.upper()}" if country and version and version < "4.0" else "")
