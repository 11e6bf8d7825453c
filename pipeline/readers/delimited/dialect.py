"""The dialect of a delimited file: as the recipe says, the rest told from its first lines."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.recipe.csv_options import AUTO, Csv

HEADER_ROWS = 20  # among which the one may be that names the text
USUAL_MARKS = (",", "\t", ";", "|")
RARE_MARKS = ("~", "^", ":", " ", "\x01", "\x1f", "#", "\xa7", "\xac")
MIN_LINES = 3
CONSISTENT = 0.9  # of the first rows have one width
STAND_IN = "\U0010ffff"  # a noncharacter: csv splits at one character only
_RUN = re.compile(r"[^\w\s\"'.\-]{2,4}")  # what may be a delimiter of several characters


@dataclass(frozen=True)
class Dialect:
    """How the fields of a row are told apart; ``quote`` is empty where there are no quotes."""

    delimiter: str
    quote: str = '"'
    escape: str | None = None
    skip_space: bool = False

    def reader(self, rows: Iterator[str] | Sequence[str], *, strict: bool = True) -> Iterator[list[str]]:
        """Python's reader of it."""
        several = len(self.delimiter) > 1
        options: dict[str, Any] = {
            "delimiter": STAND_IN if several else self.delimiter,
            "quotechar": self.quote or None,
            "quoting": csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            "escapechar": self.escape,
            "doublequote": self.escape is None,
            "skipinitialspace": self.skip_space,
            "strict": strict,
        }
        if not several:
            return csv.reader(rows, **options)
        read = csv.reader((row.replace(self.delimiter, STAND_IN) for row in rows), **options)
        return ([cell.replace(STAND_IN, self.delimiter) for cell in row] for row in read)

    def row(self, text: str) -> list[str]:
        """The fields of one line, whatever is wrong with it."""
        try:
            return list(next(self.reader([text], strict=False), []))
        except csv.Error:
            return text.rstrip("\r\n").split(self.delimiter)

    def is_row(self, text: str) -> bool:
        """Whether a line is a row by itself."""
        try:
            return len(list(self.reader([text]))) == 1
        except csv.Error:
            return False


def dialect_of(sample: Sequence[str], default: str, options: Csv, wanted: Sequence[str]) -> Dialect:
    """The dialect that the first lines are in: as stated, else the format's own unless they say clearly otherwise.

    Args:
        sample: The first lines.
        default: The delimiter of the format.
        options: What the recipe says.
        wanted: Names of which one is in the header.
    """
    lines = [line for line in sample if line.strip()]
    stated = None if options.quote == AUTO else options.quote
    quote = '"' if stated is None else stated
    mark = options.delimiter
    if mark == AUTO:
        mark = _delimiter(lines, default, quote, wanted, len(options.columns))
    dialect = Dialect(mark, quote)
    text = "".join(sample)
    if stated is None:
        dialect = _with_quote(dialect, lines, text)
    if f"{mark} {dialect.quote}" in text and f"{mark}{dialect.quote}" not in text and mark != " " and dialect.quote:
        dialect = replace(dialect, skip_space=True)
    if options.escape != AUTO:
        return replace(dialect, escape=options.escape if options.escape not in ("", dialect.quote) else None)
    escaped = replace(dialect, escape="\\")
    if f"\\{dialect.quote or '?'}" in text and _damaged(escaped, lines) < _damaged(dialect, lines):
        dialect = escaped
    return dialect


def _delimiter(lines: Sequence[str], default: str, quote: str, wanted: Sequence[str], columns: int) -> str:
    """The delimiter of the first lines: one by which they name the text, else one that splits them all alike."""
    if not lines:
        return default
    usual = [Dialect(mark, quote) for mark in dict.fromkeys((default, *USUAL_MARKS))]
    found = next((dialect for dialect in usual if _names_one(dialect, lines, wanted)), None)
    if found is None:
        found = _that_splits(lines, usual, columns) or _rare(lines, quote, wanted) or usual[0]
    return _widened(found, lines)


def _that_splits(lines: Sequence[str], usual: Sequence[Dialect], columns: int) -> Dialect | None:
    """The delimiter of lines that do not name the text; None where none splits the first one.

    Commas stand in texts and numbers, so that another mark wins over them; of a few lines it proves nothing.

    Args:
        lines: The first lines.
        usual: The dialects to choose from, the format's own first.
        columns: How many the recipe names; 0 where it names none.
    """
    first = lines[0]
    splits = [dialect for dialect in usual if len(dialect.row(first)) > 1]

    def unlikely(dialect: Dialect) -> tuple[bool, int, bool]:
        row = dialect.row(first)
        stray = sum(dialect.quote in cell for cell in row) if dialect.quote and dialect.quote * 2 not in first else 0
        return bool(columns) and len(row) != columns, stray, len(lines) >= MIN_LINES and dialect.delimiter == ","

    alike = [dialect for dialect in splits if _is_consistent(dialect, lines)]
    return next(iter((*sorted(alike, key=unlikely), *splits)), None)


def _rare(lines: Sequence[str], quote: str, wanted: Sequence[str]) -> Dialect | None:
    """A delimiter that prose has, too: by it the lines must name the text, and be split alike."""
    marks = (*dict.fromkeys(_RUN.findall(lines[0])), *RARE_MARKS)
    rare = (Dialect(mark, quote) for mark in marks if mark in lines[0])
    return next((found for found in rare if _names_one(found, lines, wanted) and _is_consistent(found, lines)), None)


def _names_one(dialect: Dialect, lines: Sequence[str], wanted: Sequence[str]) -> bool:
    return line_that_names(dialect, lines, wanted) is not None


def line_that_names(dialect: Dialect, lines: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Number of the first line that holds one of the names as a field, written alike or as databases shout it."""
    rows = [{cell.strip() for cell in dialect.row(line)} for line in lines[:HEADER_ROWS]]
    for names in (set(wanted), {name.upper() for name in wanted}):
        for number, cells in enumerate(rows):
            if not cells.isdisjoint(names):
                return number
    return None


def _is_consistent(dialect: Dialect, lines: Sequence[str]) -> bool:
    """Whether nearly all rows have the width of the first one, and that is more than one field."""
    try:
        widths = [len(row) for row in dialect.reader(lines, strict=False) if row]
    except csv.Error:  # whatever is wrong with one of them
        widths = [len(dialect.row(line)) for line in lines]
    return bool(widths) and widths[0] > 1 and widths.count(widths[0]) >= CONSISTENT * len(widths)


def _widened(dialect: Dialect, lines: Sequence[str]) -> str:
    """The delimiter; two of it, with what is between them, where every second field of nearly all rows is the same."""
    mark = dialect.delimiter
    first = dialect.row(lines[0])
    between = {cell.strip() for cell in first[1::2]}
    inner = next(iter(between), "")
    if len(between) != 1 or len(first) < 3 or any(map(str.isalnum, inner)) or mark + inner + mark not in lines[0]:
        return mark
    rows = [dialect.row(line) for line in lines]
    alike = sum(len(row) % 2 == 1 and {cell.strip() for cell in row[1::2]} == between for row in rows)
    return mark + inner + mark if alike >= CONSISTENT * len(rows) else mark


def _with_quote(dialect: Dialect, lines: Sequence[str], text: str) -> Dialect:
    """The dialect with another quote, or none, where the first lines are rows by that and not by its own."""
    mark = dialect.delimiter
    single = replace(dialect, quote="'")
    if min(text.count(f"{mark}'"), text.count(f"'{mark}")) >= max(3, len(lines) // 2) and (
        '"' not in text or _misfits(single, lines) < _misfits(dialect, lines)
    ):
        return single
    none = replace(dialect, quote="")
    damaged = _damaged(dialect, lines) if mark == "\t" and '"' in text else 0
    if damaged and not _misfits(none, lines) and len(re.findall(r'(?:^|\t)"[^"\t\n]*"(?=\t|$)', text, re.M)) <= damaged:
        return none
    return dialect


def _damaged(dialect: Dialect, lines: Sequence[str]) -> int:
    """Lines of a sample that are no row by themselves."""
    return sum(not dialect.is_row(line) for line in lines)


def _misfits(dialect: Dialect, lines: Sequence[str]) -> int:
    """Lines that are no row by themselves, or not of the usual width."""
    widths = [len(dialect.row(line)) for line in lines if dialect.is_row(line)]
    usual = max(set(widths), key=widths.count) if widths else 0
    return len(lines) - widths.count(usual)
