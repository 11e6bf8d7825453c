"""Evaluation sets on disk: data files of every format that the readers know, compressed or not, to values.

A line of text or of JSON Lines ends at a line feed alone: the other marks are part of an item.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.clean.decode import NotText, decode
from pipeline.readers.delimited.header import BY_PLACE
from pipeline.readers.encodings import as_utf8
from pipeline.readers.parts.first import WholeRecords
from pipeline.readers.parts.formats import format_of_name
from pipeline.readers.parts.inputs import InputFile
from pipeline.readers.parts.part_reader import PartReader, ReadOptions
from pipeline.readers.parts.partition import split
from pipeline.readers.ranges import RangeReader
from pipeline.readers.records import Damaged, Fields, Record
from pipeline.readers.streams import Gap, Limits, chunks
from pipeline.recipe.csv_options import Csv

USUAL_FIELDS = (
    *("question", "text", "prompt", "query", "problem", "sentence", "passage", "context", "premise", "input", "inputs"),
    *("canonical_solution", "ctx", "goal", "story"),
)
FORMATS = ("jsonl", "json", "parquet", "arrow", "csv", "tsv", "text")
TASK_SUFFIXES = (".yaml", ".yml")
NO_DATA = (".md", ".rst", ".markdown")  # texts about a set
BOM = b"\xef\xbb\xbf"
ANSWER = re.compile("[A-J]")
QUESTION = USUAL_FIELDS[0]
WHOLE_FILE = 1 << 62  # a part that is as large as its file


def data_files(path: str) -> dict[str, Path]:
    """The data files of an evaluation set by name, in order: the file itself, or those below a folder."""
    local = storage.open_if_there(path)
    if local is None and storage.is_folder(path):
        local = storage.local_path(path)
        found = [name for name in storage.list_files(path) if _is_data(name)]
        return {name: local / name for name in sorted(found, key=lambda name: Path(name).parts)}
    if local is None:
        return {}
    if local.name.endswith(TASK_SUFFIXES):
        named = task(local)[0]
        return {local.name: local, **{p.name: p for p in named}}
    return {local.name: local}


def _is_data(name: str) -> bool:
    return name.endswith(TASK_SUFFIXES) or (format_of_name(name) in FORMATS and not name.lower().endswith(NO_DATA))


def values(name: str, path: Path) -> Iterator[Any]:
    """The values of a data file: lines of text as items of one field, rows, JSON values; those of a list one by one.

    Raises:
        UserError: If it cannot be read as what its name says.
    """
    kind = format_of_name(path.name) or "jsonl"
    if kind in ("parquet", "arrow", "csv", "tsv"):
        yield from _rows(name, path, kind)
        return
    raw = _bytes(name, path)
    if kind == "text":
        try:
            text = decode(raw)[0]
        except NotText as error:
            raise UserError(f"evaluation set {name}: {path.name} is no text: {error}") from error
        yield from ({"text": line.rstrip("\r")} for line in text.split("\n") if line.strip())
        return
    raw = b"".join(piece for piece in as_utf8(iter([raw])) if isinstance(piece, bytes)).removeprefix(BOM)
    for number, line in enumerate([raw] if kind == "json" else raw.split(b"\n")):
        if line.strip():
            yield from _json(name, path, number, line)


def _json(name: str, path: Path, number: int, line: bytes) -> Iterator[Any]:
    try:
        loaded = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UserError(f"evaluation set {name}: {path.name}, line {number + 1} is not JSON: {error}") from error
    yield from loaded if isinstance(loaded, list) else [loaded]


def _bytes(name: str, path: Path) -> bytes:
    """A file, decompressed."""
    found = []
    with RangeReader(path, 0, path.stat().st_size, digests=False) as reader:
        for chunk in chunks(reader, Limits()):
            if isinstance(chunk, Gap):
                raise UserError(f"evaluation set {name}: {path.name} is damaged: {chunk.reason}: {chunk.detail}")
            found.append(chunk)
    return b"".join(found)


def _rows(name: str, path: Path, kind: str) -> Iterator[Mapping[str, Any]]:
    """Rows of a table, each with all of its fields.

    MMLU is published as CSV without a header: question, choices, the letter of the answer.  Its question gets a name.
    """
    if kind not in ("csv", "tsv") or not _is_quiz(next(_read(name, path, kind, None), {})):
        yield from _read(name, path, kind, None)
        return
    for row in _read(name, path, kind, Csv(header=False)):
        yield {**row, QUESTION: next(iter(row.values()))}


def _is_quiz(first: Mapping[str, Any]) -> bool:
    """Whether a table's first row, or what was taken for its header, ends with the letter of an answer."""
    if not first or not {name.lower() for name in first}.isdisjoint(USUAL_FIELDS):
        return False
    name, value = list(first.items())[-1]
    return bool(ANSWER.fullmatch(str(value if BY_PLACE.fullmatch(name) else name).strip()))


def _read(name: str, path: Path, kind: str, csv: Csv | None) -> Iterator[Mapping[str, Any]]:
    reader = PartReader(str(path.parent), ReadOptions(WholeRecords(Fields({}, None)), csv=csv))
    for part in split(InputFile(path.name, str(path), path.stat().st_size), kind, WHOLE_FILE):
        for item in reader.read(part):
            if isinstance(item, Damaged):
                detail = f"{item.reason} at {item.offset}: {item.detail}"
                raise UserError(f"evaluation set {name}: {path.name} cannot be read: {detail}")
            if isinstance(item, Record):
                yield item.metadata or {}


def task(path: Path) -> tuple[list[Path], list[str]]:
    """Data files and fields that an lm-eval task file names.

    Raises:
        UserError: If they are not on this disk.
    """
    from yaml import SafeLoader, load  # type: ignore[import-untyped]

    loader: Any = type("TaskLoader", (SafeLoader,), {})  # lm-eval's own tags (!function) are read as plain values
    loader.add_multi_constructor("!", lambda _loader, _suffix, node: str(node.value))
    said = load(path.read_text("utf-8"), Loader=loader) or {}
    named = (said.get("dataset_kwargs") or {}).get("data_files") or []
    files = [path.parent / text for text in strings(named)]
    absent = [file for file in files if not file.is_file()]
    if absent or not files:
        missing = absent[0] if absent else "dataset_kwargs.data_files"
        raise UserError(
            f"{path}: the lm-eval task names no data on this disk ({missing}); give the data files themselves"
        )
    templates = f"{said.get('doc_to_text', '')} {said.get('doc_to_target', '')}"
    return files, list(dict.fromkeys(re.findall(r"{{\s*(\w+)", templates)))


def strings(value: Any) -> Iterator[str]:
    """The strings in a value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)
