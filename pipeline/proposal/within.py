"""Tables within archives: a recipe has one set of ``fields`` for all that an archive holds, and this chooses it.

Where its tables have their texts in columns of different names, those with most records are read, and the others are
told with what to do.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pipeline.base import storage
from pipeline.base.words import counted
from pipeline.readers.parts.first import FirstRecords, tables_within
from pipeline.readers.parts.inputs import InputFile, SourceInputs

MOST_BYTES = 1 << 28  # of an archive that is looked into: a tar file is read whole for it

# the fields that a table needs, empty where a reader finds its text; None of a table without a text
FieldsOf = Callable[[FirstRecords], dict[str, str] | None]


@dataclass(frozen=True)
class Within:
    """What an archive's tables need: ``fields``, an example with its columns, and those that have to stay out."""

    fields: dict[str, str]
    member: str
    columns: list[str]
    told: str = ""


def look_into(inputs: SourceInputs, file: InputFile, fields_of: FieldsOf) -> Within | None:
    """The fields for the tables of an archive; None where it has none with a text, or need not be looked into."""
    if file.size > MOST_BYTES or not storage.is_local(file.url):
        return None
    tables = {path: first for path, first in tables_within(inputs, file).items() if first.values}
    needs = {path: fields for path, first in tables.items() if (fields := fields_of(first)) is not None}
    if not needs:
        return None
    records: Counter[str] = Counter()
    for path, fields in needs.items():
        records[repr(fields)] += len(tables[path].values)
    chosen = max(needs, key=lambda path: records[repr(needs[path])])
    lost = list(_lost(tables, needs, needs[chosen]))
    return Within(needs[chosen], chosen, [column.name for column in tables[chosen].columns], _in_words(lost))


def _lost(
    tables: Mapping[str, FirstRecords], needs: Mapping[str, dict[str, str]], chosen: Mapping[str, str]
) -> Iterator[str]:
    """Tables whose text these fields do not name."""
    for path, fields in needs.items():
        columns = {column.name for column in tables[path].columns}
        if fields != chosen and _text_of(chosen) not in columns:
            yield path


def _text_of(fields: Mapping[str, str]) -> str:
    """The column that holds the text; as a reader finds it where no field says so."""
    return next((fields[name] for name in ("html", "text", "messages") if name in fields), "text")


def _in_words(lost: list[str]) -> str:
    if not lost:
        return ""
    tables = counted(len(lost), "table")
    return f"{tables} in it, such as {lost[0]}, have their texts in other columns and are not read: unpack it for that"
