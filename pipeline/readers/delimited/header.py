"""The names of a table's columns: a header among its first rows, the recipe's names, or ``col_0`` by place."""

import re
from collections.abc import Sequence

from pipeline.readers.delimited.dialect import Dialect
from pipeline.recipe.csv_options import AUTO, Csv

BY_PLACE = re.compile(r"col_\d+")
LONG_CELL = 200  # characters: no name is so long
_VALUE = re.compile(
    r"[-+(]?[$€£]?\d[\d.,:/ Te+-]*[%)]?|https?://\S+|[^@\s]+@[^@\s]+\.\w+"
)  # number, date, URL, address
_YEAR = re.compile(r"(1[89]|20)\d\d")


def has_header(sample: Sequence[str], dialect: Dialect, options: Csv, wanted: Sequence[str]) -> bool:
    """Whether the first line names the columns, where none of the first lines names the text.

    Args:
        sample: The lines from the first one on.
        dialect: Theirs.
        options: What the recipe says.
        wanted: Names that the text may have.
    """
    if options.header != AUTO:
        return bool(options.header)
    lines = [line for line in sample if line.strip()]
    if not lines:
        return True
    first = [cell.strip() for cell in dialect.row(lines[0])]
    if options.columns:
        return not set(options.columns).isdisjoint(first)
    if any(BY_PLACE.fullmatch(name) for name in wanted):
        return False
    return not _is_data(first, [dialect.row(line) for line in lines[1:]])


def _is_data(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether a first row holds what stands in the rows below: numbers, dates, URLs, or a text too long for a name.

    Years may be names.
    """
    if any(len(cell) > LONG_CELL for cell in first):
        return True
    for place, cell in enumerate(first):
        if _VALUE.fullmatch(cell) and not _YEAR.fullmatch(cell):
            others = [row[place].strip() for row in below if len(row) > place and row[place].strip()]
            if 10 * sum(_VALUE.fullmatch(other) is not None for other in others) >= 9 * len(others):
                return True
    return False


def header_names(header: Sequence[str], text: str, below: Sequence[str], dialect: Dialect) -> list[str]:
    """The names of a header, as many as the rows below have fields: nameless ones are added, or left out.

    Args:
        header: Its fields.
        text: Its line.
        below: The next lines.
        dialect: Theirs.
    """
    names = [_clean(name) for name in header]
    widths = widths_of(below, dialect)
    usual = max(set(widths), key=widths.count) if len(widths) >= 3 else len(names)
    if widths.count(usual) * 10 >= 9 * len(widths):
        names = _of_width(text, usual, dialect, names) if len(names) < usual else names
        while len(names) > usual and "" in names:
            del names[len(names) - 1 - names[::-1].index("")]
        names += [""] * (usual - len(names))
    return names


def names_by_place(sample: Sequence[str], dialect: Dialect, given: Sequence[str]) -> list[str]:
    """The recipe's names, and ``col_0``, ``col_1`` for what has none, as many as rows usually have fields."""
    widths = widths_of(sample, dialect) or [len(dialect.row(line)) for line in sample if line.strip()]
    usual = max(set(widths), key=widths.count) if widths else len(given)
    names = list(given) or [f"col_{place}" for place in range(usual)]
    return names + [f"col_{place}" for place in range(len(names), usual)]


def widths_of(lines: Sequence[str], dialect: Dialect) -> list[int]:
    """Fields of those lines that are rows by themselves."""
    return [len(dialect.row(line)) for line in lines if line.strip() and dialect.is_row(line)]


def _of_width(text: str, width: int, dialect: Dialect, names: list[str]) -> list[str]:
    """Names of a header whose quotes or delimiters are not those of the rows: the split that has their width."""
    for mark in (dialect.delimiter, ",", ";", "\t", "|", " "):
        found = [name.strip(" \r\n\"'") for name in text.split(mark)]
        if len(found) == width:
            return [_clean(name) for name in found]
    return names


def _clean(name: str) -> str:
    """A name without white space around it; bytes that are not UTF-8 become U+FFFD."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace").strip()
