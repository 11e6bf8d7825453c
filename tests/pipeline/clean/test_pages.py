"""What a page says about itself, what excludes it, and which URLs are wanted."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import UserError
from pipeline.clean.facts.robots import Robots
from pipeline.clean.html_facts import TELLING, facts, spdx
from pipeline.clean.url_entries import host_of
from pipeline.clean.urls import UrlRules
from pipeline.kernels import html_scan
from pipeline.readers.records import Record

Clean = Callable[..., Any]


def found(html: str, url: str | None = "https://site.example/a/b", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    seen = html_scan.scan(html.encode(), 1_000, TELLING)
    return facts(html.encode(), "utf-8", Record("p", 0, url=url, headers=named), seen)


def test_title_canonical_language_and_date() -> None:
    page = found(
        '<!DOCTYPE html><html lang="de-AT"><head><!-- <title>No</title> --><title>Caf&eacute;\n  am &amp; Ring</title>'
        '<link rel="canonical" href="/kanon?x=1">'
        '<meta property="article:published_time" content="2023-04-05T06:07:08Z"/>'
    )
    assert (page.title, page.canonical_url) == ("Café am & Ring", "https://site.example/kanon?x=1")
    assert (page.language, page.date) == ("de-AT", "2023-04-05T06:07:08Z")


def test_page_that_says_nothing_has_no_facts() -> None:
    page = found("<p>words</p>")
    assert [getattr(page, name) for name in page.__slots__] == [None] * len(page.__slots__)


@pytest.mark.parametrize(
    "broken",
    [
        *('<meta "', '<meta ""', "<link ", "<title ", "<!--", "rel= licen", "<a rel=licence ", "<a rel='license' x='"),
        *("<script type=application/ld+json", "<script type=application/ld+json>", "<meta name=robots content"),
    ],
)
def test_head_of_broken_tags_is_read_in_linear_time(broken: str) -> None:
    """Half a minute each where a search starts over at every tag."""
    page = found("<title>T</title>" + broken * 18_000)
    assert (page.title, page.canonical_url, page.licence) == ("T", None, None)


@pytest.mark.parametrize(
    ("html", "licence", "evidence"),
    [
        ('<a rel="license" href="https://creativecommons.org/licenses/by-sa/3.0/de/">x</a>', "CC-BY-SA-3.0-DE", "rel"),
        ("<link rel=license href=//creativecommons.org/publicdomain/zero/1.0/>", "CC0-1.0", "rel"),
        ('<a rel="nofollow license" href="/terms">x</a>', "https://site.example/terms", "rel"),
        ('<p>Licence: <a href="http://creativecommons.org/licenses/by/4.0/legalcode">x</a></p>', "CC-BY-4.0", "link"),
        ('<p>We moved to <a href="http://creativecommons.org/licenses/by/4.0/">x</a></p>', None, None),
        ('<p>Photo: Ola, licence <a href="http://creativecommons.org/licenses/by/4.0/">x</a></p>', None, None),
        (
            '<figure>licence <a rel=license href="http://creativecommons.org/licenses/by/4.0/">x</a></figure>',
            None,
            None,
        ),
        ('<script>"licence http://creativecommons.org/licenses/by/4.0/"</script>', None, None),
        (
            '<div class="comments">licence <a href="http://creativecommons.org/licenses/by/4.0/">x</a></div>',
            None,
            None,
        ),
        ('<a itemprop="license" href="http://creativecommons.org/licenses/by/4.0/">x</a>', "CC-BY-4.0", "rel"),
        ('<a rel="cc:license" href="http://creativecommons.org/licenses/by/4.0/">x</a>', "CC-BY-4.0", "rel"),
        (
            '<script type="application/ld+json">{"@type": "ImageObject", "license": "https://x.test/l"}</script>',
            None,
            None,
        ),
        ("<footer>Text: Creative Commons Attribution-ShareAlike 3.0 licence</footer>", "CC-BY-SA-3.0", "words"),
        ('<head><meta name="DC.rights" content="CC BY 4.0"></head>', "CC-BY-4.0", "meta"),
        (
            '<script type="application/ld+json">{"@graph": [{"license": "https://creativecommons.org/licenses/by-nc/4.0/"}]}</script>',
            "CC-BY-NC-4.0",
            "json-ld",
        ),
        ('<head><meta name="dcterms.license" content="MIT"></head>', "MIT", "meta"),
        ("<p>We license this software to you.</p>", None, None),
        ('<a rel="licensed" href="/x">x</a>', None, None),
        ("<p>A license.</p>" * 9 + '<a rel=license href="/terms">x</a>', "https://site.example/terms", "rel"),
        ('<a rel="license" href="#52ebf452">x</a>', None, None),
        ('<a rel="item-license" href="/x">x</a>', None, None),
        ('<a data-rel="license" href="/x">x</a>', None, None),
        ("<!-- <a rel=license href=/x> --><script>'<a rel=license href=/x>'</script>", None, None),
        ('<a rel = "LICENSE" href="/x">x</a>', "https://site.example/x", "rel"),
        ('<a rel=license>x</a><a rel=license href="/x">x</a>', "https://site.example/x", "rel"),
        (
            '<a href="http://creativecommons.org/licenses/by/4.0/">a</a><a href="http://creativecommons.org/licenses/by-nc/2.0/">b</a>',
            None,
            None,
        ),
        ('<script type="application/ld+json">{"license": broken</script>', None, None),
    ],
)
def test_licence_and_its_evidence(html: str, licence: str | None, evidence: str | None) -> None:
    page = found(html)
    assert (page.licence, page.licence_evidence) == (licence, evidence)


def test_tags_in_comments_and_scripts_say_nothing() -> None:
    tag = '<meta name="robots" content="noai">'
    assert found(f"<head><!-- {tag} --><script>var x = '{tag}'</script>").opt_out is None
    assert found(f"<head>{tag}").opt_out == "noai"


def test_spdx_leaves_other_statements_alone() -> None:
    assert spdx("All rights reserved") == "All rights reserved"


@pytest.mark.parametrize(
    ("html", "headers", "robots", "opt_out"),
    [
        ('<head><meta name="robots" content="noindex, NoAI"></head>', {}, "noai,noindex", "noai"),
        ('<head><meta name="ROBOTS" content="noimageai"></head>', {}, "noimageai", "noimageai"),
        ('<head><meta name="tdm-reservation" content="1"></head>', {}, "tdm-reservation", "tdm-reservation"),
        ('<head><meta name="tdm-reservation" content="0"></head>', {}, None, None),
        ("<p>x", {"x_robots_tag": "noai, noimageai"}, "noai,noimageai", "noai,noimageai"),
        ("<p>x", {"x_robots_tag": "googlebot: noai"}, "noai", "noai"),
        ("<p>x", {"tdm_reservation": "1"}, "tdm-reservation", "tdm-reservation"),
        ("<p>noai is a word in this text", {}, None, None),
        ('<head><meta name="robots" content="noai noimageai">', {}, "noai,noimageai", "noai,noimageai"),
        ('<head><meta name="robots" content="noml">', {}, "noml", "noml"),
        ('<head><meta name="GPTBot" content="noindex">', {}, "noindex", "ai-agent"),
        ('<head><meta name="CCBot" content="nofollow">', {}, "nofollow", "ai-agent"),
        ('<head><meta http-equiv="X-Robots-Tag" content="noai">', {}, "noai", "noai"),
        ('<body><p>x<meta name="robots" content="noai">', {}, "noai", "noai"),
        ("<p>x", {"content_usage": "search=y, train-ai=n"}, None, "content-usage"),
        ("<p>x", {"content_usage": "train-ai=y"}, None, None),
        ("<p>x", {"content_usage": "train-ai=maybe"}, None, None),
        ("<p>x", {"content_signal": "search=yes,ai-train=no"}, None, "content-signal"),
        ("<p>x", {"tdm_reservation": "0, 1"}, "tdm-reservation", "tdm-reservation"),
        ("<p>x", {"x_robots_tag": "unavailable_after: 25 Jun 2027 15:00:00 PST, noai"}, "noai", "noai"),
    ],
)
def test_robots_and_opt_out_marks(html: str, headers: dict[str, str], robots: str | None, opt_out: str | None) -> None:
    page = found(html, **headers)
    assert (page.robots, page.opt_out) == (robots, opt_out)


@pytest.mark.parametrize(
    ("html", "date", "place"),
    [
        (
            '<body><time itemprop="datePublished" datetime="2021-03-04T08:00">4 March</time>',
            "2021-03-04T08:00",
            "microdata",
        ),
        ('<head></head><body><meta itemprop="datePublished" content="2021-03-04">', "2021-03-04", "microdata"),
        ('<BODY><SPAN ITEMPROP="datePublished" CONTENT="2021-03-04">x</SPAN>', "2021-03-04", "microdata"),
        ('<body><time datetime="2021-03-04">4 March 2021</time>', "2021-03-04", "time"),
        ('<BODY><TIME DATETIME="2021-03-04">4 March 2021</TIME>', "2021-03-04", "time"),
        ('<body><abbr class="published" title="2021-03-04T08:00:00Z">4 March</abbr>', "2021-03-04T08:00:00Z", "time"),
        ('<head><meta name="parsely-pub-date" content="Thu, 04 Mar 2021 08:00:00 GMT">', "2021-03-04", "meta"),
        ('<head><meta name="date" content="04.03.2021">', "2021-03-04", "meta"),
        (
            '<script type="application/ld+json">{"datePublished":"2021-03-04T08:00:00Z","a":"line\nbreak"}</script>',
            "2021-03-04T08:00:00Z",
            "json-ld",
        ),
        ('<body><span class="post-date">4. März 2021</span>', "2021-03-04", "text"),
        ("<body><!-- <time datetime=2021-03-04> --><p>In 2021-03 it rained", None, None),
    ],
)
def test_day_of_publication_and_its_place(html: str, date: str | None, place: str | None) -> None:
    page = found(html)
    assert (page.date, page.date_from) == (date, place)


def test_day_in_the_url() -> None:
    page = found("<p>x", url="https://herald.test/2021/03/04/survey.html")
    assert (page.date, page.date_from) == ("2021-03-04", "url")


@pytest.mark.parametrize(
    ("head", "title"),
    [
        ('<title>A survey of the bay | The Herald</title><meta property="og:site_name" content="The Herald">', None),
        (
            '<title>A survey of the bay - The Herald</title><meta property="og:title" content="A survey of the bay">',
            None,
        ),
        ('<meta property="og:title" content="A survey of the bay">', None),
        ("<title>Tea - a guide</title>", "Tea - a guide"),
    ],
)
def test_title_is_without_the_name_of_the_site(head: str, title: str | None) -> None:
    assert found(f"<head>{head}").title == (title or "A survey of the bay")


ROBOTS = b"User-agent: *\nAllow: /\n\nUser-agent: GPTBot\nDisallow: /private/\nDisallow: /*.pdf$\n"


def test_robots_txt_of_a_crawl_is_no_document_and_excludes_the_pages_after_it(tmp_path: Path, clean: Clean) -> None:
    data = warc(200, "text/plain", ROBOTS, url="https://a.example/robots.txt")
    data += warc(200, "text/html", page(), url="https://a.example/private/x")
    data += warc(200, "text/html", page(), url="https://a.example/public")
    data += warc(200, "text/html", page(), url="https://b.example/private/x")
    (tmp_path / "a.warc").write_bytes(data)
    cleaned = clean(tmp_path / "a.warc")
    rule = "robots: GPTBot: Disallow: /private/"
    assert [(row["reason"], row["detail"]) for row in cleaned.excluded] == [("robots_txt", None), ("opt_out", rule)]
    assert len(cleaned.documents) == 2
    assert clean(tmp_path / "a.warc", opt_outs=[]).numbers() == (3, 1, 0)


@pytest.mark.parametrize(
    ("text", "path", "reserved"),
    [
        ("User-Agent: *\nAllow: /\nContent-Usage: train-ai=n\n", "/x", "content-usage: train-ai=n"),
        ("User-Agent: *\nContent-Usage: /ai/ train-ai=y\nContent-Usage: train-ai=n\n", "/ai/x", None),
        ("User-Agent: *\nContent-Signal: search=yes,ai-train=no\n", "/x", "content-signal: search=yes,ai-train=no"),
        ("User-agent: CCBot\nDisallow: /\n", "/x", "CCBot: Disallow: /"),
        ("User-agent: CCBot\nDisallow: /a\nAllow: /a/b\n", "/a/b/c", None),
        ("User-agent: Otherbot\nDisallow: /\n", "/x", None),
    ],
)
def test_robots_txt_names_the_rule_that_reserves(text: str, path: str, reserved: str | None) -> None:
    assert Robots(text).reserves(f"https://a.example{path}", ["CCBot"]) == reserved


def test_folder_of_robots_txt_and_a_sites_tdmrep(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "robots/a.example").mkdir(parents=True)
    (tmp_path / "robots/a.example/robots.txt").write_bytes(ROBOTS)
    rules = b'[{"location": "/free/*", "tdm-reservation": 0}, {"location": "/", "tdm-reservation": 1}]'
    data = warc(200, "application/json", rules, url="https://b.example/.well-known/tdmrep.json")
    for url in ("https://a.example/private/x", "https://b.example/x", "https://b.example/free/x"):
        data += warc(200, "text/html", page(), url=url)
    (tmp_path / "a.warc").write_bytes(data)
    cleaned = clean(tmp_path / "a.warc", robots=str(tmp_path / "robots"))
    assert [row["detail"] for row in cleaned.excluded] == [
        None,
        "robots: GPTBot: Disallow: /private/",
        "tdm-reservation: tdm-reservation: /",
    ]
    with pytest.raises(UserError, match="no such folder"):
        clean(tmp_path / "a.warc", robots=str(tmp_path / "none"))


def page(head: str = "", text: str = "A paragraph of plain running text.") -> bytes:
    return f"<html><head>{head}</head><body><main><p>{text}</p></main></body></html>".encode()


def test_opt_out_excludes_as_the_recipe_says(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.html").write_bytes(page('<meta name="robots" content="noai">'))
    (tmp_path / "b.html").write_bytes(page('<meta name="robots" content="noimageai, noindex">'))
    cleaned = clean(tmp_path)
    assert cleaned.numbers() == (1, 1, 0)
    assert (cleaned.excluded[0]["reason"], cleaned.excluded[0]["detail"]) == ("opt_out", "noai")
    assert (cleaned.documents[0]["robots"], cleaned.documents[0]["opt_out"]) == ("noimageai,noindex", "noimageai")
    assert clean(tmp_path, opt_outs=[]).numbers() == (2, 0, 0)


def test_empty_page_is_excluded(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.html").write_bytes(b"<html><head><title>x</title></head><body></body></html>")
    cleaned = clean(tmp_path)
    assert [row["reason"] for row in cleaned.excluded] == ["empty_extraction"]


def warc(status: int, content_type: str, body: bytes, url: str = "https://a.example/", extra: str = "") -> bytes:
    http = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\n{extra}\r\n".encode() + body
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2024-02-03T00:00:00Z\r\n"
    return head.encode() + f"Content-Length: {len(http)}\r\n\r\n".encode() + http + b"\r\n\r\n"


def test_unwanted_responses_are_excluded_with_the_value_that_decided(tmp_path: Path, clean: Clean) -> None:
    data = warc(404, "text/html", page()) + warc(200, "image/png", b"\x89PNG") + warc(200, "text/html", page())
    data += warc(200, "text/html", page(), url="dns:a.example")
    (tmp_path / "a.warc").write_bytes(data)
    cleaned = clean(tmp_path / "a.warc")
    assert [(row["reason"], row["detail"]) for row in cleaned.excluded] == [
        ("status", "404"),
        ("content_type", "image/png"),
        ("url_scheme", "dns"),
    ]
    assert len(cleaned.documents) == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "chunked"])
def test_transfer_and_content_encodings_are_undone(tmp_path: Path, clean: Clean, encoding: str) -> None:
    import zlib

    import brotli
    import zstandard

    body = page()
    packed = {
        "gzip": gzip.compress(body),
        "deflate": zlib.compress(body),
        "br": brotli.compress(body),
        "zstd": zstandard.ZstdCompressor().compress(body),
        "chunked": b"%x\r\n%s\r\n%x;x=y\r\n%s\r\n0\r\n\r\n" % (10, body[:10], len(body) - 10, body[10:]),
    }[encoding]
    name = "Transfer-Encoding" if encoding == "chunked" else "Content-Encoding"
    (tmp_path / "a.warc").write_bytes(warc(200, "text/html", packed, extra=f"{name}: {encoding}\r\n"))
    assert clean(tmp_path / "a.warc").texts == ["A paragraph of plain running text."]


def test_the_crawl_date_has_a_column_of_its_own(tmp_path: Path, clean: Clean) -> None:
    head = '<meta name="date" content="2020-01-02">'
    (tmp_path / "a.warc").write_bytes(warc(200, "text/html", page(head)) + warc(200, "text/html", page()))
    first, second = clean(tmp_path / "a.warc").documents
    crawled = "2024-02-03T00:00:00Z"
    assert (first["date"], first["date_from"], first["crawl_date"]) == ("2020-01-02", "meta", crawled)
    assert (second["date"], second["date_from"], second["crawl_date"]) == (None, None, crawled)


def test_bare_licence_link_does_not_outweigh_the_recipe(tmp_path: Path, clean: Clean) -> None:
    link = '(licence: <a href="http://creativecommons.org/licenses/by/4.0/">x</a>)'
    (tmp_path / "a.html").write_bytes(page(text=f"A paragraph of plain text {link}."))
    (tmp_path / "b.html").write_bytes(page(text=f"A paragraph of plain text {link.replace('<a', '<a rel=license')}."))
    found = [(d["licence"], d["licence_evidence"]) for d in clean(tmp_path, source={"licence": "MIT"}).documents]
    assert found == [("MIT", "recipe"), ("CC-BY-4.0", "rel")]
    assert clean(tmp_path / "a.html").documents[0]["licence_evidence"] == "link"


@pytest.mark.parametrize("extractor", ["trafilatura", "datatrove.pipeline.extractors.Trafilatura"])
def test_other_extractors_are_selectable(tmp_path: Path, clean: Clean, extractor: str) -> None:
    text = "This paragraph is long enough to be taken for the main content of its page by every extractor. " * 3
    (tmp_path / "a.html").write_bytes(page(text=text))
    assert "taken for the main content" in clean(tmp_path, extractor=extractor).texts[0]


@pytest.mark.parametrize("extractor", ["nonsense", "no.such.Extractor", "pathlib.Path"])
def test_unknown_extractor_is_the_users_error(tmp_path: Path, clean: Clean, extractor: str) -> None:
    (tmp_path / "a.html").write_bytes(page())
    with pytest.raises(UserError):
        clean(tmp_path, extractor=extractor)


@pytest.mark.parametrize(
    ("html", "depth"),
    [
        ("<p>a<p>b" * 500, 0),
        ("<ul>" + "<li>x" * 500 + "</ul>", 1),
        ("<div><p>x</div>" * 500, 1),
        ("<p><b>x</p>" * 500, 3),
        ("<!-- <div><div> --><script>'<div><div>'</script><br><img>", 0),
        ("<div a='>' b=\"<div>\">x</div>" * 5, 1),
        ("<svg><path/><path/><g/></svg>", 1),
        ("<table><tr><td>" * 7, 7),
        ("<div><span></div>" * 500, 2),
        ("<span><div></span>" * 500, 1000),
        ("<h1>a<h2>b" * 500, 1),
    ],
)
def test_scan_sees_the_nesting_that_a_parser_would(html: str, depth: int) -> None:
    assert html_scan.scan(html.encode(), 3000).depth == depth


def test_url_rules() -> None:
    rules = UrlRules(["bad.example", "*.shop.example/cart*"], ["good.bad.example"], False, {})
    assert rules.refuses("https://bad.example/x") == "domain bad.example"
    assert rules.refuses("http://user@sub.bad.example:80/") == "domain bad.example"
    assert rules.refuses("https://good.bad.example/") is None
    assert rules.refuses("https://notbad.example/") is None
    assert rules.refuses("https://www.shop.example/cart?1") == "pattern"
    assert rules.refuses("https://www.shop.example/list") is None
    assert rules.refuses(None) is None
    assert host_of("https://[::1]:80/x") == "[::1]"


def test_only_allowed_urls_pass(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"text": "a", "url": "https://ok.example/"}\n{"text": "b", "url": "https://no.example/"}\n{"text": "c"}'
    )
    cleaned = clean(tmp_path / "a.jsonl", url_allow=["ok.example"], url_only_allowed=True)
    assert cleaned.texts == ["a"]
    assert [row["reason"] for row in cleaned.excluded] == ["url_list", "url_list"]


def test_list_file_is_known_by_its_content_not_its_folder(tmp_path: Path, clean: Clean) -> None:
    from pipeline.clean.settings import list_entry

    (tmp_path / "list.txt").write_text("# bad ones\nbad.example\n\n")
    (tmp_path / "a.jsonl").write_text('{"text": "a", "url": "https://x.bad.example/"}\n{"text": "b"}')
    entry = f"@{tmp_path}/list.txt"
    assert clean(tmp_path / "a.jsonl", url_block=[entry]).texts == ["b"]
    assert list_entry(entry).startswith("@list.txt#")
    with pytest.raises(UserError, match=r"missing\.txt"):
        clean(tmp_path / "a.jsonl", url_block=[f"@{tmp_path}/missing.txt"])


@pytest.mark.slow
def test_bundled_lists_block_what_datatrove_blocks() -> None:
    rules = UrlRules(["ut1", "ut1-words"], [], False, {})
    assert rules.refuses("http://pornhub.com/x") == "domain pornhub.com"
    assert rules.refuses("https://en.wikipedia.org/wiki/Sussex") is None
