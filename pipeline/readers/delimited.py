"""CSV and TSV files to records: the first row names the fields.

Python's ``csv`` splits rows, strictly.  Where a row is damaged, or a stray quote makes a row of many lines, the damage
costs its first line only: the lines after it are read again.
"""

import csv
from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Any

from pipeline.readers.lines import lines
from pipeline.readers.records import Damaged, Fields, Item
from pipeline.readers.streams import Gap, Limits

MAX_FIELD_CHARACTERS = 32 << 20  # csv holds a field as four bytes per character
BOM = "\ufeff"


def read_delimited(
    chunks: Iterator[bytes | Gap], path: str, delimiter: str, fields: Fields, limits: Limits
) -> Iterator[Item]:
    """One record per row after the header row; a blank line is no row.

    The offset of a record is its row, counted from 0 below the header.
    """
    csv.field_size_limit(MAX_FIELD_CHARACTERS)  # csv has one limit per process and none per reader
    feed = _Feed(chunks, path, limits)
    rows = _rows(feed, delimiter)
    header: list[str] | None = None
    number = 0
    for row, text in rows:
        if isinstance(row, Damaged):
            if row.reason == "csv_invalid":  # the others have the offset of their line
                row.offset, number = number, number + 1
            yield row
        elif header is None:
            header = _names(row)
            if len(header) == 1 and (other := _other_delimiter(header[0])) is not None:
                feed.delimiter = other
                header = _names(next(csv.reader([text], delimiter=other)))
        else:
            item = _record(header, row, path, number, text, fields)
            if isinstance(item, Damaged) and item.reason == "ragged_row" and feed.give_back():
                item.head = item.head.partition(b"\n")[0]
            number += 1
            yield item


def _names(row: list[str]) -> list[str]:
    """Names of the fields; bytes that are not UTF-8 become U+FFFD in them."""
    return [name.encode("utf-8", "surrogateescape").decode("utf-8", "replace").strip() for name in row]


def _other_delimiter(header: str) -> str | None:
    return next((mark for mark in ("\t", ";", "|") if mark in header), None)


class _Feed:
    """Lines as text, with a way back to all but the first line of the current row."""

    def __init__(self, chunks: Iterator[bytes | Gap], path: str, limits: Limits) -> None:
        self.path = path
        self._lines = lines(_with_line_feeds(chunks), path, limits.record_bytes)
        self._again: deque[str] = deque()
        self.row: list[str] = []  # lines of the current row
        self.damage: Damaged | None = None
        self.delimiter: str | None = None  # of the rows from the next one on, where it is not the format's
        self._first = True

    def give_back(self) -> bool:
        """Returns the current row's lines but the first to the input; False where it has one line."""
        self._again.extendleft(reversed(self.row[1:]))
        several = len(self.row) > 1
        self.row = self.row[:1]
        return several

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._again:
            text = self._again.popleft()
        else:
            line = next(self._lines)
            if isinstance(line, Damaged):
                self.damage = line
                raise StopIteration
            text = line.data.decode("utf-8", "surrogateescape") + "\n"
            if self._first:
                text = text.removeprefix(BOM)
        self._first = False
        self.row.append(text)
        return text


def _with_line_feeds(chunks: Iterator[bytes | Gap]) -> Iterator[bytes | Gap]:
    """The same chunks; of a file whose lines end with a bare carriage return (old spreadsheets), with line feeds."""
    first = next(chunks, b"")
    bare = isinstance(first, bytes) and b"\n" not in first and b"\r" in first
    for chunk in chain([first], chunks):
        yield chunk.replace(b"\r", b"\n") if bare and isinstance(chunk, bytes) else chunk


def _rows(feed: _Feed, delimiter: str) -> Iterator[tuple[list[str] | Damaged, str]]:
    """Rows with the text they came from, or damage."""
    while True:
        ended = False
        reader = csv.reader(feed, delimiter=feed.delimiter or delimiter, strict=True)
        before = feed.delimiter
        while feed.delimiter == before:
            feed.row = []
            try:
                row: Any = next(reader)
            except StopIteration:
                ended = True
                break
            except csv.Error as error:
                feed.give_back()
                text = "".join(feed.row)
                if data := text.encode("utf-8", "surrogateescape"):
                    yield Damaged(feed.path, 0, len(data), "csv_invalid", str(error), data), text
                break
            if row:
                yield row, "".join(feed.row)
        if feed.damage is not None:
            damage, feed.damage = feed.damage, None
            yield damage, ""
        elif ended:
            return


def _record(header: list[str], row: list[str], path: str, number: int, text: str, fields: Fields) -> Item:
    data = text.encode("utf-8", "surrogateescape")
    if len(row) != len(header):
        detail = f"{len(row)} fields, the header has {len(header)}"
        return Damaged(path, number, len(data), "ragged_row", detail, data)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return Damaged(path, number, len(data), "not_utf8", str(error)[:200], data)
    return fields.record(dict(zip(header, row, strict=True)), path, number, data)
