"""An HTTP response as a WARC keeps it: status, the headers that matter, and the body as the page's author wrote it."""

import re
import zlib
from dataclasses import dataclass

from pipeline.readers.raw.compression import Inflater, decompression_errors

HEADER_END = re.compile(rb"\r*\n\r*\n")  # some writers end lines with several \r
STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?\s+(\d{3})")
CHARSET = re.compile(r"charset\s*=\s*[\"']?([^\s\"';,]+)", re.IGNORECASE)
# kept with the record: what they say about rights, robots and language
RIGHTS_HEADERS = ("x-robots-tag", "tdm-reservation", "tdm-policy", "link", "content-language")
HTML_TYPES = frozenset({"text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml"})
TEXT_TYPES = frozenset({"text/plain"})
_HTML_START = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)", re.IGNORECASE | re.DOTALL
)


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
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """Charset parameter of the content type."""
        match = CHARSET.search(self.headers.get("content-type", ""))
        return match.group(1) if match else None


def parse_headers(block: bytes) -> dict[str, str]:
    """Header lines to a dict; folded lines are joined, a line without a colon is passed over."""
    headers: dict[str, str] = {}
    name = ""
    for line in block.decode("utf-8", "replace").splitlines():
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
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _unchunk(body)
    for encoding in reversed(headers.get("content-encoding", "").lower().replace(" ", "").split(",")):
        body = _decode(body, encoding, max_body_bytes)
    return Response(int(status.group(1)), headers, body)


def looks_like_html(body: bytes) -> bool:
    """True where a body without a content type begins as an HTML page does."""
    return _HTML_START.match(body[:4096].removeprefix(b"\xef\xbb\xbf")) is not None


def _unchunk(body: bytes) -> bytes:
    """Joins chunks; a body that is not chunked after all (crawlers undo it and keep the header) stays as it is."""
    out: list[bytes] = []
    position = 0
    while True:
        end = body.find(b"\r\n", position, position + 1024)
        try:
            size = int(body[position:end].partition(b";")[0].strip() or b"x", 16) if end >= 0 else -1
        except ValueError:
            size = -1
        if size < 0 or (size and end + 2 + size > len(body)):
            return b"".join(out) + body[position:] if out else body
        if size == 0:
            return b"".join(out)
        out.append(body[end + 2 : end + 2 + size])
        position = end + 2 + size + 2


def _decode(body: bytes, encoding: str, max_bytes: int) -> bytes:
    if encoding in ("gzip", "x-gzip") and body[:3] == b"\x1f\x8b\x08":
        return _inflate(body, "gzip", max_bytes)
    if encoding == "zstd" and body[:4] == b"\x28\xb5\x2f\xfd":
        return _inflate(body, "zstd", max_bytes)
    if encoding == "deflate" and body:
        for bits in (15, -15):
            state = zlib.decompressobj(bits)
            try:
                out = state.decompress(body, max_bytes + 1)
            except zlib.error:
                continue
            return _bounded(out, max_bytes)
        return body  # crawlers undo it and keep the header
    if encoding == "br" and body:
        return _unbrotli(body, max_bytes)
    return body


def _inflate(body: bytes, compression: str, max_bytes: int) -> bytes:
    state = Inflater(compression)
    try:
        out = state.decompress(body, max_bytes + 1)
    except decompression_errors() as error:
        raise ResponseError(f"content-encoding {compression}: {error}") from error
    if not state.eof and len(out) <= max_bytes:
        raise ResponseError(f"content-encoding {compression}: data ends early")
    return _bounded(out, max_bytes)


def _unbrotli(body: bytes, max_bytes: int) -> bytes:
    import brotli

    state = brotli.Decompressor()
    try:
        out = state.process(body, output_buffer_limit=max_bytes + 1)
    except brotli.error:
        return body  # crawlers undo it and keep the header
    return _bounded(out, max_bytes)


def _bounded(out: bytes, max_bytes: int) -> bytes:
    if len(out) > max_bytes:
        raise ResponseError(f"content-encoding: more than max_record_bytes = {max_bytes:,} when decoded")
    return out
