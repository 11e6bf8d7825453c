"""What a licence asks of who passes on a work, or a model made of it, as far as its name says so.

This is a reading of names, no legal advice: a licence that is not known here is named as such, never guessed.
"""

import re
from dataclasses import dataclass

_CREATIVE_COMMONS = re.compile(r"cc-(by(?:-nc)?(?:-sa|-nd)?)(?:-(\d\.\d))?(?:-([a-z]{2,4}))?$")
_CREDIT = ("odc-by", "odbl", "gfdl", "ogl-", "dl-de-by", "etalab", "cdla-")  # how their names begin, as below
_NOTICE = (
    *("mit", "bsd", "isc", "apache-", "postgresql", "psf", "python-", "zlib", "artistic", "bsl-", "unicode-", "x11"),
    *("gpl-", "lgpl-", "agpl-", "mpl-", "epl-", "eupl-", "cddl-"),
)
_FREE = ("cc0", "public-domain", "public domain", "publicdomain", "pddl", "unlicense", "0bsd", "wtfpl", "cc-pdm")
_SPDX = re.compile(r"[A-Za-z0-9.+-]+$")
CREDIT = "credit: title, author, source, licence, changes"
NOTICE = "keep the copyright notice and the text of the licence"
NONE = "nothing"
UNKNOWN_TERMS = "not known to tokenmill: read its text"
NO_LICENCE = "no licence is known: ask who holds the rights"


@dataclass(frozen=True)
class Terms:
    """What a licence asks.

    ``listed`` says whether each of its works is to be named.
    """

    asks: str
    link: str
    listed: bool


def terms_of(licence: str | None) -> Terms:
    """The terms of a licence by its name: an SPDX id, an expression of two joined by AND or OR, or free words.

    Example:
        >>> terms_of("CC-BY-SA-4.0").link, terms_of("CC0-1.0").listed
        ('https://creativecommons.org/licenses/by-sa/4.0/', False)
        >>> terms_of("MIT AND CC-BY-4.0").listed, terms_of("house rules").asks == UNKNOWN_TERMS
        (True, True)
    """
    name = (licence or "").strip()
    if not name or name.lower() == "unknown":
        return Terms(NO_LICENCE, "", listed=False)
    parts = re.split(r"\s+(?:AND|OR)\s+", name.strip("()"), flags=re.IGNORECASE)
    if len(parts) > 1:
        found = [terms_of(part) for part in parts]
        asks = dict.fromkeys(part.asks for part in found if part.asks != NONE)
        links = " ".join(dict.fromkeys(part.link for part in found if part.link))
        return Terms("; ".join(asks) or NONE, links, any(part.listed for part in found))
    return _single(name)


def _single(name: str) -> Terms:
    low = re.sub(r"[\s_]+", "-", name.lower())
    spdx = f"https://spdx.org/licenses/{name}.html" if _SPDX.match(name) else ""
    if found := _CREATIVE_COMMONS.match(low):
        kind, version, country = found.groups()
        link = f"https://creativecommons.org/licenses/{kind}/{version or '4.0'}/{f'{country}/' if country else ''}"
        return Terms(CREDIT + _more(kind), link, listed=True)
    if low.startswith(_FREE):
        return Terms(NONE, spdx if "-" in low and low[-1].isdigit() else "", listed=False)
    if low.startswith(_CREDIT):
        return Terms(CREDIT, spdx, listed=True)
    if low.startswith(_NOTICE):
        return Terms(NOTICE, spdx, listed=True)
    return Terms(UNKNOWN_TERMS, "", listed=True)


def _more(kind: str) -> str:
    """What the letters after CC-BY add."""
    more = {"sa": "adaptations under the same licence", "nc": "no commercial use", "nd": "no adaptations passed on"}
    return "".join(f"; {words}" for letters, words in more.items() if letters in kind.split("-"))
