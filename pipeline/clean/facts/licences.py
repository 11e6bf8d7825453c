"""The licence of a page's text: what the page states, never that of a picture, a song, a theme or a comment on it.

From the most to the least explicit: JSON-LD of the main entity, a tag with ``rel`` or ``itemprop``, meta tags, the
``Link`` header, a bare link or words that say what the text is licensed under.
"""

import re
from collections.abc import Iterator
from itertools import islice
from urllib.parse import urljoin

from pipeline.clean.facts.surroundings import Page
from pipeline.clean.facts.tags import as_text, attributes, is_hidden, is_within, tag_around
from pipeline.kernels.html_scan import LICENCE, PROPERTY
from pipeline.kernels.page_words import places, words

__all__ = ["Page", "in_words", "licence_of", "spdx"]

_REL = frozenset({"license", "licence", "cc:license", "dct:license", "dcterms:license", "schema:license"})
_CC_LINK = re.compile(
    rb"(?:https?:)?//(?:(?:www|i)\.)?creativecommons\.org/(?:licenses|publicdomain|l|p)/[a-zA-Z0-9./+-]+", re.IGNORECASE
)
_CC_HOST = words(any_case=[b"creativecommons.org/"])
_CC_BEFORE = re.compile(rb"(?:https?:)?//(?:(?:www|i)\.)?\Z", re.IGNORECASE)
_CC_BEFORE_BYTES = len(b"https://www.")
_CC_URL = re.compile(
    r"(?:https?:)?//(?:(?:www|i)\.)?creativecommons\.org/(licenses|publicdomain|l|p)/([a-z+-]+)(?:/(\d\.\d))?"
    r"(?:/([a-z]{2})(?![a-z0-9]))?",
    re.IGNORECASE,
)
_CC_SHORT = re.compile(
    r"\bCC[ -]?(?:(0)(?: ?1\.0)?|(BY(?:[ -](?:NC|SA|ND)){0,3})(?:[ -]?(\d\.\d))?)(?![\w-])", re.IGNORECASE
)
_CC_LONG = re.compile(
    r"Creative Commons[ :]+"
    r"(Attribution(?:[ -–]+(?:Non-?Commercial|Share-? ?Alike|No-?Deriv(?:ative)?s?(?: Works)?)){0,3})"
    r"(?: \(?(?:BY[A-Z -]*)?\)?)?,? ?(\d\.\d)?",
    re.IGNORECASE,
)
_LETTERS = (("noncommercial", "NC"), ("sharealike", "SA"), ("noderiv", "ND"))
_META_NAMES = ("dcterms.license", "dc.rights.license", "dc.license", "license", "dcterms.rights", "dc.rights")
_LINK_HEADER = re.compile(r"<([^>]*)>\s*((?:;[^,;]*)*)")
_ABOUT_TEXT = re.compile(
    r"licen[sc]|lizen[zs]|licenza|licencia|licença|licentie|лиценз|лицензи|许可|授权|ライセンス|라이선스"
    r"|available under|copyright|©|except where|published under",
    re.IGNORECASE,
)
_ABOUT_ELSE = re.compile(
    r"photo|foto|image|picture|bild(?:er|rechte|quelle|nachweis)?\b|pic by|flickr|wikimedia|commons\.wiki|unsplash"
    r"|illustrat|icon|map data|karte|openstreetmap|music|musik|song|sound|audio|podcast|video|track|jingle"
    r"|theme|template|design by|font|script|software|source code|plugin|credit|crédit|quelle:|source:|via\b"
    r"|avatar|logo",
    re.IGNORECASE,
)
_OTHER_ENTITY = re.compile(
    rb"itemtype\s*=\s*[\"'][^\"'>]*(?:Image|Video|Audio|Music|Photograph|Software)", re.IGNORECASE
)
_BEFORE, _AFTER = 400, 160  # bytes around a bare link in which its words stand
_FOOTER = 4000  # bytes of a footer that are read
_PLACES = 40
_RDF = re.compile(rb"<license\s+rdf:resource\s*=\s*\"([^\"]{8,120})\"", re.IGNORECASE)
_BLOCK = re.compile(rb"</?(?:p|div|li|ul|td|tr|table|section|article|footer|header|h[1-6]|main|aside)\b", re.IGNORECASE)
_RESERVED = re.compile(r"(?:all|alle|tous) (?:rights|rechte|droits) (?:reserved|vorbehalten|réservés)", re.IGNORECASE)
_TAG = re.compile(rb"<[^>]*?(?:\balt\s*=\s*[\"']([^\"'>]*)[\"'][^>]*)?>|^[^<]*>|<[^>]*$")


def licence_of(
    page: Page,
    metas: dict[str, str],
    linked: dict[str, str],
    tags: dict[int, list[tuple[int, int]]],
    url: str | None,
    header: str | None,
) -> tuple[str | None, str | None]:
    """SPDX id or the page's own words, and where they stand.

    Args:
        page: The page.
        metas: Its meta tags.
        linked: What its JSON-LD says of the main entity.
        tags: Where the attributes of the tags begin that may name a licence, and where the tags end, by their kind.
        url: Its URL.
        header: Its ``Link`` header.
    """
    if "license" in linked:
        return spdx(linked["license"]), "json-ld"
    stated = [*_of_rel(page, tags.get(LICENCE, []), url), *_of_microdata(page, tags.get(PROPERTY, []), url)]
    if stated:
        return spdx(next((value for value in stated if _CC_URL.search(value)), stated[0])), "rel"
    for name in _META_NAMES:
        value = metas.get(name, "")
        if value and (_CC_URL.search(value) or in_words(value) or name.endswith("license")):
            return in_words(value) or spdx(value), "meta"
    for target, parameters in _LINK_HEADER.findall(header or ""):
        if re.search(r"\brel\s*=\s*\"?[^\";]*\blicense\b", parameters):
            return spdx(target), "header"
    return _bare(page)


def _of_rel(page: Page, tags: list[tuple[int, int]], url: str | None) -> Iterator[str]:
    for start, end in tags[:_PLACES]:
        said = attributes(page.body[start:end], page.encoding)
        if not _REL.isdisjoint(said.get("rel", "").lower().split()) and not page.is_apart(start):
            target = _target(said.get("href") or said.get("resource"), url)
            if target:
                yield target


def _of_microdata(page: Page, tags: list[tuple[int, int]], url: str | None) -> Iterator[str]:
    for start, end in tags:
        said = attributes(page.body[start:end], page.encoding)
        target = _target(said.get("href") or said.get("content") or said.get("resource"), url)
        if not target or page.is_apart(start):
            continue
        entity = page.body.rfind(b"itemtype", 0, page.body.find(b"licen", start, end))
        if entity < 0 or not _OTHER_ENTITY.match(page.body, entity):
            yield target


def _target(href: str | None, base: str | None) -> str | None:
    if not href or href.startswith(("#", "javascript:")):
        return None
    if href.startswith(("http://", "https://")):
        return href
    try:
        return urljoin(base or "", href)
    except ValueError:  # a malformed host
        return href


def _bare(page: Page) -> tuple[str | None, str | None]:
    """What a link, a badge or words beside them say, if all that speak of the text say the same."""
    hosts = [place for place, _ in places(page.body, _CC_HOST)]
    if not hosts:
        return _footer_words(page)
    links = list(islice(_cc_links(page.body, hosts), _PLACES))
    named = {spdx(link) for start, end, link in links if _speaks_of_the_text(page, start, end)}
    if len(named) == 1:
        return named.pop(), "link"
    rdf = {spdx(value.decode("ascii", "replace")) for value in _RDF.findall(page.body)} if not named else set()
    return (rdf.pop(), "rdf") if len(rdf) == 1 else (None, None)


def _cc_links(body: bytes, hosts: list[int]) -> Iterator[tuple[int, int, str]]:
    """Beginning, end and text of each link to a licence, by the places of their host."""
    last = 0
    for host in hosts:
        before = _CC_BEFORE.search(body, max(last, host - _CC_BEFORE_BYTES), host)
        link = _CC_LINK.match(body, before.start()) if before else None
        if link:
            last = link.end()
            yield link.start(), last, link.group().decode("ascii")


def _speaks_of_the_text(page: Page, start: int, end: int) -> bool:
    body = page.body
    tag = tag_around(body, start)
    name = body[tag[0] + 1 : tag[0] + 8].split(None, 1)[0].lower() if tag is not None else b""
    if tag is None or name not in (b"a", b"img", b"link"):
        return False
    ahead, behind = body[max(0, tag[0] - _BEFORE) : tag[0]], body[tag[1] : tag[1] + _AFTER]
    ahead = ahead[max((match.end() for match in _BLOCK.finditer(ahead)), default=0) :]
    block = _BLOCK.search(behind)
    around = _words(ahead, page.encoding) + " " + _words(behind[: block.start() if block else None], page.encoding)
    if _RESERVED.search(around) or _ABOUT_ELSE.search(around) or is_hidden(body, start) or page.is_apart(start):
        return False
    badge = name == b"img" and is_within(body, start, b"<footer", b"</footer")
    return badge or _ABOUT_TEXT.search(around) is not None


def _words(data: bytes, encoding: str) -> str:
    """The text of a piece of a page, without tags; an image stands for its ``alt``."""
    return as_text(_TAG.sub(lambda match: b" " + (match.group(1) or b"") + b" ", data), encoding)


def _footer_words(page: Page) -> tuple[str | None, str | None]:
    """A licence in the words of the page's footer."""
    at = page.footer
    if at < 0 or page.body.find(b"ommons", at) < 0:
        return None, None
    words_there = _words(page.body[at : at + _FOOTER], page.encoding)
    found = in_words(words_there)
    if found is None or _ABOUT_ELSE.search(words_there) or not _ABOUT_TEXT.search(words_there):
        return None, None
    return found, "words"


def in_words(text: str) -> str | None:
    """The SPDX id of a Creative Commons licence that a text names, by its short or its long name.

    Example:
        >>> in_words("CC BY 4.0"), in_words("a Creative Commons Attribution-ShareAlike 3.0 licence"), in_words("(c)")
        ('CC-BY-4.0', 'CC-BY-SA-3.0', None)
    """
    if match := _CC_URL.search(text):
        return spdx(match.group())
    if match := _CC_SHORT.search(text):
        zero, kind, version = match.groups()
        if zero:
            return "CC0-1.0"
        return f"CC-{kind.upper().replace(' ', '-')}" + (f"-{version}" if version else "")
    if match := _CC_LONG.search(text):
        plain = re.sub(r"[^a-z]", "", match.group(1).lower())
        kind = "-".join(["BY", *(letters for word, letters in _LETTERS if word in plain)])
        return f"CC-{kind}" + (f"-{match.group(2)}" if match.group(2) else "")
    return None


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
    if family.lower() in ("publicdomain", "p"):
        return {"zero": "CC0-1.0", "mark": "CC-PDM-1.0"}.get(kind.lower(), value[:200])
    name = f"CC-{kind.upper().strip('-')}" + (f"-{version}" if version else "")
    return name + (f"-{country.upper()}" if country and version and version < "4.0" else "")
