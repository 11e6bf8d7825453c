"""Rows to records by the names of a table's columns."""

from collections.abc import Sequence

from pipeline.readers.columns.values import distinct
from pipeline.readers.delimited.dialect import Dialect
from pipeline.readers.records import Damaged, Fields, Item

RAGGED_SHARE = 0.2  # of rows: as many do not lack or have a field by accident
IN_OTHER_ENCODING = "if the file is in another encoding, state it: encoding of its source, such as windows-1252"


def wanted_names(fields: Fields) -> list[str]:
    """Names that the text may have."""
    return [fields.html_name] if fields.html_name else [name for name in fields.names["text"] if name]


class Table:
    """The names of the columns, and rows by them.

    Args:
        path: Of the file, for the items.
        names: As the header has them.
        fields: Of a record.
        below: The next lines.
        dialect: Theirs.
        hint: Added to what is said of rows in which there is no text.
        may_repeat: Whether the header may stand among the rows again.
    """

    def __init__(
        self,
        path: str,
        names: list[str],
        fields: Fields,
        below: Sequence[str],
        dialect: Dialect,
        *,
        hint: str = "",
        may_repeat: bool = True,
    ) -> None:
        self._path, self._fields, self._hint, self._may_repeat = path, fields, hint, may_repeat
        rows = [dialect.row(line) for line in below if line.strip() and dialect.is_row(line)]
        short = sum(len(row) < len(names) for row in rows)
        self._pads = short >= max(2, RAGGED_SHARE * len(rows))
        self._wanted = wanted_names(fields)
        if set(self._wanted).isdisjoint(names):  # as databases shout it
            names = [name.lower() if name.lower() in self._wanted else name for name in names]
        twice = (name for name in self._wanted if names.count(name) > 1)
        self._twice = None if fields.whole else next(twice, None)
        self.names = distinct(names)
        self._size, self._known = len(names), frozenset(self.names)
        self._text_name = next((name for name in self._wanted if name in names), None)
        self._text_at = names.index(self._text_name) if self._text_name is not None else 0
        full = [row for row in rows if len(row) == len(names)]
        self._filled = [bool(full) and all(row[place].strip() for row in full) for place in range(len(names))]

    def record(self, row: list[str], number: int, text: str) -> Item | None:
        """The record of a row, or what is wrong with it; None where it names the columns, as in joined files."""
        if len(row) != self._size:
            if self._names_columns(row):
                return None
            row = self._fitted(row)
            if len(row) != self._size:
                return self._damaged(number, text, "ragged_row", f"{len(row)} fields, the header has {self._size}")
        elif row[self._text_at] in self._known and self._names_columns(row):
            return None
        if self._twice is not None:
            detail = f"several columns are named {self._twice}; rename all but one, or name them with csv.columns"
            return self._damaged(number, text, "ambiguous_text", detail)
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            detail = f"the byte {ord(text[error.start]) - 0xDC00:#x} is no part of UTF-8; {IN_OTHER_ENCODING}"
            return self._damaged(number, text, "not_utf8", detail)
        item = self._fields.record(dict(zip(self.names, row, strict=True)), self._path, number, data)
        if self._hint and isinstance(item, Damaged) and item.reason == "missing_text":
            item.detail = f"{item.detail}; {self._hint}"
        return item

    def _names_columns(self, row: Sequence[str]) -> bool:
        """Whether a row names the text's column and half of the others."""
        if self._text_name is None or not self._may_repeat:
            return False
        cells = {cell.strip() for cell in row}
        return self._text_name in cells and 2 * len(cells & self._known) >= max(len(cells), self._size)

    def is_header(self, row: Sequence[str]) -> bool:
        """Whether a row is the header of this table."""
        return [cell.strip() for cell in row] == self.names

    def _damaged(self, number: int, text: str, reason: str, detail: str) -> Damaged:
        data = text.encode("utf-8", "surrogateescape")
        return Damaged(self._path, number, len(data), reason, detail, data)

    def _fitted(self, row: list[str]) -> list[str]:
        """A row without the blank fields that it has too many; in a file that spares its last fields, with these."""
        size = self._size
        if len(row) == size + 1 and not row[-1].strip() and (blank := self._odd_blank(row)) is not None:
            return row[:blank] + row[blank + 1 :]
        if len(row) > size and not any(cell.strip() for cell in row[size:]):
            return row[:size]
        if self._pads and len(row) < size and (self._fields.whole or self._holds_text(len(row))):
            return row + [""] * (size - len(row))
        return row

    def _odd_blank(self, row: Sequence[str]) -> int | None:
        """Place of a blank field, left of which nothing is odd, in a column that is filled in every row above."""
        places = (place for place, filled in enumerate(self._filled) if filled and not row[place].strip())
        return next(places, None)

    def _holds_text(self, width: int) -> bool:
        return any(name in self._wanted for name in self.names[:width])
