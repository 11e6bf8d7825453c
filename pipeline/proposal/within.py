"""Tables within archives: a recipe has one set of ``fields`` for all that an archive holds, and this chooses it.

Where its tables have their texts in columns of different names, those with most records are read, and the others are
told with what to do.  Tables without a text (an index of its files, settings) are left out, as they are outside of one.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.base import storage
from pipeline.base.words import counted, listed
from pipeline.proposal.not_written import ending_of
from pipeline.readers.parts.first import TABULAR, FirstRecords, tables_within
from pipeline.readers.parts.formats import format_of_name
from pipeline.readers.parts.inputs import InputFile, SourceInputs
from pipeline.recipe.globs import archive_of, escaped

MOST_BYTES = 1 << 28  # of an archive that is looked into: a tar file is read whole for it
MOST_COLUMNS = 5  # of an example
MOST_NAMED = 20  # tables of an archive

# the fields that a table needs, empty where a reader finds its text; None of a table without a text
FieldsOf = Callable[[FirstRecords], dict[str, str] | None]


@dataclass(frozen=True)
class Within:
    """What an archive's tables need: ``fields``, an example with its columns, and those that have to stay out.

    Attributes:
        fields: Empty where a reader finds the texts by itself.
        member: The example.
        columns: Of it.
        told: Which tables these fields do not reach.
        without: Tables that hold no text, with their columns.
        globs: That name these, and nothing else in the archive.
    """

    fields: dict[str, str] = field(default_factory=dict)
    member: str = ""
    columns: list[str] = field(default_factory=list)
    told: str = ""
    without: dict[str, list[str]] = field(default_factory=dict)
    globs: tuple[str, ...] = ()


def look_into(inputs: SourceInputs, file: InputFile, fields_of: FieldsOf) -> Within | None:
    """The fields for the tables of an archive, and which to leave out; None where there is nothing to say of it.

    An archive of nothing but tables without a text is not looked at member by member: it is left out as a whole.
    """
    if file.size > MOST_BYTES or not storage.is_local(file.url):
        return None
    found = tables_within(inputs, file)
    tables = {path: first for path, first in found.tables.items() if first.values}
    needs = {path: fields_of(first) for path, first in tables.items()}
    texts = {path: fields for path, fields in needs.items() if fields is not None}
    if not texts and not found.others:
        return None
    without = {path: _columns(tables[path]) for path, fields in needs.items() if fields is None}
    globs = _globs(file.path, without, texts)
    if not texts:
        return Within(without=without, globs=globs) if globs else None
    records: Counter[str] = Counter()
    for path, fields in texts.items():
        records[repr(fields)] += len(tables[path].values)
    chosen = max(texts, key=lambda path: records[repr(texts[path])])
    lost = list(_lost(tables, texts, texts[chosen]))
    told = _in_words(lost)
    return Within(texts[chosen], chosen, _columns(tables[chosen]), told, without if globs else {}, globs)


def without_in_words(archives: Collection[Within]) -> str:
    """That tables without a text are left out of archives; empty where none is."""
    tables = {path: columns for within in archives for path, columns in within.without.items()}
    if not tables:
        return ""
    example, columns = next(iter(tables.items()))
    count = counted(len(tables), "table")
    return f"{count} without a text in archives left out, such as {example} ({listed(columns[:MOST_COLUMNS])})"


def _columns(first: FirstRecords) -> list[str]:
    return [column.name for column in first.columns]


def _globs(archive: str, without: Collection[str], texts: Collection[str]) -> tuple[str, ...]:
    """Globs of some tables of an archive: each by itself, many by an ending that no table with a text has.

    None of an archive whose name does not say that it is one: no glob goes into it.
    """
    kept = {ending_of(path) for path in texts}
    many = len(without) > MOST_NAMED
    found = {
        f"{escaped(archive)}/**/*.{ending_of(path)}" if many and _is_of_tables(path, kept) else escaped(path)
        for path in without
    }
    return tuple(sorted(glob for glob in found if archive_of(glob) is not None))


def _is_of_tables(path: str, kept: Collection[str]) -> bool:
    """Whether a name's ending is that of tables alone, and of none that is read."""
    return ending_of(path) not in kept and format_of_name(f"a.{ending_of(path)}") in TABULAR


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
