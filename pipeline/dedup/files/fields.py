"""What deduplication asks of a record, beside its text: its id, and the fields of the survivor policy as they are."""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa

from pipeline.base.errors import UserError
from pipeline.readers import nested
from pipeline.readers.records import USUAL_NAMES, Damaged, Fields, Item, Record
from pipeline.recipe.csv_options import Csv

EXACT_IN_A_DOUBLE = 1 << 53  # whole numbers beyond it are rounded there
_NUMBER = re.compile(r"\s*[+-]?(\d{1,76}|(\d{1,300}\.?\d{0,300}|\.\d{1,300})([eE][+-]?\d{1,4})?)\s*", re.ASCII)
_DECIMALS = ((38, pa.decimal128(38, 0)), (76, pa.decimal256(76, 0)))  # digits that each holds


class WantedFields(Fields):
    """Makes records with these fields only.

    Args:
        text: Field with the text; ``text`` stands for all the names under which a recipe finds it by itself.  A dotted
            name looks into objects, and joins the texts of lists, as in a recipe.
        id: Field with the id.
        others: Fields to read as they are (``keep``, licence, URL); a dotted name looks into objects.
        csv: Dialect of the CSV and TSV files that hold the records.

    Raises:
        UserError: If items of a list are to be records of their own.
    """

    def __init__(self, text: str, id: str, others: tuple[str, ...] = (), csv: Csv | None = None) -> None:
        if nested.EACH in text:
            plain = nested.plain_name(text)
            raise UserError(f"--text-field {text}: a record is kept or removed as a whole; {plain} joins its texts")
        super().__init__({"id": id} if text in USUAL_NAMES["text"][:1] else {"text": text, "id": id}, None)
        self.text, self.id, self.others, self.csv = text, id, others, csv
        self._is_flat = not others and "." not in text + id

    def record(self, value: dict[str, Any], path: str, offset: int, raw: bytes = b"") -> Item:
        """See ``Fields``; nothing is taken out of ``value``."""
        if self._is_flat:  # as most records are: the hot loop of a deduplication
            text, own = value.get(self.text), value.get(self.id)
            if type(text) is str and (own is None or type(own) is str):
                return self._made(value, path, offset, text, own, raw)
        return super().record(value, path, offset, raw)

    def _made(self, value: dict[str, Any], path: str, offset: int, text: str, own: str | None, raw: bytes) -> Record:
        return Record(path, offset, text, None, "text", own, length=len(raw))

    def _record(self, value: dict[str, Any], path: str, offset: int, raw: bytes) -> Item:
        text: Any = None
        for name in self.names["text"]:
            text = field_of(value, name)
            if text is not None:
                break
        if self._joins and not isinstance(text, str | bytes):
            text = self._joined(copy.deepcopy(value), copy.deepcopy(text))
        if isinstance(text, bytes):
            data = text
            try:
                text = data.decode()
            except UnicodeDecodeError as error:
                return Damaged(path, offset, len(data), "not_utf8", str(error)[:200], data)
        if not isinstance(text, str):
            return self._without_text(value, text, path, offset, raw)
        columns = {name: field_of(value, name) for name in self.others} if self.others else None
        made = self._made(value, path, offset, text, as_string(field_of(value, self.id)), raw)
        made.columns, made.weight = columns, len(raw)
        return made

    def _without_text(self, value: dict[str, Any], text: Any, path: str, offset: int, raw: bytes) -> Damaged:
        empty = next((name for name in self.names["text"] if name in value), None)
        if text is None and empty is not None:
            return Damaged(path, offset, len(raw) or None, "missing_text", f"{empty} is null", raw)
        return super()._without_text(value, text, path, offset, raw)


@dataclass(slots=True)
class FullRecord(Record):
    """A record with all that it was read from: its bytes, and its fields."""

    raw: bytes = b""
    value: dict[str, Any] = field(default_factory=dict)


class FullFields(WantedFields):
    """Makes a ``FullRecord`` of a structured value; ``head`` is what stands above the records of a table."""

    def __init__(self, wanted: WantedFields) -> None:
        super().__init__(wanted.text, wanted.id, csv=wanted.csv)
        self.head: list[bytes] = []

    def heading(self, data: bytes) -> None:
        """See ``Fields``."""
        self.head.append(data)

    def _made(self, value: dict[str, Any], path: str, offset: int, text: str, own: str | None, raw: bytes) -> Record:
        return FullRecord(path, offset, text, id=own, length=len(raw), raw=raw, value=value)


def field_of(value: dict[str, Any], name: str) -> Any:
    """A field of a mapping; a dotted name that is no field looks into nested ones."""
    if name in value or "." not in name:
        return value.get(name)
    parent, _, rest = name.partition(".")
    inner = value.get(parent)
    return field_of(inner, rest) if isinstance(inner, dict) else None


def as_string(value: Any) -> str | None:
    """An id as text: numbers in their digits, objects and lists as JSON."""
    if value is None or isinstance(value, str):
        return value
    return str(value) if isinstance(value, bool | int | float) else orjson.dumps(value, default=str).decode()


def value_array(name: str, values: list[Any]) -> pa.Array:
    """Values of one field: numbers where all are, with all their digits; else text, objects and lists as JSON.

    Raises:
        UserError: If there are numbers and text.
    """
    found = [value for value in values if value is not None]
    if all(isinstance(value, bool | int | float) for value in found):
        return _numbers(values, found)
    if any(isinstance(value, bool | int | float) for value in found):
        raise UserError(f"field {name} holds numbers and text, which have no common order")
    return pa.array([as_string(value) for value in values], pa.string())


def _numbers(values: list[Any], found: list[Any]) -> pa.Array:
    whole = [value for value in found if not isinstance(value, float) or value.is_integer()]
    if len(whole) == len(found) and any(abs(value) > EXACT_IN_A_DOUBLE for value in whole):
        digits = max(len(str(abs(int(value)))) for value in whole)
        kind = next((kind for most, kind in _DECIMALS if digits <= most), None)
        if kind is not None:
            return pa.array([None if value is None else int(value) for value in values], kind)
    return pa.array([None if value is None else _double(value) for value in values], pa.float64())


def _double(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return float("inf") if value > 0 else float("-inf")


def with_numbers(pieces: Sequence[pa.Array], of_tables: Sequence[bool]) -> list[pa.Array]:
    """Pieces of a field; those of CSV, whose values are all text, as numbers where every one of them is one.

    Args:
        pieces: Of the field.
        of_tables: Which of them come from CSV.
    """
    texts = [piece for piece, of_table in zip(pieces, of_tables, strict=True) if of_table]
    values = (value for piece in texts for value in piece.to_pylist() if value is not None)
    if not all(isinstance(value, str) and _NUMBER.fullmatch(value) for value in values):
        return list(pieces)
    return [_as_numbers(piece) if of_table else piece for piece, of_table in zip(pieces, of_tables, strict=True)]


def _as_numbers(piece: pa.Array) -> pa.Array:
    found = [None if text is None else text.strip() for text in piece.to_pylist()]
    values = [None if text is None else int(text) if text.lstrip("+-").isdigit() else float(text) for text in found]
    return value_array("", values)
