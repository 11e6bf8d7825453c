"""What a page says about itself: title, canonical URL, language, date, licence, robots and opt-out marks.

Read off the tags that the scan before parsing has noted (pipeline/kernels/html_scan.py), and off a few more places that
a search of the bytes finds (pipeline/clean/facts), so that it costs a fraction of a parse and does not depend on the
extractor.
"""

import re
from dataclasses import dataclass
from urllib.parse import urljoin

from pipeline.clean.facts import json_ld
from pipeline.clean.facts.dates import page_date
from pipeline.clean.facts.licences import licence_of, spdx
from pipeline.clean.facts.opt_outs import Marks
from pipeline.clean.facts.tags import as_text, attributes, is_hidden, tag_around
from pipeline.clean.facts.titles import page_title
from pipeline.kernels.html_scan import HTML, JSON_LD, LICENCE, LINK, META, TITLE, Note
from pipeline.readers.records import Record
from pipeline.recipe.opt_outs import AI_AGENTS

__all__ = ["Facts", "facts", "spdx"]

# what these tags must contain to be worth taking apart
_TELLING = {LINK: (b"canonical",), HTML: (b"lang",)}
_META_PARTS = (
    *(b"bot", b"date", b"publi", b"licen", b"rights", b"content-lang", b"tdm", b"issued", b"created", b"content-usage"),
    *(b"content-signal", b"title", b"site_name", b"release", b"time", b"application-name"),
    *{agent.lower().encode() for agent in AI_AGENTS if "bot" not in agent.lower()},
)
_TITLE_BYTES = 4000  # of a longer one the rest is cut
_MARKS = (b"noai", b"NOAI", b"noml", b"NOML", b"tdm-reservation", b"TDM-Reservation")
_PLACES = 20


@dataclass(slots=True)
class Facts:
    """What a page says about itself; None where it says nothing."""

    title: str | None = None
    canonical_url: str | None = None
    language: str | None = None
    date: str | None = None
    date_from: str | None = None  # json-ld | meta | microdata | time | url | text
    licence: str | None = None
    licence_evidence: str | None = None  # json-ld | rel | meta | header | link | rdf | words
    robots: str | None = None  # directives, sorted, joined by commas
    opt_out: str | None = None  # those of recipe.opt_outs, joined by commas


def facts(body: bytes, encoding: str, record: Record, notes: list[Note]) -> Facts:
    """Reads the facts of a page.

    Args:
        body: The page in an encoding that contains ASCII.
        encoding: That encoding.
        record: Its URL and HTTP headers.
        notes: Of ``html_scan.scan``.
    """
    found, marks = Facts(), Marks()
    metas: dict[str, str] = {}
    linked: dict[str, str] = {}
    licensed: list[tuple[int, int]] = []
    marks.of_headers(record.headers)
    for kind, start, end in notes:
        if kind == TITLE:
            found.title = found.title or _title(body, end, encoding)
        elif kind == JSON_LD:
            json_ld.read(body, end, encoding, linked)
        elif kind == LICENCE:
            licensed.append((start, end))
        elif (said := _told(body[start:end], kind, encoding)) is None:
            continue
        elif kind == META:
            _meta(said, metas, marks)
        elif kind == HTML:
            found.language = found.language or said.get("lang") or said.get("xml:lang")
        elif "canonical" in said.get("rel", "").lower().split():
            found.canonical_url = found.canonical_url or _absolute(said.get("href"), record.url)
    _marks_below_the_head(body, encoding, notes, marks)
    found.language = _language(found.language or metas.get("content-language") or _header(record, "content-language"))
    found.title = page_title(found.title, metas, linked.get("headline"), record.url)
    found.date, found.date_from = page_date(body, encoding, metas, linked, record.url, found.language)
    found.licence, found.licence_evidence = licence_of(
        body, encoding, metas, linked, licensed, record.url, _header(record, "link")
    )
    found.robots, found.opt_out = marks.robots, marks.opt_out
    return found


def _title(body: bytes, start: int, encoding: str) -> str | None:
    end = body.find(b"<", start, start + _TITLE_BYTES)
    return as_text(body[start : end if end >= 0 else start + _TITLE_BYTES], encoding) or None


def _told(tag: bytes, kind: int, encoding: str) -> dict[str, str] | None:
    """Attributes of a tag; None of one that says nothing, as most: these are not taken apart."""
    lower = tag.lower()
    return attributes(tag, encoding) if any(part in lower for part in _TELLING.get(kind, _META_PARTS)) else None


def _meta(said: dict[str, str], metas: dict[str, str], marks: Marks) -> None:
    name = (said.get("name") or said.get("property") or said.get("http-equiv") or said.get("itemprop") or "").lower()
    content = said.get("content", "")
    if name and content and not marks.of_meta(name.strip(), content):
        metas.setdefault(name.strip(), content)


def _marks_below_the_head(body: bytes, encoding: str, notes: list[Note], marks: Marks) -> None:
    """Adds the marks of meta tags that stand in the body, where some writers put them."""
    head = max((end for kind, _, end in notes if kind == META), default=0)
    for mark in _MARKS:
        at = body.find(mark, head)
        for _ in range(_PLACES):
            if at < 0:
                break
            tag = tag_around(body, at)
            if tag is not None and body[tag[0] + 1 : tag[0] + 5].lower() == b"meta" and not is_hidden(body, at):
                _meta(attributes(body[tag[0] : tag[1]], encoding), {}, marks)
            at = body.find(mark, at + 1)


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
