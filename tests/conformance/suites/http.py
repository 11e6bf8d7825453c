"""llhttp's cases of HTTP messages, each in a WARC record before a sound one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.conformance.cases import TEXT, Case, Check, Rows, Settings, same_text
from tests.conformance.clones import Clone
from tests.conformance.suites import suite

SOUND = "http://sound.example/"
_BLOCK = re.compile(r"^#+ ([^\n]*)$|^```http\n(.*?)\n```\s*(?:^```log\n(.*?)\n```)?", re.M | re.S)
_ESCAPE = re.compile(r"\\(r|n|t|f|x[0-9a-fA-F]{2})")
_BODY = re.compile(r'span\[body\]="(.*?)"$', re.M)
_NAMED = {"r": "\r", "n": "\n", "t": "\t", "f": "\f"}
_BODILESS = re.compile(rb"HTTP/\S+\s+(1\d\d|204|304)")
_STATUS = re.compile(rb"^(HTTP/\S+\s+)\d{3}")


@dataclass(frozen=True)
class Message:
    """One case of llhttp: what is sent, and what its parser says of it."""

    title: str
    data: bytes
    body: str
    refused: bool


@suite("llhttp", "nodejs/llhttp")
def llhttp(clone: Clone) -> Iterator[Case]:
    """Each message as it is; and responses as plain text, whose body is known."""
    for path, data in clone.files("test/request/", "test/response/"):
        if not path.endswith(".md"):
            continue
        kind, name = path.split("/")[1], path.rpartition("/")[2][:-3]
        for number, message in enumerate(_messages(data.decode("utf-8"))):
            file = f"{name}-{number:02d}.warc"
            yield Case(kind, file, _file(message.data), Settings("warc"), _two_records)
            typed = _typed(message.data) if kind == "response" else None
            if typed is not None:
                yield Case("typed", file, _file(typed), Settings("warc"), _body(message))


def _messages(page: str) -> Iterator[Message]:
    title = ""
    for heading, message, log in _BLOCK.findall(page):
        if heading:
            title = heading
            continue
        text = "\r\n".join(re.sub(r"\\\n", "", message).split("\n"))
        bodies = [re.sub(r"\\(.)", lambda m: _NAMED.get(m.group(1), m.group(1)), body) for body in _BODY.findall(log)]
        yield Message(
            title, _ESCAPE.sub(_unescaped, text).encode("latin-1", "replace"), "".join(bodies), "error" in log
        )


def _unescaped(found: re.Match[str]) -> str:
    return _NAMED.get(found.group(1)) or chr(int(found.group(1)[1:], 16))


def _typed(data: bytes) -> bytes | None:
    """A response of status 200 that says that it is plain text; None where there is nothing to compare."""
    status = re.match(rb"HTTP/[^\r\n]*\r?\n", data)
    if status is None or _BODILESS.match(data) or b"content-type" in data.lower() or data.count(b"HTTP/") > 1:
        return None
    return _STATUS.sub(rb"\g<1>200", status.group(0)) + b"Content-Type: text/plain\r\n" + data[status.end() :]


def _file(message: bytes) -> bytes:
    sound = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + TEXT.format(1).encode()
    return _record(b"http://case.example/", message) + _record(SOUND.encode(), sound)


def _record(url: bytes, block: bytes) -> bytes:
    head = b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: %s\r\nWARC-Date: 2024-01-01T00:00:00Z\r\n" % url
    about = b"Content-Type: application/http; msgtype=response\r\nContent-Length: %d\r\n\r\n" % len(block)
    return head + about + block + b"\r\n\r\n"


def _two_records(rows: Rows) -> Iterator[tuple[str, str, int]]:
    if rows.total < 2:
        yield "SILENT", f"2 records, {rows.total} rows ({rows.reasons()})", 2 - rows.total
    if not any(row["url"] == SOUND for row in rows.documents):
        yield "COLLATERAL", f"the sound record after it is lost ({rows.reasons()})", 0


def _body(message: Message) -> Check:
    def check(rows: Rows) -> Iterator[tuple[str, str, int]]:
        yield from _two_records(rows)
        found = next((row["text"] for row in rows.documents if row["url"] != SOUND), "")
        if not message.refused and not same_text(found, message.body):
            yield "VALUE", f"{message.title}: {found[:50]!r}, {message.body[:50]!r} by llhttp ({rows.reasons()})", 0

    return check
