"""What the scan notes is what a parser sees: the standard library's, on the sample's pages and on small traps."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.kernels import html_scan
from pipeline.kernels.page_words import telling
from pipeline.readers.ranges import RangeReader
from pipeline.readers.records import Record
from pipeline.readers.streams import Limits
from pipeline.readers.warc import read_warc

SAMPLE = Path(__file__).resolve().parents[3] / "data" / "sample"
KINDS = {"html": html_scan.HTML, "meta": html_scan.META, "link": html_scan.LINK, "title": html_scan.TITLE}


class Notes(HTMLParser):
    """The kinds that should be noted, in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[int] = []
        self.in_head = True

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if self.in_head and tag in KINDS:
            self.found.append(KINDS[tag])
        if tag == "script" and "ld+json" in (values.get("type") or ""):
            self.found.append(html_scan.JSON_LD)
        if "licen" in (values.get("rel") or "").lower():
            self.found.append(html_scan.LICENCE)
        named = " ".join(filter(None, (values.get(name) for name in ("itemprop", "property"))))
        if re.match(r"(?:dct:)?licen[sc]e\b", named):
            self.found.append(html_scan.PROPERTY)
        if "datePublished" in named:
            self.found.append(html_scan.DATE)
        if tag == "meta" and not self.in_head and "noai" in str(values):
            self.found.append(html_scan.MARK)
        if tag in ("time", "abbr"):
            self.found.append(html_scan.TIME)

    def handle_endtag(self, tag: str) -> None:
        self.in_head &= tag != "head"


def expected(html: str) -> list[int]:
    parser = Notes()
    parser.feed(html)
    parser.close()
    return parser.found


def sample_pages() -> list[bytes]:
    path = next(SAMPLE.glob("*.warc.gz"))
    with RangeReader(path, 0, path.stat().st_size) as reader:
        items = list(read_warc(reader, path.name, Limits(), frozenset({200})))
    return [item.body for item in items if isinstance(item, Record) and item.body_type == "html" and item.body]


def test_notes_of_the_sample_are_those_of_a_parser() -> None:
    pages = sample_pages()
    assert len(pages) > 50
    differing = [
        page[:200]
        for page in pages
        if [note[0] for note in html_scan.scan(page, 1_000).notes] != expected(page.decode())
    ]
    assert differing == []


@pytest.mark.parametrize(
    "html",
    [
        "<html lang=en><head><title>a</title><meta charset=utf-8><link rel=canonical href=/a></head><meta name=date>",
        "<head><!-- <meta name=robots> --><script>'<meta>'</script><style><link></style><meta></head>",
        "<HTML><HEAD><META NAME='robots' CONTENT='a>b'><Link Rel=x></HEAD><LINK>",
        "<head><metadata><linked><titles><meta/></head>",
        "<head></head><script type='application/ld+json'>{}</script><script type=\"text/javascript\">ld+json</script>",
        "<head></head><a rel = 'nofollow License' href=/a>x</a><a data-rel=license>y</a><a rel='x' title=license>z</a>",
        "<head></head><a href=/a rel=license>x</a><a href=/b rel=me>y</a></a rel=license>",
        "<head></head><p>rel=license</p><a title='rel=license'>x</a>",
        "<head></head><meta name=robots content='noai, a>b'><!-- <meta content=noai> --><meta content=x>",
        "<head></head><a itemprop=license href=/a>x</a><a property = 'dct:license'>y</a><a itemprop=licenses>z</a>",
        "<head></head><b itemprop=datePublished>1</b><b property='schema:datePublished'>2</b><b class=datePublished>3",
        "<HEAD></HEAD><B ITEMPROP='datePublished' CONTENT=1>x</B><A PROPERTY=license REL=LICENSE>x</A><TIME>1</TIME>",
        '<head></head><b ItemProp = "dct:license">1</b><b PropErty=datePublished>2</b><b data-itemprops=license>3',
        "<head></head><time>1</time><abbr title=2>2</abbr><timer>3</timer><script>'<time>'</script></time>",
        "<head></head><time itemprop='datePublished' datetime=1><a rel=license itemprop=license>x</a>",
    ],
)
def test_notes_of_traps_are_those_of_a_parser(html: str) -> None:
    assert [kind for kind, _, _ in html_scan.scan(html.encode(), 1_000).notes] == expected(html)


def test_note_says_where_the_attributes_lie() -> None:
    html = b"<head><link rel=canonical href='/a>b'><title lang=en>T</title>"
    notes = html_scan.scan(html, 1_000).notes
    assert [(kind, html[start:end]) for kind, start, end in notes] == [
        (html_scan.LINK, b" rel=canonical href='/a>b'>"),
        (html_scan.TITLE, b" lang=en>"),
    ]


def test_notes_are_bounded_and_leave_room_for_what_stands_in_the_body() -> None:
    html = "<meta>" * 5_000 + "</head><a rel=license>x</a>"
    kinds = [kind for kind, _, _ in html_scan.scan(html.encode(), 1_000).notes]
    assert kinds == [html_scan.META] * html_scan.HEAD_TAGS + [html_scan.LICENCE]
    html = "<meta>" * 5_000 + "</head>" + "<time><a rel=license>x</a>" * 100
    kinds = [kind for kind, _, _ in html_scan.scan(html.encode(), 1_000).notes]
    assert kinds.count(html_scan.TIME) == html_scan.MOST
    assert kinds.count(html_scan.LICENCE) == html_scan.NOTES - html_scan.HEAD_TAGS


def test_elements_that_set_a_licence_apart_are_noted() -> None:
    html = b'<figure><img></figure><table><tr></table><table class="infobox"><blockquote><footer></footer><footer>'
    seen = html_scan.scan(html, 1_000)
    assert [mark > 0 for _, mark in seen.apart.tolist()] == [True, False, False, True, True]
    noted = [html[at : at + 7] for at, _ in seen.apart.tolist()]
    assert noted == [b"<figure", b"</figur", b"</table", b"<table ", b"<blockq"]
    assert seen.footer == html.rindex(b"<footer")


def test_tags_that_say_nothing_are_left_out_where_words_are_named() -> None:
    html = b"<html lang=en><head><meta name=Date><meta name=x><link rel=x><link rel=CANONICAL><title>T</title>"
    tell = telling({html_scan.META: (b"date", b"dxx"), html_scan.LINK: (b"canonical",)})
    kept = [html[start:end] for _, start, end in html_scan.scan(html, 1_000, tell).notes]
    assert kept == [b" lang=en>", b" name=Date>", b" rel=CANONICAL>", b">"]
