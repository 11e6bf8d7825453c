"""An HTTP response as a WARC keeps it: status, the headers that matter, and the body as the page's author wrote it."""

import contextlib
import re
import zlib
from dataclasses import dataclass

from pipeline.readers.raw.compression import HEAD_BYTES, MAGIC, Inflater, compression_of, decompression_errors
from pipeline.readers.raw.kinds import SAMPLE_BYTES, control_share, is_utf8

HEADER_END = re.compile(rb"\n\r*\n")  # some writers end lines with several \r
STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?\s+(\d{3})")
CHARSET = re.compile(r"charset\s*=\s*[\"']?([^\s\"';,]+)", re.IGNORECASE)
# kept with the record: what they say about rights, robots and language
RIGHTS_HEADERS = (
    *("x-robots-tag", "tdm-reservation", "tdm-policy", "link", "content-language", "content-usage", "content-signal"),
)
HTML_TYPES = frozenset({"text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml"})
TEXT_TYPES = frozenset({"text/plain"})
_HTML_START = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:(?!-->).)*-->\s*)*<(?:!doctype\s+html|html|head|body)",
    re.IGNORECASE | re.DOTALL,
)
_PARTS = re.compile(r'(?:[^,"]|"(?:\\.|[^"\\])*"?)+')  # of a header that holds several values
_TYPE = re.compile(r"\s*\"?\s*([\w!#$&^.+-]+/[\w!#$&^.+-]+)", re.ASCII)
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\n]{0,1000})?\r?\n")


class ResponseError(ValueError):
    """A block that is not an HTTP response, or whose transfer or content encoding is damaged."""


@dataclass(slots=True)
class Response:
    """One HTTP response; header names in lower case, repeated ones joined by ``, ``."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """Lower-case media type without parameters; empty when there is none."""
        return content_type(self.headers.get("content-type", ""))[0]

    @property
    def charset(self) -> str | None:
        """Charset parameter of the content type."""
        return content_type(self.headers.get("content-type", ""))[1]


def content_type(value: str) -> tuple[str, str | None]:
    """Media type and charset of a header that may come twice: the last type that can be read, as browsers take it.

    A charset is carried on to the same type that follows without one.

    Example:
        >>> content_type("text/html; charset=utf-8, text/html"), content_type("text/html, */*"), content_type("html")
        (('text/html', 'utf-8'), ('text/html', None), ('', None))
    """
    essence, charset = "", None
    for part in _PARTS.findall(value):
        found = _TYPE.match(part)
        if found is None:
            continue
        if found.group(1).lower() != essence:
            essence, charset = found.group(1).lower(), None
        stated = CHARSET.search(part)
        charset = stated.group(1) if stated else charset
    return essence, charset


def parse_headers(block: bytes) -> dict[str, str]:
    """Header lines to a dict; folded lines are joined, a line without a colon is passed over."""
    headers: dict[str, str] = {}
    name = ""
    for line in block.decode("utf-8", "replace").split("\n"):
        if line[:1] in (" ", "\t") and name:
            headers[name] += " " + line.strip()
            continue
        key, colon, value = line.partition(":")
        if not colon:
            continue
        name, value = key.strip().lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def parse_response(block: bytes, max_body_bytes: int) -> Response:
    """Parses a response and undoes its transfer and content encodings.

    Raises:
        ResponseError: If it is none, or its encoding is damaged or a bomb.
    """
    status = STATUS_LINE.match(block)
    if status is None:
        raise ResponseError("no HTTP status line")
    end = HEADER_END.search(block)
    head, body = (block[: end.start()], block[end.end() :]) if end else (block, b"")
    headers = parse_headers(head[status.end() :].partition(b"\n")[2])
    transfer = _tokens(headers.get("transfer-encoding", ""))
    if transfer[-1] == "chunked":
        body = _unchunk(body)
        transfer.pop()
    for encoding in reversed(_tokens(headers.get("content-encoding", "")) + transfer):
        body = decoded(body, encoding, max_body_bytes)
    if body[:3] == MAGIC["gzip"]:  # the server forgot to say so
        with contextlib.suppress(ResponseError):  # it is told as what it is: a gzip file
            body = _members(body, "gzip", max_body_bytes)
    return Response(int(status.group(1)), headers, body)


def looks_like_html(body: bytes) -> bool:
    """True where a body without a content type begins as an HTML page does."""
    return _HTML_START.match(body[:4096].removeprefix(b"\xef\xbb\xbf")) is not None


def _tokens(value: str) -> list[str]:
    return [token.strip().lower() for token in value.split(",")]


def _unchunk(body: bytes) -> bytes:
    """Joins chunks; a body that is not chunked after all (crawlers undo it and keep the header) stays as it is.

    Raises:
        ResponseError: If something else stands where the next chunk should begin.
    """
    out: list[bytes] = []
    position = 0
    while position < len(body):
        line = _CHUNK_SIZE.match(body, position)
        if line is None:
            if out:
                raise ResponseError(f"transfer-encoding chunked: no size of a chunk at byte {position:,} of the body")
            return body
        size = int(line.group(1), 16)
        if size == 0:
            break
        out.append(body[line.end() : line.end() + size])
        position = line.end() + size
        position += 2 if body.startswith(b"\r\n", position) else int(body.startswith(b"\n", position))
    return b"".join(out)


def decoded(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """A body without its content encoding; as it is where it has none after all, for crawlers undo it.

    Raises:
        ResponseError: If it is damaged, ends early, becomes too large, or something follows it.
    """
    if encoding in ("gzip", "x-gzip") and body[:3] == MAGIC["gzip"]:
        return _members(body, "gzip", max_bytes)
    if encoding == "zstd" and compression_of(body[:HEAD_BYTES]) == "zstd":
        return _members(body, "zstd", max_bytes)
    if encoding == "deflate" and body:
        return _undeflate(body, max_bytes)
    if encoding == "br" and body:
        return _unbrotli(body, max_bytes)
    return body


def _members(body: bytes, compression: str, max_bytes: int) -> bytes:
    """The data of one member after the other, as gzip and zstd allow."""
    out: list[bytes] = []
    size = 0
    while body:
        state = Inflater(compression)
        try:
            out.append(state.decompress(body, max_bytes + 1 - size))
        except decompression_errors() as error:
            raise ResponseError(f"content-encoding {compression}: {error}") from error
        size += len(out[-1])
        _check_size(size, max_bytes)
        if not state.eof:
            raise ResponseError(f"content-encoding {compression}: data ends early")
        body = _without_padding(state.unused)
    return b"".join(out)


def _undeflate(body: bytes, max_bytes: int) -> bytes:
    for bits in (15, -15):
        state = zlib.decompressobj(bits)
        try:
            out = state.decompress(body, max_bytes + 1)
        except zlib.error:
            continue
        _check_size(len(out), max_bytes)
        if state.eof and not _without_padding(state.unused_data):
            return out
        if bits == 15 or not _is_plain(body):
            what = f"{len(state.unused_data):,} bytes follow the data" if state.eof else "data ends early"
            raise ResponseError(f"content-encoding deflate: {what}")
    return body


def _unbrotli(body: bytes, max_bytes: int) -> bytes:
    import brotli

    state = brotli.Decompressor()
    try:
        out = bytes(state.process(body, output_buffer_limit=max_bytes + 1))
    except brotli.error as error:
        if _is_plain(body):
            return body
        raise ResponseError(f"content-encoding br: {error}") from error
    _check_size(len(out), max_bytes)
    if state.is_finished():
        return out
    if _is_plain(body):
        return body
    raise ResponseError("content-encoding br: data ends early")


def _is_plain(body: bytes) -> bool:
    """Whether a body that should be compressed is text: no compressed data of more than some bytes is UTF-8."""
    return is_utf8(body[:SAMPLE_BYTES]) and control_share(body) == 0


def _without_padding(rest: bytes) -> bytes:
    """What follows the data, without the zeros and line ends that servers add."""
    return rest.lstrip(b"\0\r\n ")


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise ResponseError(f"content-encoding: more than max_record_bytes = {max_bytes:,} when decoded")
