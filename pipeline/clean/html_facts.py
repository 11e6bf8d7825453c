"""What a page says about itself: title, canonical URL, language, date, licence, robots and opt-out marks.

Read off the tags that the scan before parsing has noted (pipeline/kernels/html_scan.py), and off a few more places that
a pass over the bytes finds (pipeline/clean/facts), so that it costs a fraction of a parse and does not depend on the
extractor.
"""

import re
from dataclasses import dataclass
from urllib.parse import urljoin

from pipeline.clean.facts import json_ld
from pipeline.clean.facts.dates import page_date
from pipeline.clean.facts.licences import Page, licence_of, spdx
from pipeline.clean.facts.opt_outs import Marks
from pipeline.clean.facts.tags import as_text, attributes
from pipeline.clean.facts.titles import page_title
from pipeline.kernels.html_scan import HTML, JSON_LD, LICENCE, LINK, MARK, META, TITLE, Scan
from pipeline.kernels.page_words import telling
from pipeline.readers.records import Record
from pipeline.recipe.opt_outs import AI_AGENTS

__all__ = ["Facts", "facts", "spdx"]

_META_PARTS = (
    *(b"bot", b"date", b"publi", b"licen", b"rights", b"content-lang", b"tdm", b"issued", b"created", b"content-usage"),
    *(b"content-signal", b"title", b"site_name", b"release", b"time", b"application-name"),
    *{agent.lower().encode() for agent in AI_AGENTS if "bot" not in agent.lower()},
)
# what these tags must contain to be worth taking apart
TELLING = telling({META: _META_PARTS, LINK: (b"canonical",), HTML: (b"lang",)})
_TITLE_BYTES = 4000  # of a longer one the rest is cut


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


def facts(body: bytes, encoding: str, record: Record, seen: Scan) -> Facts:
    """Reads the facts of a page.

    Args:
        body: The page in an encoding that contains ASCII.
        encoding: That encoding.
        record: Its URL and HTTP headers.
        seen: What ``html_scan.scan`` saw of it.
    """
    found, marks = Facts(), Marks()
    metas: dict[str, str] = {}
    linked: dict[str, str] = {}
    tags: dict[int, list[tuple[int, int]]] = {}
    marks.of_headers(record.headers)
    for kind, start, end in seen.notes:
        if kind == TITLE:
            found.title = found.title or _title(body, end, encoding)
        elif kind == JSON_LD:
            json_ld.read(body, end, encoding, linked)
        elif kind >= LICENCE and kind != MARK:
            tags.setdefault(kind, []).append((start, end))
        else:
            _head_tag(kind, attributes(body[start:end], encoding), found, metas, marks, record.url)
    found.language = _language(found.language or metas.get("content-language") or _header(record, "content-language"))
    found.title = page_title(found.title, metas, linked.get("headline"), record.url)
    found.date, found.date_from = page_date(body, encoding, metas, linked, record.url, found.language, tags)
    found.licence, found.licence_evidence = licence_of(
        Page(body, encoding, seen), metas, linked, tags, record.url, _header(record, "link")
    )
    found.robots, found.opt_out = marks.robots, marks.opt_out
    return found


def _title(body: bytes, start: int, encoding: str) -> str | None:
    end = body.find(b"<", start, start + _TITLE_BYTES)
    return as_text(body[start : end if end >= 0 else start + _TITLE_BYTES], encoding) or None


def _head_tag(
    kind: int, said: dict[str, str], found: Facts, metas: dict[str, str], marks: Marks, url: str | None
) -> None:
    """Adds what a tag of the head, or a meta tag of the body with a mark, says by its attributes."""
    if kind == META:
        _meta(said, metas, marks)
    elif kind == MARK:  # where some writers put it; nothing else is believed there
        _meta(said, {}, marks)
    elif kind == HTML:
        found.language = found.language or said.get("lang") or said.get("xml:lang")
    elif "canonical" in said.get("rel", "").lower().split():
        found.canonical_url = found.canonical_url or _absolute(said.get("href"), url)


def _meta(said: dict[str, str], metas: dict[str, str], marks: Marks) -> None:
    name = (said.get("name") or said.get("property") or said.get("http-equiv") or said.get("itemprop") or "").lower()
    content = said.get("content", "")
    if name and content and not marks.of_meta(name.strip(), content):
        metas.setdefault(name.strip(), content)


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
