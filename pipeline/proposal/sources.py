"""The files of a folder as sources of a recipe: one for text of every kind, one for each kind of table or JSON.

Which column holds the text is tried, with the reader that the run will use: the one whose first values are longest.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.base import storage
from pipeline.readers.parts.first import first_records, value_at
from pipeline.readers.parts.formats import BINARY, COMPRESSION_SUFFIXES, HEAD_BYTES, binary_kind, format_of
from pipeline.readers.parts.inputs import InputFile, SourceInputs, list_inputs
from pipeline.readers.records import USUAL_NAMES

TABULAR = ("jsonl", "json", "parquet", "arrow", "csv", "tsv")
SHORTEST_TEXT = 40  # characters on average; shorter columns are titles and codes
_HTML = re.compile(r"\s*<(!doctype|html|p|div|h\d|body)\b", re.IGNORECASE)
# beside those that a reader looks for by itself
_USUAL = {
    "id": (*USUAL_NAMES["id"], "_id", "doc_id", "document_id", "uid", "uuid", "key"),
    "url": (*USUAL_NAMES["url"], "source_url", "link", "uri", "href"),
    "date": (*USUAL_NAMES["date"], "created_at", "published", "published_at"),
    "licence": USUAL_NAMES["licence"],
}


@dataclass
class Found:
    """What lies in the paths: every file counted once, in ``formats``, or in one of the three that say why not."""

    inputs: SourceInputs
    files: int = 0
    bytes: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    unsupported: Counter[str] = field(default_factory=Counter)
    excluded: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)
    tables: dict[str, list[InputFile]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True)
class Proposed:
    """One source: globs below the paths' folder, and the fields of its records; ``why`` is a comment."""

    name: str
    format: str = "auto"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    fields: dict[str, str] = field(default_factory=dict)
    why: str = ""


def look(paths: Sequence[str]) -> Found:
    """Lists every file and tells its format by name or first bytes.

    Raises:
        UserError: If a path names no file.
    """
    return look_at(list_inputs("files", list(paths)), "auto")


def look_at(inputs: SourceInputs, named_format: str) -> Found:
    """Tells the format of every file of a source, as its reader will."""
    found = Found(inputs)
    for file in inputs.files:
        found.files += 1
        found.bytes += file.size
        if file.error is not None:
            found.unreadable.append(file.path)
            continue
        if file.excluded is not None:
            found.excluded[file.excluded] += 1
            continue
        kind = format_of(file, named_format)
        if kind == BINARY:
            found.unsupported[_media_type(file)] += 1
            continue
        found.formats[kind] += 1
        if kind in TABULAR:
            found.tables[kind].append(file)
    return found


def _media_type(file: InputFile) -> str:
    with open(storage.open_local(file.url), "rb") as opened:
        return binary_kind(opened.read(HEAD_BYTES))


def propose(found: Found) -> list[Proposed]:
    """The sources: tables whose text is where a reader looks for it stay with the rest, the others get their fields."""
    apart = list(_tables_with_fields(found))
    taken = tuple(glob for source in apart for glob in source.include)
    others = sum(found.formats.values()) - sum(len(found.tables[source.format]) for source in apart)
    return ([Proposed("files", exclude=taken)] if others else []) + apart


def _tables_with_fields(found: Found) -> Iterator[Proposed]:
    for kind, files in sorted(found.tables.items()):
        fields, columns = text_fields(found.inputs, files[0])
        if fields:
            why = f"{files[0].path} has the columns {', '.join(columns)}"
            yield Proposed(kind, kind, tuple(sorted(_globs(files))), fields=fields, why=why)


def _globs(files: Sequence[InputFile]) -> set[str]:
    """A glob for each ending of the files' names; a name without one stands for itself."""
    globs = set()
    for file in files:
        name = file.path.rsplit("/", 1)[-1]
        stem, dot, ending = _long_ending(name)
        globs.add(f"**/*{dot}{ending}" if stem and dot else file.path)
    return globs


def _long_ending(name: str) -> tuple[str, str, str]:
    """Stem, dot and ending of a name; the ending of a compressed file is both of its own."""
    stem, dot, ending = name.rpartition(".")
    if dot + ending.lower() in COMPRESSION_SUFFIXES and "." in stem:
        stem, _, inner = stem.rpartition(".")
        return stem, dot, f"{inner}.{ending}"
    return stem, dot, ending


def text_fields(inputs: SourceInputs, file: InputFile) -> tuple[dict[str, str], list[str]]:
    """The ``fields`` that a table needs, and its columns; no fields where the readers find the text by themselves."""
    first = first_records(inputs, file)
    names = [column.name for column in first.columns]
    texts = [column for column in first.columns if set(column.kinds) & {"string", "bytes"}]
    if not texts or any(
        column.name in USUAL_NAMES["text"] and 2 * column.filled > len(first.values) for column in texts
    ):
        return {}, names
    best = max(texts, key=lambda column: column.characters)
    if best.characters < SHORTEST_TEXT:
        return {}, names
    usual = {ours: name for ours, usual in _USUAL.items() for name in names if name.lower() in usual}
    pages = sum(_is_html(value_at(value, best.name)) for value in first.values)
    return {"html" if 4 * pages > len(first.values) else "text": best.name, **usual}, names


def _is_html(value: Any) -> bool:
    return isinstance(value, str) and bool(_HTML.match(value))
