"""Lists of URLs in the forms in which they are published: one reader for clean, filter and takedown."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.base.errors import UserError
from pipeline.clean.stage import list_notes
from pipeline.clean.url_entries import Entries, canonical_url, host_of, page_of
from pipeline.clean.urls import UrlList, UrlRules
from pipeline.filter.rules import document_rules
from pipeline.recipe.filter_options import Filter
from pipeline.recipe.options import Clean
from tests.pipeline.filter.helpers import GOOD, make_run, run_filter

# form, URLs that it names, URLs that it does not
FORMS = [
    ("bad.example", ["http://bad.example/x", "https://A.BAD.example:8443/?q", "//bad.example."], ["//notbad.example/"]),
    (".bad.example", ["http://bad.example/x", "http://a.bad.example/"], ["http://bad.example.org/"]),
    ("*.bad.example", ["http://a.bad.example/x/y", "http://bad.example/"], ["http://bad.example.org/"]),
    ("*://*.bad.example/*", ["https://a.bad.example/x"], ["https://good.example/?bad.example/"]),
    ("BAD.example.", ["http://bad.example/"], ["http://good.example/"]),
    ("bad.example:8080", ["http://bad.example:8080/", "http://bad.example/"], ["http://good.example/"]),
    ("https://bad.example", ["http://bad.example/x", "https://www.bad.example/"], ["https://good.example/"]),
    ("https://bad.example/", ["http://bad.example/x"], ["https://good.example/"]),
    ("https://www.shop.example/a/?b=1", ["http://shop.example/a?b=1#c"], ["http://shop.example/a", "//shop.example/"]),
    ("shop.example/a", ["https://SHOP.example:443/a/", "shop.example/a"], ["http://shop.example/a/b"]),
    ("shop.example/login*", ["https://shop.example/login?x", "http://shop.example/login"], ["http://shop.example/"]),
    ("bücher.example", ["http://xn--bcher-kva.example/", "http://www.BÜCHER.example/x"], ["http://bucher.example/"]),
    ("xn--bcher-kva.example", ["http://bücher.example/", "http://b%C3%BCcher.example/"], ["http://bucher.example/"]),
    ("bücher.example/a", ["http://xn--bcher-kva.example/a"], ["http://xn--bcher-kva.example/b"]),
    ("*.bücher.example/a*", ["http://www.xn--bcher-kva.example/a/b"], ["http://www.xn--bcher-kva.example/b"]),
    ("0.0.0.0 bad.example worse.example # both", ["http://bad.example/", "//x.worse.example"], ["http://0.0.0.0/"]),
    ("127.0.0.1\tbad.example", ["http://bad.example/"], ["http://127.0.0.1/"]),
    (":: bad.example", ["http://bad.example/"], ["http://[::]/"]),
    ("address=/bad.example/0.0.0.0", ["http://a.bad.example/"], ["http://good.example/"]),
    ("||bad.example^", ["http://bad.example/", "https://a.bad.example/x"], ["http://notbad.example/"]),
    ("||bad.example^$third-party", ["http://bad.example/"], ["http://good.example/"]),
    ("||shop.example/ads/", ["http://a.shop.example/ads/1"], ["http://shop.example/adsx", "http://shop.example/"]),
    ("||shop.example/a*b^", ["http://shop.example/axxb?c", "http://shop.example/ab"], ["http://shop.example/axxbc"]),
    ("192.0.2.7", ["http://192.0.2.7/x"], ["http://192.0.2.70/"]),
    ("[2001:db8::1]", ["http://[2001:db8::1]:80/x"], ["http://[2001:db8::2]/"]),
    (".bad", ["http://any.bad/"], ["http://bad.example/"]),
    ("bad.example # why", ["http://bad.example/"], ["http://good.example/"]),
]


@pytest.mark.parametrize(("form", "named", "others"), FORMS)
def test_entry_names_what_it_means(tmp_path: Path, form: str, named: list[str], others: list[str]) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"\ufeff# a list\r\n! another comment\r\n[Adblock Plus 2.0]\r\n\r\n{form}\r\n", "utf-8")
    entries = UrlList([f"@{path}"])
    assert entries.notes == []
    assert [url for url in named if entries.match(url) is None] == []
    assert [url for url in others if entries.match(url) is not None] == []
    urls = pa.chunked_array([pa.array([*named, None, *others])])
    assert entries.among(urls).tolist() == [True] * len(named) + [False] * (1 + len(others))


NEVER = {
    "bad.example##.banner": "hides elements",
    "###banner": "hides elements",
    "bad example": "blanks inside",
    "/banner[0-9]+/": "no domain, URL or pattern",
    "-ads-": "no domain, URL or pattern",
    "@@||shop.example/x": "an exception for some pages",
    "||shop.example^$domain=a.example": "parts of some pages",
    "|https://": "names no host",
    "com": "a top-level domain like .com",
    "mailto:a@bad.example": "no web page has such a scheme",
    "bad..example": "no domain, URL or pattern",
    "***": "names nothing",
}


@pytest.mark.parametrize("entry", NEVER)
def test_entry_that_can_never_match_is_told(tmp_path: Path, entry: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"good.example\n{entry}\n", "utf-8")
    (note,) = UrlList([f"@{path}"], key="clean.url_block").notes
    assert note.startswith(
        f"clean.url_block: list.txt: 1 of 2 entries can never match a URL, such as {entry!r} in line 2"
    )
    assert NEVER[entry] in note
    assert list_notes(Clean(url_block=[f"@{path}"])) == [note]
    path.write_text(f"# only\n{entry}\n", "utf-8")
    for refused in (
        lambda: list_notes(Clean(url_block=[f"@{path}"])),
        lambda: document_rules.read_blocklist(str(path)),
        lambda: UrlList([f"@{path}" if entry.startswith("@") else entry]),
    ):
        with pytest.raises(UserError, match="can never match a URL"):
            refused()


def test_list_without_an_entry_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# nothing\n\n127.0.0.1 localhost\n")
    with pytest.raises(UserError, match=r"list\.txt holds no entry; entries are domains"):
        UrlList([f"@{tmp_path}/list.txt"])
    with pytest.raises(UserError, match=r"filter\.url\.blocklist: .*missing\.txt cannot be read"):
        document_rules.read_blocklist(f"{tmp_path}/missing.txt")
    (tmp_path / "list.txt").write_bytes(bytes(range(256)) * 40)
    with pytest.raises(UserError, match=r"list\.txt cannot be read"):
        UrlList([f"@{tmp_path}/list.txt"])


def test_lists_exceptions_and_encodings_are_read(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes("||bad.example^\n@@||good.bad.example^\nbücher.example\n".encode("utf-16"))
    rules = UrlRules([f"@{tmp_path}/list.txt"], [], False, {})
    assert rules.refuses("http://www.bad.example/") == "domain bad.example"
    assert rules.refuses("http://good.bad.example/") is None
    assert rules.refuses("http://xn--bcher-kva.example/") == "domain xn--bcher-kva.example"


def test_filter_judges_by_the_same_reader(tmp_path: Path) -> None:
    (tmp_path / "block.txt").write_text("0.0.0.0 bad.example\nhttps://shop.example/a\nx##.y\n")
    rows = [
        {"text": f"{GOOD} {number}", "url": url}
        for number, url in enumerate(
            ["http://a.bad.example/", "http://www.shop.example/a/", "http://shop.example/b", None, "http://a.ru/"]
        )
    ]
    options = 'rules = []\nurl = { blocklist = "block.txt", deny_domains = ["ru"] }'
    context = make_run(tmp_path, {"00000": rows}, options)
    summary = run_filter(context)
    assert summary["reasons"] == {"url.domain": 3}
    (note,) = summary["notes"]
    assert note.startswith("filter.url.blocklist: block.txt: 1 of 3 entries can never match a URL")
    with pytest.raises(UserError, match=r"filter\.url\.deny_domains: 1 of 1 entry can never match"):
        document_rules.list_notes(Filter.model_validate({"url": {"deny_domains": ["not a domain"]}}))


def test_many_lines_are_read_at_once() -> None:
    entries = Entries()
    entries.add([f"h{number}.example" for number in range(1000)] + ["Big.Example", "||a.example^"])
    assert (len(entries.domains), entries.given, entries.never) == (1002, 1002, [])
    assert entries.domains[-2:] == ["big.example", "a.example"]


def test_host_and_page_of_a_url() -> None:
    assert host_of("https://[::1]:80/x") == "[::1]"
    assert page_of("bücher.example/a/") == page_of("HTTPS://www.xn--bcher-kva.example:443/a#top")
    assert canonical_url("HTTP://www.Example.org:80/a/?b=1#top") == "example.org/a?b=1"
    assert json.dumps(host_of("http://exa_mple.org./")) == '"exa_mple.org"'
