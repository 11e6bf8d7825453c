"""Where one page comes from: a file, standard input, or the record of a WARC file with a URL."""

import sys
from difflib import get_close_matches

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.readers.parts.formats import SNIFF_BYTES, format_of_bytes
from pipeline.readers.ranges import RangeReader
from pipeline.readers.raw.compression import compression_of
from pipeline.readers.raw.http import ResponseError, decoded
from pipeline.readers.records import Damaged, Excluded, Record
from pipeline.readers.streams import Limits
from pipeline.readers.warc import read_warc

STATUSES = frozenset(range(100, 600))  # a person who names a URL wants the page, whatever its status was
URLS_KEPT = 10_000  # of a WARC file, to say which are like the one that is not there


def find_page(file: str, url: str | None = None) -> Record:
    """The record of a page.

    Args:
        file: A file, an fsspec URL, or ``-`` for standard input.
        url: Of the page in ``file``, which is then a WARC file.

    Raises:
        UserError: If it is not there.
    """
    if url is not None:
        return _in_warc(file, url)
    body = sys.stdin.buffer.read() if file == "-" else _read(file)
    if format_of_bytes(body[:SNIFF_BYTES]) == "warc":
        raise UserError(f"{file}: is a WARC file; name the page in it with --url URL")
    if compression := compression_of(body):
        try:
            body = decoded(body, compression, Limits().record_bytes)
        except ResponseError as error:
            raise UserError(f"{file}: {error}") from error
    return Record(file, 0, body=body, body_type="html")


def _read(file: str) -> bytes:
    try:
        with open(storage.open_local(storage.absolute(file)), "rb") as opened:
            head = opened.read(SNIFF_BYTES)
            return head if format_of_bytes(head) == "warc" else head + opened.read()
    except FileNotFoundError as error:
        raise UserError(f"{file}: no such file") from error


def _in_warc(file: str, url: str) -> Record:
    try:
        local = storage.open_local(storage.absolute(file))
        size = local.stat().st_size
    except FileNotFoundError as error:
        raise UserError(f"{file}: no such file") from error
    seen: list[str] = []
    records = 0
    with RangeReader(local, 0, size) as reader:
        for item in read_warc(reader, file, Limits(), STATUSES):
            records += 1
            if isinstance(item, Damaged) or item.url is None:
                continue
            if item.url == url and isinstance(item, Record) and item.body_type == "html":
                return item
            if item.url == url and isinstance(item, Excluded) and item.reason != "record_type":
                raise UserError(f"{file}: {url}: no page: {item.reason}: {item.detail}")
            if len(seen) < URLS_KEPT:
                seen.append(item.url)
    near = get_close_matches(url, seen, 3, 0.5)
    hint = f"; there are {', '.join(near)}" if near else ""
    raise UserError(f"{file}: no page with the URL {url} among {records:,} records{hint}")
