"""The day on which a page was published, as it states it itself, and where it does.

Places are asked from the most to the least reliable: JSON-LD, meta tags, microdata, ``<time>``, the URL, and last the
words of the page, where a day stands beside "published" or in an element named after a date.  The crawl's date is no
date of the page.
"""

import re
from collections.abc import Iterator
from datetime import date
from urllib.parse import urlsplit

from pipeline.clean.facts.tags import TAG_BYTES, as_text, attributes, is_hidden
from pipeline.kernels.html_scan import DATE, TIME
from pipeline.kernels.page_words import years

META_NAMES = (
    "article:published_time", "datepublished", "dc.date", "dc.date.issued", "dcterms.issued", "dcterms.created",
    "dcterms.date", "dc.date.created", "citation_publication_date", "citation_date", "pubdate", "publishdate",
    "publish-date", "publish_date", "og:published_time", "parsely-pub-date", "sailthru.date", "article.published",
    "article:published", "published-date", "publication_date", "publication-date", "datecreated", "date.created",
    "date_published", "displaydate", "originalpublicationdate", "article_date_original", "cxenseparse:recs:publishtime",
    "bt:pubdate", "rnews:datepublished", "og:article:published_time", "og:pubdate", "created", "issued", "release_date",
    "dc.created", "published_time_telegram", "analyticsattributes.articledate", "ptime", "pdate",
)  # fmt: skip
WEAK_META_NAMES = ("date", "timestamp")  # often the day on which the page was made up; asked behind the others
_ISO = re.compile(r"\d{4}(?:-\d{2}(?:-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?)?)?")
_DAY = re.compile(r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)")
_COMPACT = re.compile(r"(?<!\d)((?:19|20)\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?!\d)")
_YEAR_FIRST = re.compile(r"(?<![\d.])((?:19|20)\d\d)\s?[-/.年년]\s?(\d{1,2})\s?[-/.月월]\s?(\d{1,2})(?!\d)")
_DAY_FIRST = re.compile(r"(?<![\d.])(\d{1,2})\s?([./-])\s?(\d{1,2})\s?[./-]\s?((?:19|20)\d\d)(?!\d)")
_MONTH_NAMES = """january january januar janvier enero janeiro gennaio januari styczeń stycznia января ocak leden ledna
tammikuu ianuarie január jan janv ene gen sty янв | february februar février fevrier febrero fevereiro febbraio februari
luty lutego февраля şubat únor února feb fév févr fev lut фев | march märz maerz mars marzo março maart marzec marca
марта mart březen března mar mär mrt марта мар | april avril abril aprile kwiecień kwietnia апреля nisan duben dubna
apr avr abr kwi апр | may mai mayo maio maggio mei maj maja мая mayıs květen května mag май | june juni juin junio
junho giugno czerwiec czerwca июня haziran červen června jun giu cze июн | july juli juillet julio julho luglio
lipiec lipca июля temmuz červenec července jul juil lug lip июл | august août aout agosto augustus sierpień sierpnia
августа ağustos srpen srpna aug ago sie авг | september septembre septiembre setembro settembre wrzesień września
сентября eylül září sep sept set wrz сен сент | october oktober octobre octubre outubro ottobre październik
października октября ekim říjen října oct okt out ott paź окт | november novembre noviembre novembro listopad
listopada ноября kasım listopadu nov lis ноя нояб | december dezember décembre decembre diciembre dezembro dicembre
desember grudzień grudnia декабря aralık prosinec prosince dec dez déc dic des gru дек"""
_MONTHS = {name: number for number, names in enumerate(_MONTH_NAMES.split("|"), 1) for name in names.split()}
_MONTH = r"([^\W\d_]{3,12})"
_WORDS_DAY_FIRST = re.compile(
    rf"(?<!\d)(\d{{1,2}})(?:st|nd|rd|th|er|º|\.)?[\s-]+(?:de |d')?{_MONTH}\.?,?[\s-]+(?:de |del )?(\d{{4}})(?!\d)"
)
_WORDS_MONTH_FIRST = re.compile(rf"(?<![^\W\d_]){_MONTH}\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?,?\s+(\d{{4}})(?!\d)")
_URL_DAY = re.compile(
    r"[/_-]((?:19|20)\d\d)[/_-]?(0[1-9]|1[0-2]|[1-9](?=[/_-]))[/_-]?(0[1-9]|[12]\d|3[01]|[1-9](?!\d))(?=[/_.-]|$)"
)
_EARLIEST = 1990
_TIME_ENDS = ord("e")  # of the names time and abbr
Tags = dict[int, list[tuple[int, int]]]
_TIME_KINDS = re.compile(r"publish|posted|entry-date|post-date|dateline|created|pubdate|article", re.IGNORECASE)
_NOT_PUBLISHED = re.compile(
    r"updated|modif|comment|event|footer|copyright|expire|edited|revision|nderung|aktual|aktuell|zuletzt|mise . jour",
    re.IGNORECASE,
)
_DIGIT = re.compile(r"\d")
_FEWEST_DIGITS = 5  # of a day: those of the year, and one of the month or the day
# attributes of elements that are named after a date
_NAMED = re.compile(
    rb"(?:class|id|itemprop)\s*=\s*[\"']?[^\"'>]{0,60}?"
    rb"(?:date|publish|posted|pubtime|time|byline|meta|created|fecha|datum|info)",
    re.IGNORECASE,
)
_BLOCK = re.compile(rb"<(?:div|p|section|article|ul|ol|table|script|style|h\d)\b", re.IGNORECASE)
_NODE_BYTES, _NAME_BYTES = 60, 300  # of a text beside its year; before a text, in which its elements are named
_MOST_LETTERS = 24  # of a text that is hardly more than a day
MOST_TIMES = 2  # days of times that are not called published: more are a list's
PLACES = 4000  # years in a page that are looked at
MOST_NAMED, MOST_ALONE = 20, 1  # different days


def day_of(text: str, month_first: bool = False) -> str | None:
    """A date as pages write it, in ISO 8601; None where there is none, or no such day.

    Example:
        >>> [day_of(text) for text in ("Thu, 04 Mar 2021 08:00:00 GMT", "04.03.2021", "March 4th, 2021", "31.02.2021")]
        ['2021-03-04', '2021-03-04', '2021-03-04', None]
    """
    text = text.strip()
    iso = _ISO.match(text)
    if iso and len(iso.group()) >= 10 and _is_day(*iso.group()[:10].split("-")):
        return iso.group()
    for year, month, day in _spelled(text, month_first):
        if _is_day(year, month, day):
            return f"{int(year):04}-{int(month):02}-{int(day):02}"
    return None


def _spelled(text: str, month_first: bool) -> Iterator[tuple[str, str, str]]:
    """Year, month and day of what looks like a date, the likelier forms first."""
    for match in (_DAY.search(text), _YEAR_FIRST.search(text), _COMPACT.search(text)):
        if match:
            yield match.group(1), match.group(2), match.group(3)
    if match := _WORDS_DAY_FIRST.search(text):
        yield match.group(3), str(_MONTHS.get(match.group(2).lower(), 0)), match.group(1)
    if match := _WORDS_MONTH_FIRST.search(text):
        yield match.group(3), str(_MONTHS.get(match.group(1).lower(), 0)), match.group(2)
    if match := _DAY_FIRST.search(text):
        one, mark, other, year = match.groups()
        first, second = (other, one) if month_first and mark == "/" and int(one) <= 12 else (one, other)
        yield (year, second, first) if int(second) <= 12 else (year, first, second)


def _is_day(year: str, month: str, day: str) -> bool:
    try:
        return _EARLIEST <= date(int(year), int(month), int(day)).year <= date.today().year + 1
    except ValueError:
        return False


def page_date(
    body: bytes,
    encoding: str,
    metas: dict[str, str],
    linked: dict[str, str],
    url: str | None,
    language: str | None,
    tags: Tags,
) -> tuple[str | None, str | None]:
    """The day of publication and its place: json-ld, meta, microdata, time, url or text.

    Args:
        body: The page in an encoding that contains ASCII.
        encoding: That encoding.
        metas: Its meta tags, by name in lower case.
        linked: What its JSON-LD says.
        url: Where it was.
        language: As it declares it: in American English the month comes first.
        tags: Where the attributes of the tags begin that may hold a day, and where the tags end, by their kind.
    """
    month_first = (language or "").lower() in ("en", "en-us", "en_us")
    found = _stated(body, encoding, metas, linked, url, month_first, tags)
    by_url = day_in_url(url)
    if found is None:
        return _in_words(body, encoding, month_first)
    if by_url and _is_utc(found[0]) and _days_apart(found[0], by_url) == 1:
        return by_url, "url"  # the site's own day, where the moment is that of Greenwich
    return found


def _stated(
    body: bytes,
    encoding: str,
    metas: dict[str, str],
    linked: dict[str, str],
    url: str | None,
    month_first: bool,
    tags: Tags,
) -> tuple[str, str] | None:
    places: list[tuple[str, str | None]] = [("json-ld", linked.get("datePublished"))]
    places += [("meta", metas.get(name)) for name in META_NAMES]
    for place, value in places:
        day = day_of(value, month_first) if value else None
        if day:
            return day, place
    weak = [("meta", metas.get(name)) for name in WEAK_META_NAMES]
    later = (*_microdata(body, encoding, tags), *_times(body, encoding, tags), ("json-ld", linked.get("dateCreated")))
    for place, value in (*later, ("url", day_in_url(url)), *weak):
        day = day_of(value, month_first) if value else None
        if day:
            return day, place
    for place, value in [*places, *weak]:  # a year or a month, where there is no day
        coarse = _ISO.match(value.strip().replace("/", "-")) if value else None
        if coarse and _EARLIEST <= int(coarse.group()[:4]) <= date.today().year + 1:
            return coarse.group(), place
    return None


def _is_utc(moment: str) -> bool:
    return moment.endswith(("Z", "+00:00", "+0000"))


def _days_apart(one: str, other: str) -> int:
    return abs((date.fromisoformat(one[:10]) - date.fromisoformat(other[:10])).days)


def day_in_url(url: str | None) -> str | None:
    """The day in a URL's path.

    Example:
        >>> day_in_url("https://herald.test/2021/03/04/survey.html"), day_in_url("https://herald.test/a-2021-3")
        ('2021-03-04', None)
    """
    match = _URL_DAY.search(urlsplit(url).path if url else "")
    if match is None or not _is_day(*match.groups()):
        return None
    year, month, day = match.groups()
    return f"{year}-{int(month):02}-{int(day):02}"


def _microdata(body: bytes, encoding: str, tags: Tags) -> Iterator[tuple[str, str]]:
    for start, end in tags.get(DATE, ()):
        said = attributes(body[start:end], encoding)
        if "datePublished" in said.get("itemprop", "").split() or said.get("property", "").endswith("datePublished"):
            yield "microdata", said.get("content") or said.get("datetime") or _text_after(body, end, encoding)


def _times(body: bytes, encoding: str, tags: Tags) -> list[tuple[str, str]]:
    """Those that ``<time>`` and hentry's ``<abbr>`` state: first what is called published, then the first."""
    called: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    found = [(body[start - 1] | 0x20 != _TIME_ENDS, start, end) for start, end in tags.get(TIME, ())]
    for is_abbr, start, end in sorted(found):
        tag = body[start:end] if end - start <= TAG_BYTES else b""
        said = attributes(tag, encoding)
        named = " ".join((said.get("class", ""), said.get("itemprop", ""), "pubdate" * (b"pubdate" in tag)))
        value = said.get("datetime") or said.get("title") or _text_after(body, end, encoding)
        is_called = _TIME_KINDS.search(named)
        if value and (is_called or not is_abbr) and not _NOT_PUBLISHED.search(named):
            (called if is_called else others).append(("time", value))
    return [*called, *(others if len({value[:10] for _, value in others}) <= MOST_TIMES else [])]


def _text_after(body: bytes, start: int, encoding: str) -> str:
    end = body.find(b"<", start, start + 200)
    return as_text(body[start : end if end >= 0 else start + 200], encoding)


def _in_words(body: bytes, encoding: str, month_first: bool) -> tuple[str | None, str | None]:
    """A day in an element that is named after a date, or in a text that holds hardly more than a day.

    The first one, unless many days stand so: then it is a page of listings, and none of them is its own.
    """
    named: dict[str, None] = {}
    alone: dict[str, None] = {}
    for first, year, last in years(body, _NODE_BYTES, PLACES):
        text = body[first:last]
        words = as_text(text, encoding)
        if len(_DIGIT.findall(words)) < _FEWEST_DIGITS or (day := day_of(words, month_first)) is None:
            continue
        before = _tags_before(body, first)
        if _NOT_PUBLISHED.search((before[-80:] + text).decode("latin-1")):
            continue
        is_named = _NAMED.search(before) is not None
        if (is_named or sum(map(str.isalpha, words)) <= _MOST_LETTERS) and not is_hidden(body, year):
            (named if is_named else alone)[day[:10]] = None
    for days, most in ((named, MOST_NAMED), (alone, MOST_ALONE)):
        if days:
            return (next(iter(days)), "text") if len(days) <= most else (None, None)
    return None, None


def _tags_before(body: bytes, start: int) -> bytes:
    """The tags before a text, as far as they are of its block."""
    before = body[max(0, start - 1 - _NAME_BYTES) : start]
    blocks = [match.start() for match in _BLOCK.finditer(before)]
    return before[blocks[-1] if blocks else 0 :]
