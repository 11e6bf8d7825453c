"""Real HTML pages out of documentation packages, as WARC files: one gzip member a record."""

import datetime
import io
import re
import uuid
from dataclasses import dataclass
from email.utils import formatdate

from packages import Cache, name_order
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

SPACE = uuid.UUID("8a2d6f2e-3b61-4f83-9c57-0d2c3b6f1a55")  # record ids are made of it and the record's URL


@dataclass(frozen=True)
class Page:
    """One page; ``release`` tells two releases of the same page apart."""

    url: str
    body: bytes
    mtime: int
    language: str
    key: str
    release: str


@dataclass
class WarcFile:
    """A WARC in memory; ``starts`` has the byte offset of each record."""

    software: str

    def __post_init__(self) -> None:
        self.buffer = io.BytesIO()
        self.writer = WARCWriter(self.buffer, gzip=True, warc_version="1.0")
        self.starts: list[int] = []

    def info(self, name: str, description: str, mtime: int) -> None:
        """The warcinfo record that every WARC begins with."""
        fields = {"software": self.software, "format": "WARC File Format 1.0", "description": description}
        payload = "".join(f"{key}: {value}\r\n" for key, value in fields.items()).encode()
        self._write(
            "warcinfo", "", payload, mtime, None, {"WARC-Filename": name, "Content-Type": "application/warc-fields"}
        )

    def response(
        self, url: str, body: bytes, mtime: int, status: str = "200 OK", headers: dict[str, str] | None = None
    ) -> str:
        """Writes a response record and returns its id."""
        fields = {"Content-Type": "text/html", "Last-Modified": formatdate(mtime, usegmt=True)}
        fields |= {"Content-Length": str(len(body))} | (headers or {})
        http = StatusAndHeaders(status, list(fields.items()), protocol="HTTP/1.1")
        return self._write("response", url, body, mtime, http, {})

    def request(self, url: str, mtime: int) -> str:
        """Writes the request record that goes with a response."""
        http = StatusAndHeaders("GET / HTTP/1.1", [("Host", url.split("/")[2])], is_http_request=True)
        return self._write("request", url, b"", mtime, http, {})

    def data(self) -> bytes:
        """The whole file."""
        return self.buffer.getvalue()

    def _write(
        self, kind: str, url: str, body: bytes, mtime: int, http: StatusAndHeaders | None, headers: dict[str, str]
    ) -> str:
        stamp = datetime.datetime.fromtimestamp(mtime, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        identifier = f"<urn:uuid:{uuid.uuid5(SPACE, f'{kind} {url} {len(self.starts)}')}>"
        record = self.writer.create_warc_record(
            url,
            kind,
            payload=io.BytesIO(body),
            length=len(body),
            http_headers=http,
            warc_headers_dict={"WARC-Record-ID": identifier, "WARC-Date": stamp, **headers},
        )
        self.starts.append(self.buffer.tell())
        self.writer.write_record(record)
        return identifier.strip("<>")


def pages(cache: Cache, package: str, pattern: str, host: str, release: str) -> list[Page]:
    """The pages of a package whose path matches; the pattern's groups are ``key`` and perhaps ``lang``."""
    found = []
    for member in cache.members(package, pattern):
        match = re.search(pattern, member.path)
        assert match is not None
        language = re.split(r"[-_]", match.groupdict().get("lang") or "en")[0]
        found.append(
            Page(f"https://{host}/{release}/{match['key']}", member.data, member.mtime, language, match["key"], release)
        )
    return sorted(found, key=lambda page: name_order(page.key))


def take(found: list[Page], language: str, html_bytes: int, least_bytes: int = 6000) -> list[Page]:
    """The first pages of a language, until their HTML fills the budget."""
    taken, used = [], 0
    for page in found:
        if page.language == language and least_bytes <= len(page.body) <= 120_000 and used < html_bytes:
            taken.append(page)
            used += len(page.body)
    return taken


def warc(name: str, description: str, chosen: list[Page]) -> bytes:
    """A WARC of pages, in an order that keeps the releases of a page apart."""
    file = WarcFile("tokenmill data/make_sample")
    file.info(name, description, max(page.mtime for page in chosen))
    for page in sorted(chosen, key=lambda page: name_order(page.url)):
        file.response(page.url, page.body, page.mtime)
    return file.data()


def revisions(found: list[Page], chosen: list[Page], number: int) -> list[Page]:
    """The pages of another release that were edited between the two, and a few where at most its number changed."""
    newer = {page.key: page for page in chosen}
    edited: list[Page] = []
    same: list[Page] = []
    for page in found:
        if page.key in newer:
            other = newer[page.key]
            renumbered = page.body.replace(page.release.encode(), other.release.encode())
            (same if renumbered == other.body else edited).append(page)
    return edited[:number] + same[: number // 4]
