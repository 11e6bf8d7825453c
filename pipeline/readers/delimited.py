"""CSV and TSV files to records: a row among the first ones names the fields.

Python's ``csv`` splits rows, strictly.  Where a row is damaged, or a stray quote makes a row of many lines, the damage
costs its first line only: the lines after it are read again, each but a bounded number of times.
"""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from pipeline.readers.columns.values import distinct
from pipeline.readers.lines import lines
from pipeline.readers.records import Damaged, Fields, Item
from pipeline.readers.streams import Gap, Limits

MAX_ROW_CHARACTERS = 32 << 20  # of a row over several lines: a quote that is never closed must not take the whole file
SAMPLE_LINES = 100  # that the dialect is told from
HEADER_ROWS = 20  # among which the one may be that names the text
RAGGED_SHARE = 0.2  # of rows: as many do not lack or have a field by accident
REREAD_LINES = 20_000  # that may be read again because of ragged rows
BOM = "\ufeff"
END = "unexpected end of data"  # what csv says of a quote that is not closed


@dataclass(frozen=True)
class Dialect:
    """How the fields of a row are told apart."""

    delimiter: str
    quote: str = '"'
    escape: str | None = None
    skip_space: bool = False

    def reader(self, rows: Iterator[str] | Sequence[str], *, strict: bool = True) -> Any:
        """Python's reader of it."""
        return csv.reader(
            rows,
            delimiter=self.delimiter,
            quotechar=self.quote,
            escapechar=self.escape,
            doublequote=self.escape is None,
            skipinitialspace=self.skip_space,
            strict=strict,
        )

    def row(self, text: str) -> list[str]:
        """The fields of one line, whatever is wrong with it."""
        try:
            return list(next(self.reader([text], strict=False), []))
        except csv.Error:
            return text.rstrip("\r\n").split(self.delimiter)


def dialect_of(sample: Sequence[str], delimiter: str) -> Dialect:
    """The dialect that the first lines are in: the format's own, unless they say clearly that it is another."""
    text = "".join(sample)
    dialect = Dialect(delimiter)
    first = next((line for line in sample if line.strip()), "")
    if len(dialect.row(first)) == 1:
        others = (replace(dialect, delimiter=mark) for mark in ("\t", ";", "|", ",") if mark != delimiter)
        dialect = next((other for other in others if len(other.row(first)) > 1), dialect)
    mark = dialect.delimiter
    if f'{mark} "' in text and f'{mark}"' not in text:
        dialect = replace(dialect, skip_space=True)
    if '"' not in text and min(text.count(f"{mark}'"), text.count(f"'{mark}")) >= max(3, len(sample) // 2):
        dialect = replace(dialect, quote="'")
    escaped = replace(dialect, escape="\\")
    if '\\"' in text and _damaged(escaped, sample) < _damaged(dialect, sample):
        dialect = escaped
    return dialect


def _damaged(dialect: Dialect, sample: Sequence[str]) -> int:
    """Lines of a sample that are no row by themselves."""
    count = 0
    for line in sample:
        try:
            list(dialect.reader([line]))
        except csv.Error:
            count += 1
    return count


def read_delimited(
    chunks: Iterator[bytes | Gap], path: str, delimiter: str, fields: Fields, limits: Limits
) -> Iterator[Item]:
    """One record per row after the header row; a blank line is no row.

    The header is the first of the first rows that names the text; where none does, it is the first row.  The offset of
    a record is its row, counted from 0 below the first row.
    """
    csv.field_size_limit(limits.record_bytes)  # csv has one limit per process and none per reader
    feed = _Feed(chunks, path, limits)
    sample = feed.sample()
    if sample and sample[0].lower().startswith("sep=") and len(sample[0].strip()) == 5:  # Excel's own line
        dialect = Dialect(sample[0][4])
        feed.drop_lines(1)
        sample = feed.sample()
    else:
        dialect = dialect_of(sample, delimiter)
    wanted = (fields.html_name,) if fields.html_name else fields.names["text"]
    number = 0
    for line in feed.drop_lines(_lines_above(sample, dialect, wanted)):
        data = line.encode("utf-8", "surrogateescape")
        if data.strip():
            yield Damaged(path, number, len(data), "ragged_row", "a line above the one that names the fields", data)
            number += 1
    table: _Table | None = None
    for row, text in _rows(feed, dialect):
        if table is None and (not isinstance(row, Damaged) or row.reason == "csv_invalid"):
            names = dialect.row(text) if isinstance(row, Damaged) else row
            table = _Table(path, names, text, fields, feed.sample(), dialect)
        elif isinstance(row, Damaged):
            if row.reason == "csv_invalid":  # the others have the offset of their line
                row.offset, number = number, number + 1
            yield row
        else:
            assert table is not None, "a row before the header"
            item = table.record(row, number, text)
            if isinstance(item, Damaged) and item.reason == "ragged_row" and feed.give_back():
                item.head = item.head.partition(b"\n")[0]
            number += 1
            yield item


def _lines_above(sample: Sequence[str], dialect: Dialect, wanted: Sequence[str | None]) -> int:
    """Lines above the first one that names the text; 0 where none does."""
    for number, line in enumerate(sample[:HEADER_ROWS]):
        if not set(wanted).isdisjoint(name.strip() for name in dialect.row(line)):
            return number
    return 0


class _Table:
    """The names of the fields, and rows by them."""

    def __init__(
        self, path: str, header: list[str], text: str, fields: Fields, below: Sequence[str], dialect: Dialect
    ) -> None:
        self._path, self._fields = path, fields
        names = [name.encode("utf-8", "surrogateescape").decode("utf-8", "replace").strip() for name in header]
        widths = [len(dialect.row(line)) for line in below if line.strip() and not _damaged(dialect, [line])]
        usual = max(set(widths), key=widths.count) if len(widths) >= 3 else len(names)
        if widths.count(usual) * 10 >= 9 * len(widths):
            names = _of_width(text, usual, dialect, names) if len(names) < usual else names
            while len(names) > usual and "" in names:
                del names[len(names) - 1 - names[::-1].index("")]
            names += [""] * (usual - len(names))
        short = sum(width < len(names) for width in widths)
        self._pads = short >= max(2, RAGGED_SHARE * len(widths))
        self._wanted = [fields.html_name] if fields.html_name else list(fields.names["text"])
        if set(self._wanted).isdisjoint(names):  # as databases shout it
            names = [name.lower() if name.lower() in self._wanted else name for name in names]
        twice = (name for name in self._wanted if name is not None and names.count(name) > 1)
        self._twice = None if fields.whole else next(twice, None)
        self.names = distinct(names)

    def record(self, row: list[str], number: int, text: str) -> Item:
        """The record of a row, or what is wrong with it."""
        data = text.encode("utf-8", "surrogateescape")
        row = self._fitted(row)
        if len(row) != len(self.names):
            detail = f"{len(row)} fields, the header has {len(self.names)}"
            return Damaged(self._path, number, len(data), "ragged_row", detail, data)
        if self._twice is not None:
            detail = f"several columns are named {self._twice}; rename all but one"
            return Damaged(self._path, number, len(data), "ambiguous_text", detail, data)
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            return Damaged(self._path, number, len(data), "not_utf8", str(error)[:200], data)
        return self._fields.record(dict(zip(self.names, row, strict=True)), self._path, number, data)

    def _fitted(self, row: list[str]) -> list[str]:
        """A row without blank fields beyond the header's; in a file that spares its last fields, with these."""
        size = len(self.names)
        if len(row) > size and not any(cell.strip() for cell in row[size:]):
            return row[:size]
        if (
            self._pads
            and len(row) < size
            and (self._fields.whole or any(name in self._wanted for name in self.names[: len(row)]))
        ):
            return row + [""] * (size - len(row))
        return row


def _of_width(text: str, width: int, dialect: Dialect, names: list[str]) -> list[str]:
    """Names of a header whose quotes or delimiters are not those of the rows: the split that has their width."""
    for mark in (dialect.delimiter, ",", ";", "\t", "|", " "):
        found = [name.strip(" \r\n\"'") for name in text.split(mark)]
        if len(found) == width:
            return [name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name in found]
    return names


class _Feed:
    """Lines as text, with a way back to all but the first line of the current row."""

    def __init__(self, chunks: Iterator[bytes | Gap], path: str, limits: Limits) -> None:
        self.path = path
        self._lines = lines(_with_line_feeds(chunks), path, limits.record_bytes)
        self._again: deque[str] = deque()
        self._damages: deque[Damaged] = deque()  # met while looking ahead
        self.row: list[str] = []  # lines of the current row
        self.damage: Damaged | None = None
        self._size = 0
        self._first = True
        self._reread = 0
        self.alone = 0  # lines of which each is a row by itself, or none: a longer one ends as the last one did

    def sample(self) -> list[str]:
        """The next lines, which stay."""
        while len(self._again) < SAMPLE_LINES and not self._damages and (line := self._read()) is not None:
            self._again.append(line)
        return list(self._again)[:SAMPLE_LINES]

    def drop_lines(self, count: int) -> list[str]:
        """Takes the next lines, which the sample has shown."""
        return [self._again.popleft() for _ in range(count)]

    def give_back(self, *, damaged: bool = False, to_the_end: bool = False) -> bool:
        """Returns the current row's lines but the first to the input; False where it has one line.

        Args:
            damaged: The row ended in damage: one that begins on a line between does so too, if it is of several lines.
            to_the_end: Of the file, and not on its last line.
        """
        several = len(self.row) > 1
        if not damaged:
            self._reread += len(self.row) - 1
            if self._reread > REREAD_LINES:
                return False
        self._again.extendleft(reversed(self.row[1:]))
        if damaged and several:
            self.alone = max(0, len(self.row) - (1 if to_the_end else 2))
        self.row = self.row[:1]
        return several

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._again:
            text = self._again.popleft()
        elif self._damages or (read := self._read()) is None:
            self.damage = self._damages.popleft() if self._damages else None
            raise StopIteration
        else:
            text = read
        self.row.append(text)
        self._size = self._size + len(text) if len(self.row) > 1 else len(text)
        if len(self.row) > 1 and self._size > MAX_ROW_CHARACTERS:
            raise csv.Error(f"a row over several lines has more than {MAX_ROW_CHARACTERS:,} characters")
        return text

    def _read(self) -> str | None:
        """The next line of the file; None at its end, and at damage, which is noted."""
        line = next(self._lines, None)
        if isinstance(line, Damaged):
            self._damages.append(line)
        if line is None or isinstance(line, Damaged):
            return None
        text = line.data.decode("utf-8", "surrogateescape") + "\n"
        text = text.removeprefix(BOM) if self._first else text
        self._first = False
        return text


def _with_line_feeds(chunks: Iterator[bytes | Gap]) -> Iterator[bytes | Gap]:
    """The same chunks; of a file whose lines end with a bare carriage return (old spreadsheets), with line feeds."""
    first = next(chunks, b"")
    bare = isinstance(first, bytes) and b"\n" not in first and b"\r" in first
    for chunk in chain([first], chunks):
        yield chunk.replace(b"\r", b"\n") if bare and isinstance(chunk, bytes) else chunk


def _rows(feed: _Feed, dialect: Dialect) -> Iterator[tuple[list[str] | Damaged, str]]:
    """Rows with the text they came from, or damage."""
    reader = dialect.reader(feed)
    while True:
        feed.row = []
        try:
            row = _alone(feed, dialect) if feed.alone else next(reader)
        except StopIteration:
            if feed.damage is None:
                return
            damage, feed.damage = feed.damage, None
            yield damage, ""
            reader = dialect.reader(feed)
            continue
        except csv.Error as error:
            feed.give_back(damaged=True, to_the_end=str(error) == END)
            text = "".join(feed.row)
            if data := text.encode("utf-8", "surrogateescape"):
                yield Damaged(feed.path, 0, len(data), "csv_invalid", str(error), data), text
            reader = dialect.reader(feed)
            if feed.damage is not None:
                damage, feed.damage = feed.damage, None
                yield damage, ""
            continue
        if row:
            yield row, "".join(feed.row)


def _alone(feed: _Feed, dialect: Dialect) -> list[str]:
    """The row of one line, which is known to be damaged if it is not whole."""
    before = feed.alone - 1
    feed.alone = 0
    try:
        return list(next(dialect.reader([next(feed)]), []))
    finally:
        feed.alone = before
