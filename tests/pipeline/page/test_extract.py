"""One page outside of a run: where it comes from, what is told of it, and that it is what the clean stage makes."""

import gzip
import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

import tokenmill
from flows.cli.files.extract import extract as command
from pipeline.base.errors import UserError
from pipeline.page.find import find_page

WORDS = "This paragraph is long enough to be taken for the main content of its page by every extractor. " * 3
HEAD = '<title>Mills</title><meta property="article:published_time" content="2023-04-05">'
PAGE = f"<html><head>{HEAD}</head><body><main><p>{WORDS}Caf\u00e9.</p></main></body></html>"
URL = "https://mill.example/a"


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    records = [_record(URL, PAGE, 200), _record(f"{URL}/gone", "<p>not found", 404), _record(f"{URL}.txt", "x", 200)]
    path = tmp_path / "crawl.warc.gz"
    path.write_bytes(b"".join(gzip.compress(record) for record in records))
    return path


def _record(url: str, body: str, status: int) -> bytes:
    kind = "text/plain" if url.endswith(".txt") else "text/html; charset=utf-8"
    block = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n\r\n".encode() + body.encode()
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nContent-Length: {len(block)}\r\n\r\n"
    return head.encode() + block + b"\r\n\r\n"


def test_page_of_python_has_text_title_and_date() -> None:
    page = tokenmill.extract(PAGE.encode("utf-8"))
    assert (page.text, page.title, page.date) == (f"{WORDS}Caf\u00e9.", "Mills", "2023-04-05")


def test_charset_of_the_content_type_is_believed_where_it_fits() -> None:
    body = PAGE.replace("Caf\u00e9", "\u0436\u0443\u043a").encode("koi8-r")
    assert "\u0436\u0443\u043a" in tokenmill.extract(body, "text/html; charset=koi8-r").text


@pytest.mark.parametrize("name", ["page.html", "page.html.gz"])
def test_command_prints_the_text_of_a_file(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = PAGE.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert command(str(tmp_path / name)) == 0
    assert capfd.readouterr().out == f"{WORDS}Caf\u00e9.\n"


def test_command_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(PAGE.encode())))
    assert find_page("-").body == PAGE.encode()


def test_command_answers_with_the_six_fields(crawl: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert command(str(crawl), url=URL, json=True) == 0
    told = json.loads(capfd.readouterr().out)
    assert set(told) == {"text", "title", "date", "date_from", "page_type", "extraction_score"}
    assert (told["title"], told["text"][:4]) == ("Mills", "This")


def test_page_of_a_warc_is_found_whatever_its_status(crawl: Path) -> None:
    found = find_page(str(crawl), f"{URL}/gone")
    assert (found.body, found.charset) == (b"<p>not found", "utf-8")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (None, "is a WARC file; name the page in it with --url URL"),
        (f"{URL}/b", f"no page with the URL {URL}/b among 3 records; there are {URL}, "),
        ("nonsense:", "no page with the URL nonsense: among 3 records"),
    ],
)
def test_page_that_is_not_named_is_asked_for(crawl: Path, url: str | None, told: str) -> None:
    with pytest.raises(UserError) as raised:
        find_page(str(crawl), url)
    assert told in str(raised.value)


@pytest.mark.parametrize("url", [None, URL])
def test_file_that_is_not_there_is_the_users_error(tmp_path: Path, url: str | None) -> None:
    with pytest.raises(UserError, match="no such file"):
        find_page(str(tmp_path / "none.html"), url)


@pytest.mark.parametrize(
    ("body", "told"), [(b"\x89PNG\r\n\x1a\n\0\0\0", "no text"), (b"<div>" * 2_000, "page: html_too_deep")]
)
def test_page_beyond_the_limits_is_refused_with_its_reason(body: bytes, told: str) -> None:
    with pytest.raises(UserError, match=told):
        tokenmill.extract(body)


def test_extractor_that_does_not_exist_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(PAGE)
    with pytest.raises(UserError, match="allowed are tokenmill, resiliparse"):
        command(str(tmp_path / "page.html"), extractor="nonsense")
