"""A page's title, without the name of its site."""

import re

_SEPARATORS = re.compile(r"\s+[|\-–—:·•»«/\\]+\s+|\s*[|»•]\s*|\s+::\s+")
_META_NAMES = ("og:title", "twitter:title", "dc.title", "dcterms.title", "citation_title")
_SHORTEST = 3  # words that a title keeps


def page_title(title: str | None, metas: dict[str, str], headline: str | None, url: str | None) -> str | None:
    """The title of the page.

    Args:
        title: Of ``<title>``.
        metas: The page's meta tags, by name in lower case.
        headline: Of its JSON-LD.
        url: Where it was: its host is often the site's name.
    """
    stated = [headline, *(metas.get(name) for name in _META_NAMES)]
    stated = [value for value in stated if value]
    if not title and not stated:
        return None
    site = metas.get("og:site_name") or metas.get("application-name") or ""
    if title:
        for value in stated:
            if value and _plain(value) != _plain(title) and _plain(value) in _plain(title):
                return value  # what the page says of itself is the title without the site's name
    return without_site(title or str(stated[0]), site, url)


def without_site(title: str, site: str, url: str | None) -> str:
    """A title without the part that names the site, where one does.

    Example:
        >>> without_site("A survey | The Herald", "The Herald", None), without_site("Tea - a guide", "", None)
        ('A survey', 'Tea - a guide')
    """
    breaks = list(_SEPARATORS.finditer(title))
    if not breaks:
        return title
    names = {_letters(name) for name in (site, *_names_of(url)) if len(_letters(name)) > 2}
    for part, rest in (
        (title[breaks[-1].end() :], title[: breaks[-1].start()]),
        (title[: breaks[0].start()], title[breaks[0].end() :]),
    ):
        named = _letters(part)
        if rest.strip() and named and any(named == name or (len(named) > 4 and named in name) for name in names):
            return without_site(rest.strip(), site, url)
    last = breaks[-1].group().strip()
    if last in ("|", "»", "•") and len(title[: breaks[-1].start()].split()) >= _SHORTEST and len(breaks) == 1:
        return title[: breaks[-1].start()].strip()
    return title


def _names_of(url: str | None) -> list[str]:
    host = re.sub(r"^[a-z]+://", "", url or "").partition("/")[0].lower().removeprefix("www.")
    return [host, *host.split(".")[:-1]] if host else []


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower()).removeprefix("the")


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
