"""CSV and TSV files to records: a row among the first ones names the fields, or the recipe does.

Python's ``csv`` splits rows, strictly.  Where a row is damaged, or a stray quote makes a row of many lines, the damage
costs its first line only: the lines after it are read again, each but a bounded number of times.
"""

import csv
from collections.abc import Iterator, Sequence

from pipeline.readers.delimited.dialect import Dialect, dialect_of, line_that_names
from pipeline.readers.delimited.feed import Feed
from pipeline.readers.delimited.header import has_header, header_names, names_by_place, widths_of
from pipeline.readers.delimited.repair import repaired
from pipeline.readers.delimited.table import Table, wanted_names
from pipeline.readers.records import Damaged, Excluded, Fields, Item, Record
from pipeline.readers.streams import Gap, Limits
from pipeline.recipe.csv_options import AUTO, Csv

END = "unexpected end of data"  # what csv says of a quote that is not closed
MAX_TABLES = 100  # of one file: each looks at the lines below its header
MAX_REPAIRED = 1 << 20  # delimiters of the lines of one file whose quotes may be set right
NO_HEADER = (
    "its first line looks like data, so the columns are named {} by place: set fields, csv.columns or csv.header"
)


def read_delimited(
    chunks: Iterator[bytes | Gap],
    path: str,
    delimiter: str,
    fields: Fields,
    limits: Limits,
    options: Csv | None = None,
) -> Iterator[Item]:
    """One record per row below the header; a blank line is no row.

    The header is the first of the first rows that names the text; where none does it is the first row, unless that
    looks like data.  The offset of a record is its row, counted from 0 below the first row.
    """
    csv.field_size_limit(limits.record_bytes)  # csv has one limit per process and none per reader
    options = Csv() if options is None else options
    yield from _Reader(Feed(chunks, path, limits, options.comment), delimiter, fields, options).items()


class _Reader:
    """The items of one file."""

    def __init__(self, feed: Feed, delimiter: str, fields: Fields, options: Csv) -> None:
        self._feed, self._path = feed, feed.path
        self._default, self._fields, self._options = delimiter, fields, options
        self._wanted = wanted_names(fields)
        self._number = 0  # of the next item
        self._table: Table | None = None  # until there is a header
        self._tables = 0
        self._repairs = MAX_REPAIRED

    def items(self) -> Iterator[Item]:
        """What stands above the table, and its rows."""
        for line in self._feed.drop_lines(self._options.skip_lines):
            self._fields.heading(line.encode("utf-8", "surrogateescape"))
            yield self._excluded(line, "skipped_line", "above the table: csv.skip_lines passes over it")
        self._dialect = self._told()
        yield from self._above()
        feed = self._feed
        for row, text in self._rows():
            if feed.comments:
                yield from self._comments()
            if isinstance(row, Damaged):
                if row.reason == "csv_invalid":  # the others have the offset of their line
                    row.offset = self._next()
                yield row
            elif self._table is None:
                self._begin(row, text)
            elif isinstance(item := self._table.record(row, self._number, text), Record):
                self._number += 1
                yield item
            elif item is None:
                yield self._again(self._table, row, text)
            else:
                yield self._first_line(self._table, item)
        yield from self._comments()

    def _told(self) -> Dialect:
        """The dialect; a first line ``sep=;`` of Excel's is taken away."""
        options, sample = self._options, self._feed.sample()
        if sample and sample[0].lower().startswith("sep=") and len(sample[0].strip()) == 5:
            self._fields.heading("".join(self._feed.drop_lines(1)).encode("utf-8", "surrogateescape"))
            if options.delimiter == AUTO:
                options = options.model_copy(update={"delimiter": sample[0][4]})
            sample = self._feed.sample()
        return dialect_of(sample, self._default, options, self._wanted)

    def _above(self) -> Iterator[Item]:
        """The lines above the one that names the columns; without such a line the table begins at once."""
        options, sample = self._options, self._feed.sample()
        at = line_that_names(self._dialect, sample, self._wanted) if options.header == AUTO else None
        if at is not None and not options.columns:
            for line in self._feed.lines_above(at):
                data = line.encode("utf-8", "surrogateescape")
                if data.strip():
                    detail = "a line above the one that names the fields"
                    yield Damaged(self._path, self._next(), len(data), "ragged_row", detail, data)
        elif not has_header(sample, self._dialect, options, self._wanted):
            names = names_by_place(sample, self._dialect, options.columns)
            hint = NO_HEADER.format(_and(names)) if options.header == AUTO and not options.columns else ""
            self._table = self._table_of(names, hint)

    def _begin(self, row: list[str], text: str) -> None:
        """Takes a row as the header."""
        self._fields.heading(text.encode("utf-8", "surrogateescape"))
        below = self._feed.sample()
        names = list(self._options.columns)
        if names:
            names = names_by_place(below, self._dialect, names)
        self._table = self._table_of(names or header_names(row, text, below, self._dialect))

    def _table_of(self, names: list[str], hint: str = "") -> Table:
        again = self._options.header is not False
        return Table(self._path, names, self._fields, self._feed.sample(), self._dialect, hint=hint, may_repeat=again)

    def _again(self, table: Table, row: list[str], text: str) -> Item:
        """The item of a row that names the columns again; by another such row the rows below it are read."""
        item = self._excluded(text, "repeated_header", "a row that names the columns, as the header does")
        self._tables += 1
        if not table.is_header(row) and self._tables < MAX_TABLES:
            self._begin(row, text)
        return item

    def _first_line(self, table: Table, item: Item) -> Item:
        """The item of what is no record; where it has several lines, that of the first one: the others come again."""
        number = self._next()
        if isinstance(item, Damaged) and item.reason == "ragged_row" and self._feed.give_back():
            line = self._feed.row[0]
            if (fields := self._repaired(line)) is not None and (
                made := table.record(fields, number, line)
            ) is not None:
                return made
            item.length = len(line.encode("utf-8", "surrogateescape"))
            item.head = item.head.partition(b"\n")[0]
        return item

    def _rows(self) -> Iterator[tuple[list[str] | Damaged, str]]:
        """Rows with the text they came from, or damage."""
        feed = self._feed
        reader = self._dialect.reader(feed)
        while True:
            feed.row = []
            try:
                row = self._alone() if feed.alone else next(reader)
            except StopIteration:
                if feed.damage is None:
                    return
            except csv.Error as error:
                feed.give_back(damaged=True, to_the_end=str(error) == END)
                if text := "".join(feed.row):
                    yield self._of_damaged(text, str(error)), text
            else:
                if row:
                    yield row, "".join(feed.row)
                continue
            reader = self._dialect.reader(feed)
            if feed.damage is not None:
                damage, feed.damage = feed.damage, None
                yield damage, ""

    def _of_damaged(self, text: str, error: str) -> list[str] | Damaged:
        """The fields of a line that csv refuses, if only its quotes are wrong."""
        if self._table is None:
            widths = widths_of(self._feed.sample(), self._dialect)
            usual = max(set(widths), key=widths.count) if widths else 0
            header = repaired(text, self._dialect, usual) or self._dialect.row(text)
            return [name.strip(f" {self._dialect.quote}") for name in header]
        if (fields := self._repaired(text, at_the_end=error == END)) is not None:
            return fields
        data = text.encode("utf-8", "surrogateescape")
        return Damaged(self._path, 0, len(data), "csv_invalid", error, data)

    def _repaired(self, line: str, *, at_the_end: bool = False) -> list[str] | None:
        """The fields of a line that is no row, if only its quotes are wrong and the line below is a row by itself."""
        assert self._table is not None, "a row before the header"
        dialect, width = self._dialect, len(self._table.names)
        self._repairs -= line.count(dialect.delimiter) + 1
        fields = repaired(line, dialect, width) if self._repairs > 0 else None
        if fields is None:
            return None
        below = self._feed.sample(1)
        if not below:
            return None if at_the_end else fields
        whole = dialect.is_row(below[0]) and below[0].count(dialect.quote) % 2 == 0
        return fields if whole and len(dialect.row(below[0])) == width else None

    def _alone(self) -> list[str]:
        """The row of one line, which is known to be damaged if it is not whole."""
        feed = self._feed
        before, feed.alone = feed.alone - 1, 0
        try:
            return list(next(self._dialect.reader([next(feed)]), []))
        finally:
            feed.alone = before

    def _comments(self) -> Iterator[Excluded]:
        lines, self._feed.comments = self._feed.comments, []
        for line in lines:
            yield self._excluded(line, "comment_line", f"begins with csv.comment = {self._options.comment!r}")

    def _excluded(self, line: str, reason: str, detail: str) -> Excluded:
        length = len(line.encode("utf-8", "surrogateescape"))
        return Excluded(self._path, self._next(), reason, detail, length=length)

    def _next(self) -> int:
        self._number += 1
        return self._number - 1


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
