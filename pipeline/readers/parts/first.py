"""What stands first in a file, as the run will read it: its records whole, and the columns that they have.

A text is looked for by name, so a file in which none is found says only what is wrong.  Here every field is kept, and
who proposes a recipe, checks one or explains an error asks for the columns as data.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.readers.parts.formats import ARCHIVES
from pipeline.readers.parts.inputs import InputFile, SourceInputs, odd_names
from pipeline.readers.parts.part_reader import PartReader, ReadOptions, read_stream
from pipeline.readers.parts.partition import MAX_PARTITION_BYTES, Part, split
from pipeline.readers.ranges import RangeReader
from pipeline.readers.raw.ledger import Ledger
from pipeline.readers.records import Damaged, Fields, Item, Record
from pipeline.readers.streams import Gap

FIRST_RECORDS = 50
MOST_TABLES = 200  # of an archive
TABULAR = ("jsonl", "json", "parquet", "arrow", "csv", "tsv")  # formats whose records have fields


@dataclass(frozen=True)
class Column:
    """One field of the first records; one within an object has a dotted name, as ``fields`` of a recipe take it.

    Attributes:
        name: As the file has it.
        kinds: Of its values that are not null, each once, in the order of their first: string, number, boolean, list,
            object, bytes, date.
        filled: Records in which it is neither missing nor null.
        characters: Of its strings and bytes, on average over all records.
        example: Its first value that is not null; None where all are.
    """

    name: str
    kinds: tuple[str, ...]
    filled: int
    characters: float
    example: Any


@dataclass(frozen=True)
class FirstRecords:
    """The first items of a file.

    Attributes:
        values: Its records, each with every field; none where the format has no fields (text, pages).
        columns: Of the values, in the order of the file.
        items: What the readers gave, also damage.
    """

    values: tuple[Mapping[str, Any], ...]
    columns: tuple[Column, ...]
    items: tuple[Item, ...]

    @property
    def damaged(self) -> list[Damaged]:
        """Those that cannot be read."""
        return [item for item in self.items if isinstance(item, Damaged)]


def first_records(
    inputs: SourceInputs,
    file: InputFile,
    named_format: str = "auto",
    options: ReadOptions | None = None,
    limit: int = FIRST_RECORDS,
) -> FirstRecords:
    """Reads the first records of a file with the readers of a run, whatever their fields are called.

    Args:
        inputs: The source.
        file: One of its files.
        named_format: The format that the recipe names.
        options: How the source is read; its ``fields`` help to find the line of a CSV file that names the columns.
        limit: Records, at most.
    """
    items = tuple(first_items(inputs, file, named_format, options, limit))
    values = tuple(item.metadata or {} for item in items if isinstance(item, Record) and item.body is None)
    return FirstRecords(values, columns_of(values), items)


def first_items(
    inputs: SourceInputs, file: InputFile, named_format: str, options: ReadOptions | None, limit: int
) -> Iterator[Item]:
    """The items, each record of them with all of its fields as ``metadata``."""
    options = ReadOptions(Fields({}, None)) if options is None else options
    whole = replace(options, fields=WholeRecords(options.fields), named_format=named_format)
    reader = PartReader(inputs.root, whole, odd_names(inputs.root, [file]))
    part = next(iter(split(file, named_format, MAX_PARTITION_BYTES)), None)
    return islice(reader.read(part), limit) if part is not None else iter(())


@dataclass(frozen=True)
class TablesWithin:
    """What an archive holds: the first records of its tables by their paths, and how many members are other text."""

    tables: dict[str, FirstRecords]
    others: int


def tables_within(inputs: SourceInputs, file: InputFile) -> TablesWithin:
    """The first records of the tables in an archive; what is no table is passed over unread.

    Args:
        inputs: The source.
        file: A ZIP or tar archive of it.
    """
    options = ReadOptions(WholeRecords(Fields({}, None)))
    reader = _TablesAlone(inputs.root, options, odd_names(inputs.root, [file]), digesting=False)
    found: dict[str, list[Record]] = {}
    for part in split(file, "auto", MAX_PARTITION_BYTES):
        for item in reader.read(part):
            if isinstance(item, Record) and item.body is None:
                found.setdefault(item.path, []).append(item)
            if len(found) > MOST_TABLES:
                break
    values = {path: tuple(record.metadata or {} for record in records) for path, records in found.items()}
    tables = {path: FirstRecords(own, columns_of(own), tuple(found[path])) for path, own in values.items()}
    return TablesWithin(tables, reader.others)


class _TablesAlone(PartReader):
    """Reads the first records of the tables in an archive, and of the other members what tells their kind."""

    others = 0  # members that are read, and are no tables

    def _stream(self, data: Iterator[bytes | Gap], path: str, kind: str, start: int = 0) -> Iterator[Item]:
        if kind in TABULAR:
            options, ledger = self.options, Ledger(0)
            yield from islice(read_stream(data, path, kind, options, start, ledger), FIRST_RECORDS)
        else:
            self.others += 1

    def _items(self, reader: RangeReader, local: Path, part: Part) -> Iterator[Item]:
        if part.format in ARCHIVES:
            yield from super()._items(reader, local, part)
        elif part.format in TABULAR:
            yield from islice(super()._items(reader, local, part), FIRST_RECORDS)
        else:
            self.others += 1


class WholeRecords(Fields):
    """Takes nothing out of a record; the names of ``fields`` serve to find the header of a table."""

    whole = True

    def __init__(self, fields: Fields) -> None:
        super().__init__({}, None)
        self.names, self.html_name = fields.names, fields.html_name

    def record(self, value: dict[str, Any], path: str, offset: int, raw: bytes = b"") -> Item:
        """The record, with all of its fields in ``metadata``."""
        return Record(path, offset, metadata=value, weight=len(raw), length=len(raw))


def columns_of(values: tuple[Mapping[str, Any], ...]) -> tuple[Column, ...]:
    """The columns of some records, those of objects with dotted names."""
    found: dict[str, list[Any]] = {}
    for value in values:
        for name, inner in _flat(value):
            found.setdefault(name, []).append(inner)
    return tuple(_column(name, inner, len(values)) for name, inner in found.items())


def _flat(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    waiting = [(above, value)]
    while waiting:
        above, outer = waiting.pop()
        for name, inner in outer.items():
            full = f"{above}{name}"
            yield full, inner
            if isinstance(inner, Mapping):
                waiting.append((f"{full}.", inner))


def value_at(value: Mapping[str, Any], name: str) -> Any:
    """The value of a column in a record; None where it is missing."""
    if name in value:
        return value[name]
    parent, _, rest = name.partition(".")
    inner = value.get(parent)
    return value_at(inner, rest) if rest and isinstance(inner, Mapping) else None


def _column(name: str, values: list[Any], records: int) -> Column:
    filled = [value for value in values if value is not None]
    kinds = tuple(dict.fromkeys(kind_of_value(value) for value in filled))
    characters = sum(len(value) for value in filled if isinstance(value, str | bytes))
    return Column(name, kinds, len(filled), characters / max(1, records), filled[0] if filled else None)


def kind_of_value(value: Any) -> str:
    """What a value of a record is called.

    Example:
        >>> [kind_of_value(value) for value in (True, 1, "a", b"a", [1], {"a": 1})]
        ['boolean', 'number', 'string', 'bytes', 'list', 'object']
    """
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "boolean"),
        ((int, float), "number"),
        (str, "string"),
        (bytes, "bytes"),
        ((date, datetime), "date"),
        (list, "list"),
        (Mapping, "object"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), type(value).__name__)
