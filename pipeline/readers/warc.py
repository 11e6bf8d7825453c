"""WARC and WET files to records: plain, compressed as one stream, or compressed record by record.

1. ``_Source`` gives the decompressed bytes of one gzip member (or of a whole plain file) with look-ahead.
2. A record's header, block and closing blank lines are checked against each other.
3. Damage costs one record: reading goes on at the next member, or at the next ``WARC/`` line of a plain file.

A record of a compressed file has the byte offset of its member, as WARC indexes have it.
"""

import re
from collections.abc import Generator, Iterator

from pipeline.readers.ranges import RangeReader
from pipeline.readers.raw.http import (
    HEADER_END,
    HTML_TYPES,
    RIGHTS_HEADERS,
    TEXT_TYPES,
    Response,
    ResponseError,
    looks_like_html,
    parse_headers,
    parse_response,
)
from pipeline.readers.raw.kinds import kind_of
from pipeline.readers.raw.ledger import Ledger
from pipeline.readers.records import Damaged, Excluded, Item, Record, too_large, unsupported, whole_number
from pipeline.readers.streams import Budget, Gap, Limits, member_chunks, plain_chunks

PREFIX = b"WARC/"
NEXT_RECORD = re.compile(rb"[\n\0](?=WARC/[01]\.\d\d?\r*\n)")
# what a site says of all of its pages
SITE_FILE = re.compile(r"https?://[^/?#]+(/robots\.txt|/\.well-known/tdmrep(?:\.json)?)$", re.IGNORECASE)
MAX_HEADER_BYTES = 1 << 16
# damage after which it is not known where the record ends
FRAMING = frozenset({"missing_warc_header", "warc_header_invalid", "length_mismatch"})


class _Source:
    """Bytes of one member or plain file, with look-ahead and a way back.

    ``gap`` is set when the bytes end in a damaged region.

    Args:
        chunks: The bytes.
        plain: The file, where these are its bytes as they are.
    """

    def __init__(self, chunks: Iterator[bytes | Gap], plain: RangeReader | None = None) -> None:
        self._chunks = chunks
        self._plain = plain
        self._buffer = b""
        self._at = 0
        self.position = 0
        self.gap: Gap | None = None

    def _fill(self) -> bool:
        chunk = next(self._chunks, None)
        if isinstance(chunk, Gap):
            self.gap = chunk
            self.drain()
            return False
        if chunk is None:
            return False
        self._buffer = self._buffer[self._at :] + chunk if self._at < len(self._buffer) else chunk
        self._at = 0
        return True

    def drain(self) -> None:
        """Lets the member's generator end, and so say where the next one starts."""
        for _ in self._chunks:
            pass

    def header(self) -> bytes:
        """The bytes up to and with the next blank line; all that is left where there is none."""
        while True:
            end = HEADER_END.search(self._buffer, self._at)
            if end:
                return self._consume(end.end() - self._at)
            if len(self._buffer) - self._at > MAX_HEADER_BYTES or not self._fill():
                return self._consume(min(len(self._buffer) - self._at, MAX_HEADER_BYTES))

    def skip_blank_lines(self) -> bool:
        """Skips line ends; returns whether anything follows."""
        while True:
            rest = self._buffer[self._at : self._at + 8].lstrip(b"\r\n")
            if rest:
                self._consume(len(self._buffer[self._at : self._at + 8]) - len(rest))
                return True
            self._consume(min(8, len(self._buffer) - self._at))
            if self._at >= len(self._buffer) and not self._fill():
                return False

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes; fewer at the end."""
        have = len(self._buffer) - self._at
        if have >= size:
            return self._consume(size)
        pieces = [self._consume(have)]
        while have < size and self._fill():
            pieces.append(self._consume(min(size - have, len(self._buffer))))
            have += len(pieces[-1])
        return b"".join(pieces)

    def skip(self, size: int) -> int:
        """Skips; returns how many bytes were there."""
        skipped = 0
        while skipped < size:
            piece = self.read(min(size - skipped, 1 << 20))
            if not piece:
                break
            skipped += len(piece)
        return skipped

    def unread(self, data: bytes) -> None:
        """Puts back what was read last."""
        self._buffer = data + self._buffer[self._at :]
        self._at = 0
        self.position -= len(data)

    def at_record_end(self) -> bool:
        """Whether a blank line, the end, or (some writers omit one line end) the next record comes next."""
        end = self.read(4)
        rest = end.lstrip(b"\r\n")
        if not rest:
            return True
        self.unread(rest)
        following = self.read(len(PREFIX))
        self.unread(following)
        if len(rest) < len(end) and following == PREFIX:
            return True
        self.unread(end[: len(end) - len(rest)])
        return False

    def may_end_after(self, size: int) -> bool:
        """False where a look ahead in a plain file shows that no record ends ``size`` bytes from here."""
        if self._plain is None:
            return True
        end = self._plain.start + self.position + size
        following = self._plain.peek(end, 4 + len(PREFIX)).lstrip(b"\r\n")
        return end <= self._plain.end and PREFIX.startswith(following[: len(PREFIX)])

    def to_next_record(self) -> bool:
        """Skips to the next line that begins a record; False when there is none."""
        while True:
            found = NEXT_RECORD.search(self._buffer, self._at)
            if found:
                self._consume(found.end() - self._at)
                return True
            keep = 16
            self._consume(max(0, len(self._buffer) - self._at - keep))
            if not self._fill():
                return False

    def _consume(self, size: int) -> bytes:
        data = self._buffer[self._at : self._at + size]
        self._at += len(data)
        self.position += len(data)
        return data


def read_warc(
    reader: RangeReader, path: str, limits: Limits, statuses: frozenset[int], ledger: Ledger | None = None
) -> Iterator[Item]:
    """Every record of a range of a WARC file: as a record, damaged, or excluded, as all but these ``statuses`` are."""
    ledger = ledger or Ledger()
    compression = reader.compression
    if compression is None:
        source = _Source(plain_chunks(reader), plain=reader)
        yield from _records(source, path, reader.start, limits, statuses, plain=True)
        ledger.given += source.position
        return
    position: int | None = reader.start
    while position is not None and position < reader.end:
        reader.seek(position)
        following: list[int | None] = []
        source = _Source(_noting(member_chunks(reader, compression, Budget(limits), PREFIX), following))
        yield from _records(source, path, position, limits, statuses, plain=False)
        source.drain()
        ledger.given += source.position
        position = following[0]


def _noting(
    chunks: Generator[bytes | Gap, None, int | None], returned: list[int | None]
) -> Generator[bytes | Gap, None, None]:
    returned.append((yield from chunks))


def _records(
    source: _Source, path: str, start: int, limits: Limits, statuses: frozenset[int], *, plain: bool
) -> Iterator[Item]:
    number = 0
    more = source.skip_blank_lines()
    while more:
        at = source.position
        item = _record(source, path, start + at if plain else start, limits, statuses)
        if source.gap is not None:
            break
        if isinstance(item, Damaged) and item.reason in FRAMING:
            more = source.to_next_record()
        else:
            more = source.skip_blank_lines()
            if source.gap is not None and source.gap.reason == "corrupt_compression":
                break  # the member's checksum is wrong: its record cannot be trusted
            number += 1
        item.length = source.position - at
        if isinstance(item, Record) and not plain:
            item.part_of_offset = number - 1
        yield item
    if source.gap is not None:
        yield source.gap.damaged(path)


def _record(source: _Source, path: str, offset: int, limits: Limits, statuses: frozenset[int]) -> Item:
    """Reads one record; after a damaged one the source is where the search for the next may begin."""
    head = source.header()
    if not head.startswith(PREFIX):
        source.unread(head)
        detail = "no WARC/ line where a record should start"
        return Damaged(path, offset, None, "missing_warc_header", detail, head)
    headers = parse_headers(head)
    length = whole_number(headers.get("content-length", ""))
    if length is None:
        detail = f"Content-Length is {headers.get('content-length', 'missing')}"
        return Damaged(path, offset, None, "warc_header_invalid", detail, head)
    if length > limits.record_bytes:
        return _too_large(source, path, offset, head, headers, length, limits)
    block = source.read(length)
    if source.gap is not None:
        return Excluded(path, offset, "damaged")  # the gap stands for it
    if len(block) < length or not source.at_record_end():
        source.unread(block)
        found = f"{len(block):,} bytes follow" if len(block) < length else "no blank line follows there"
        detail = f"Content-Length is {length:,}; {found}"
        return Damaged(path, offset, None, "length_mismatch", detail, head)
    return _convert(headers, block, path, offset, limits, statuses, head)


def _too_large(
    source: _Source, path: str, offset: int, head: bytes, headers: dict[str, str], length: int, limits: Limits
) -> Item:
    """Steps over a block that is too large to hold; one of an unwanted kind is excluded, not damaged."""
    if not source.may_end_after(length):  # its length lies: the records after its header are not to go with it
        detail = f"Content-Length is {length:,}; no record ends there"
        return Damaged(path, offset, None, "length_mismatch", detail, head)
    skipped = source.skip(length)
    if skipped < length:
        detail = f"Content-Length is {length:,}; {skipped:,} bytes follow"
        return Damaged(path, offset, None, "length_mismatch", detail, head)
    if headers.get("warc-type", "") not in ("response", "resource", "conversion"):
        return Excluded(path, offset, "record_type", headers.get("warc-type"), headers.get("warc-target-uri"))
    return too_large(path, offset, None, f"a record of {length:,} bytes", limits.record_bytes, head)


def _convert(
    headers: dict[str, str], block: bytes, path: str, offset: int, limits: Limits, statuses: frozenset[int], head: bytes
) -> Item:
    kind = headers.get("warc-type", "").lower()
    url = headers.get("warc-target-uri", "").strip("<>") or None
    if kind == "response":
        if url and url.split(":", 1)[0].lower() not in ("http", "https"):
            return Excluded(path, offset, "url_scheme", url.split(":", 1)[0][:40], url)
        try:
            response = parse_response(block, limits.record_bytes)
        except ResponseError as error:
            return Damaged(path, offset, None, "http_invalid", str(error), head + block)
    elif kind in ("conversion", "resource"):
        response = Response(200, {"content-type": headers.get("content-type", "")}, block)
    else:
        return Excluded(path, offset, "record_type", kind or "none", url)
    if response.status not in statuses:
        return Excluded(path, offset, "status", str(response.status), url)
    return _page(headers, response, kind, path, offset, url)


def _page(headers: dict[str, str], response: Response, kind: str, path: str, offset: int, url: str | None) -> Item:
    media_type = response.media_type
    place = SITE_FILE.match(url) if url and kind == "response" else None
    if place is not None and response.status == 200 and not looks_like_html(response.body):
        body_type = "robots" if place.group(1).endswith("robots.txt") else "tdmrep"
        return Record(path, offset, body=response.body, body_type=body_type, charset=response.charset, url=url)
    if media_type in HTML_TYPES or (not media_type and looks_like_html(response.body)):
        body_type = "html"
    elif media_type in TEXT_TYPES:
        body_type = "text"
    else:
        return Excluded(path, offset, "content_type", media_type or "none", url)
    binary = kind_of(response.body)
    if binary is not None:  # whatever the server calls it
        return Excluded(path, offset, unsupported(binary), media_type or None, url)
    return Record(
        path,
        offset,
        body=response.body,
        body_type=body_type,
        charset="utf-8" if kind == "conversion" else response.charset,
        id=headers.get("warc-record-id", "").strip("<>") or None,
        url=url,
        crawl_date=headers.get("warc-date"),
        headers={name: response.headers[name] for name in RIGHTS_HEADERS if name in response.headers} or None,
    )
