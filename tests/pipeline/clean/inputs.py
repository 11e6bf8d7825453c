"""Good input for the clean stage, and how to damage it: the counts are exact, and the good records are all there."""

import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

Clean = Callable[..., Any]


def lines(first: int, last: int, size: int = 200) -> bytes:
    """JSON lines that hardly compress, so that a damaged byte lies in the middle of data."""
    records = [{"id": str(n), "text": f"record {n} {os.urandom(size).hex()}"} for n in range(first, last)]
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def zip_with(members: Mapping[str, bytes]) -> bytes:
    """A ZIP file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tar_with(members: Mapping[str, bytes]) -> bytes:
    """A tar file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def damage(data: bytes, at: int, size: int = 64) -> bytes:
    return data[:at] + b"\xaa" * size + data[at + size :]


def page(text: str, head: str = "") -> bytes:
    body = f"<p>{text} This is a paragraph of running text, long enough to be taken for content.</p>"
    return f"<html><head><title>A page</title>{head}</head><body><main>{body}</main></body></html>".encode()


def response(body: bytes, url: str = "https://site.example/", content_type: str = "text/html; charset=utf-8") -> bytes:
    http = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n".encode() + body
    return warc_record(http, url)


def warc_record(block: bytes, url: str, kind: str = "response", length: int | None = None) -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2024-01-01T00:00:00Z\r\n"
    head += "Content-Type: application/http; msgtype=response\r\n"
    head += f"Content-Length: {len(block) if length is None else length}\r\n\r\n"
    return head.encode() + block + b"\r\n\r\n"


def warc(count: int) -> list[bytes]:
    return [
        response(page(f"Page number {n}. {os.urandom(400).hex()}"), f"https://site.example/{n}") for n in range(count)
    ]
