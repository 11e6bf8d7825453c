"""HTTP bodies as WARC files keep them: nothing of them is dropped, and nothing that is cut is taken for whole."""

import gzip
import time
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard

from pipeline.readers.raw.http import HEADER_END, Response, ResponseError, content_type, looks_like_html, parse_response

ONE, TWO = b"<p>The first half of a page, in words. </p>" * 9, b"<p>The second half of the page, in words.</p>" * 9
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
}


def parsed(body: bytes, *headers: str) -> Response:
    return parse_response("\r\n".join(["HTTP/1.1 200 OK", *headers, "", ""]).encode() + body, 1 << 20)


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_every_member_of_a_body_is_read(encoding: str) -> None:
    body = PACKERS[encoding](ONE) + PACKERS[encoding](TWO)
    assert parsed(body, f"Content-Encoding: {encoding}").body == ONE + TWO
    assert parsed(body + b"\0\0\r\n", f"Content-Encoding: {encoding}").body == ONE + TWO


@pytest.mark.parametrize("encoding", PACKERS)
def test_body_that_is_cut_is_not_taken_for_whole(encoding: str) -> None:
    body = PACKERS[encoding](bytes(range(256)) * 40 + ONE)
    with pytest.raises(ResponseError, match="ends early"):
        parsed(body[: len(body) * 2 // 3], f"Content-Encoding: {encoding}")


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "deflate"])
def test_what_follows_a_body_is_not_dropped(encoding: str) -> None:
    with pytest.raises(ResponseError):
        parsed(PACKERS[encoding](ONE) + b"something else", f"Content-Encoding: {encoding}")


@pytest.mark.parametrize("encoding", [*PACKERS, "x-unknown"])
def test_encoding_that_a_crawler_has_undone_is_no_damage(encoding: str) -> None:
    for plain in (ONE, b"short", "caf\u00e9 \u4e2d\u6587".encode() * 3):
        assert parsed(plain, f"Content-Encoding: {encoding}").body == plain


def test_gzip_that_the_server_forgot_to_declare_is_undone() -> None:
    assert parsed(gzip.compress(ONE)).body == ONE
    cut = gzip.compress(ONE)[:-9]
    assert parsed(cut).body == cut


@pytest.mark.parametrize("value", ["chunkedchunked", "chunked-not", "chunked\r\n more", "x"])
def test_chunked_is_a_word_not_letters(value: str) -> None:
    assert parsed(chunked(b"OK"), f"Transfer-Encoding: {value}").body == chunked(b"OK")


def test_chunks_are_joined() -> None:
    assert parsed(chunked(ONE, TWO), "Transfer-Encoding: chunked").body == ONE + TWO
    assert parsed(chunked(gzip.compress(ONE)), "Transfer-Encoding: gzip, Chunked").body == ONE
    assert parsed(b"5;a=b\r\nwords\r\n0\r\n\r\n", "Transfer-Encoding: chunked").body == b"words"
    assert parsed(b"400\r\nwords that end earl", "Transfer-Encoding: chunked").body == b"words that end earl"
    assert parsed(ONE, "Transfer-Encoding: chunked").body == ONE


def test_what_stands_where_a_chunk_should_begin_is_damage() -> None:
    for wrong in (b"zz\r\nmore", b"-5\r\nmore", b"0x5\r\nwords", b"1_0\r\n0123456789abcdef"):
        with pytest.raises(ResponseError, match="no size of a chunk at byte 10"):
            parsed(b"5\r\nwords\r\n" + wrong, "Transfer-Encoding: chunked")


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("text/html, text/html; charset=utf-8", ("text/html", "utf-8")),
        ("text/html; charset=utf-8, text/html", ("text/html", "utf-8")),
        ("text/html; charset=koi8-r, text/plain", ("text/plain", None)),
        ("text/plain, text/html;charset=a, text/html;charset=b", ("text/html", "b")),
        ("text/html charset=utf-8", ("text/html", "utf-8")),
        ('"text/html"', ("text/html", None)),
        ("text/html, */*", ("text/html", None)),
        ("TEXT/HTML;", ("text/html", None)),
        ('text/html; x="a, text/plain"; charset=utf-8', ("text/html", "utf-8")),
        ("html", ("", None)),
        (",,", ("", None)),
        ("", ("", None)),
    ],
)
def test_content_type_is_the_last_that_can_be_read(value: str, wanted: tuple[str, str | None]) -> None:
    assert content_type(value) == wanted


def test_header_value_may_hold_any_character_but_a_line_end() -> None:
    response = parsed(ONE, "X: a\u0085b\u2028c", "Content-Type: text/html")
    assert response.media_type == "text/html"
    assert response.headers["x"] == "a\u0085b\u2028c"


def test_patterns_are_linear() -> None:
    """Each took minutes, or longer than anyone waits."""
    begun = time.process_time()
    assert HEADER_END.search(b"\r" * (1 << 22)) is None
    assert not looks_like_html(b"<!---->" * 580 + b"text")
    content_type('"' * 100_000)
    parsed(b"", "Content-Type: " + "a," * 50_000)
    assert time.process_time() - begun < 60
