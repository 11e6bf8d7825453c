"""The licence of a page's text: what the page states, never that of a picture, a song, a theme or a comment on it.

From the most to the least explicit: JSON-LD of the main entity, a tag with ``rel`` or ``itemprop``, meta tags, the
``Link`` header, a bare link or words that say what the text is licensed under.
"""

import re
from collections.abc import Iterator
from urllib.parse import urljoin

from pipeline.clean.facts.tags import as_text, attributes, is_hidden, is_within, tag_around

_REL = frozenset({"license", "licence", "cc:license", "dct:license", "dcterms:license", "schema:license"})
_CC_LINK = re.compile(
    rb"(?:https?:)?//(?:(?:www|i)\.)?creativecommons\.org/(?:licenses|publicdomain|l|p)/[a-zA-Z0-9./+-]+", re.IGNORECASE
)
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
# elements in which a link is not the page's own word: opening, closing
_APART = (
    (b"<figure", b"</figure"), (b"<figcaption", b"</figcaption"), (b"<noscript", b"</noscript"),
    (b"<blockquote", b"</blockquote"), (b"<table class=\"infobox", b"</table"),
)  # fmt: skip
_COMMENTS = re.compile(
    rb"(?:id|class)\s*=\s*[\"'](?:[^\"'>]*[ -])?(?:comments?|disqus|respond|replies)[\"' -]", re.IGNORECASE
)
_BELOW_COMMENTS = re.compile(
    rb"<(?:footer|aside)|(?:id|class)\s*=\s*[\"'](?:[^\"'>]*[ _-])?"
    rb"(?:widget|sidebar|footer|colophon|secondary|copyright)",
    re.IGNORECASE,
)
_RDF = re.compile(rb"<license\s+rdf:resource\s*=\s*\"([^\"]{8,120})\"", re.IGNORECASE)
_ITEMPROP = re.compile(rb"(?:itemprop|property)\s*=\s*[\"']?(?:schema:|cc:|dct(?:erms)?:)?licen[sc]e\b")


_BLOCK = re.compile(rb"</?(?:p|div|li|ul|td|tr|table|section|article|footer|header|h[1-6]|main|aside)\b", re.IGNORECASE)
_RESERVED = re.compile(r"(?:all|alle|tous) (?:rights|rechte|droits) (?:reserved|vorbehalten|réservés)", re.IGNORECASE)
_TAG = re.compile(rb"<[^>]*?(?:\balt\s*=\s*[\"']([^\"'>]*)[\"'][^>]*)?>|^[^<]*>|<[^>]*$")


def licence_of(
    body: bytes,
    encoding: str,
    metas: dict[str, str],
    linked: dict[str, str],
    tags: list[tuple[int, int]],
    url: str | None,
    header: str | None,
) -> tuple[str | None, str | None]:
    """SPDX id or the page's own words, and where they stand.

    Args:
        body: The page.
        encoding: Its encoding, which contains ASCII.
        metas: Its meta tags.
        linked: What its JSON-LD says of the main entity.
        tags: Where the attributes of the tags stand whose ``rel`` may name a licence, and where these tags end.
        url: Its URL.
        header: Its ``Link`` header.
    """
    if "license" in linked:
        return spdx(linked["license"]), "json-ld"
    stated = [*_of_rel(body, encoding, tags, url), *_of_microdata(body, encoding, url)]
    if stated:
        return spdx(next((value for value in stated if _CC_URL.search(value)), stated[0])), "rel"
    for name in _META_NAMES:
        value = metas.get(name, "")
        if value and (_CC_URL.search(value) or in_words(value) or name.endswith("license")):
            return in_words(value) or spdx(value), "meta"
    for target, parameters in _LINK_HEADER.findall(header or ""):
        if re.search(r"\brel\s*=\s*\"?[^\";]*\blicense\b", parameters):
            return spdx(target), "header"
    return _bare(body, encoding)


def _of_rel(body: bytes, encoding: str, tags: list[tuple[int, int]], url: str | None) -> Iterator[str]:
    for start, end in tags[:_PLACES]:
        said = attributes(body[start:end], encoding)
        if not _REL.isdisjoint(said.get("rel", "").lower().split()) and not _is_apart(body, start):
            target = _target(said.get("href") or said.get("resource"), url)
            if target:
                yield target


def _of_microdata(body: bytes, encoding: str, url: str | None) -> Iterator[str]:
    if b"licen" not in body:
        return
    for number, match in enumerate(_ITEMPROP.finditer(body)):
        tag = tag_around(body, match.start())
        if number >= _PLACES or tag is None or _is_apart(body, match.start()) or is_hidden(body, match.start()):
            continue
        entity = body.rfind(b"itemtype", 0, match.start())
        if entity >= 0 and _OTHER_ENTITY.match(body, entity):
            continue
        said = attributes(body[tag[0] : tag[1]], encoding)
        target = _target(said.get("href") or said.get("content") or said.get("resource"), url)
        if target:
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


def _is_apart(body: bytes, at: int) -> bool:
    """Whether a place belongs to a picture, a quotation, or to what readers have written below the text."""
    if any(is_within(body, at, opening, closing) for opening, closing in _APART):
        return True
    comments = [match.end() for match in _COMMENTS.finditer(body, 0, at)]
    return bool(comments) and _BELOW_COMMENTS.search(body, comments[-1], at) is None


def _bare(body: bytes, encoding: str) -> tuple[str | None, str | None]:
    """What a link, a badge or words beside them say, if all that speak of the text say the same."""
    if b"creativecommons.org/" not in body.lower():
        return _footer_words(body, encoding)
    named: set[str] = set()
    others = 0
    for number, match in enumerate(_CC_LINK.finditer(body)):
        if number >= _PLACES:
            break
        if _speaks_of_the_text(body, encoding, match.start(), match.end()):
            named.add(spdx(match.group().decode("ascii")))
        else:
            others += 1
    if len(named) == 1:
        return named.pop(), "link"
    rdf = {spdx(value.decode("ascii", "replace")) for value in _RDF.findall(body)} if not named else set()
    return (rdf.pop(), "rdf") if len(rdf) == 1 else (None, None)


def _speaks_of_the_text(body: bytes, encoding: str, start: int, end: int) -> bool:
    tag = tag_around(body, start)
    if tag is None or is_hidden(body, start) or _is_apart(body, start):
        return False
    name = body[tag[0] + 1 : tag[0] + 8].split(None, 1)[0].lower()
    if name not in (b"a", b"img", b"link"):
        return False
    ahead, behind = body[max(0, tag[0] - _BEFORE) : tag[0]], body[tag[1] : tag[1] + _AFTER]
    ahead = ahead[max((match.end() for match in _BLOCK.finditer(ahead)), default=0) :]
    block = _BLOCK.search(behind)
    around = _words(ahead, encoding) + " " + _words(behind[: block.start() if block else None], encoding)
    if _RESERVED.search(around) or _ABOUT_ELSE.search(around):
        return False
    badge = name == b"img" and is_within(body, start, b"<footer", b"</footer")
    return badge or _ABOUT_TEXT.search(around) is not None


def _words(data: bytes, encoding: str) -> str:
    """The text of a piece of a page, without tags; an image stands for its ``alt``."""
    return as_text(_TAG.sub(lambda match: b" " + (match.group(1) or b"") + b" ", data), encoding)


def _footer_words(body: bytes, encoding: str) -> tuple[str | None, str | None]:
    """A licence in the words of the page's footer."""
    at = body.rfind(b"<footer")
    if at < 0 or b"ommons" not in body[at:]:
        return None, None
    words = _words(body[at : at + _FOOTER], encoding)
    found = in_words(words)
    if found is None or _ABOUT_ELSE.search(words) or not _ABOUT_TEXT.search(words):
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
