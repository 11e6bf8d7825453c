"""Which part of some files stands for all of them: of each source and kind of file apart, up to a few megabytes.

Where all of a kind is little, all of it is read; else whole files from all over the folder, and the first megabyte of
large tables.  Of compressed files and archives the bytes on the disk are counted, on both sides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.base import storage
from pipeline.clean.settings import list_paths
from pipeline.clean.stage import job_of, source_inputs
from pipeline.readers.columnar import first_rows
from pipeline.readers.parts.formats import BINARY, PAPERS, format_if_told
from pipeline.readers.parts.inputs import InputFile, SourceInputs
from pipeline.readers.parts.partition import FIRST_ROWS, Part, Partition, split
from pipeline.recipe.options import Recipe, Source
from pipeline.recipe.rule_sets import is_class_path
from pipeline.run.engine import Job

SAMPLE_BYTES = 8 << 20  # of all groups together
PIECE_BYTES = 1 << 20  # of a large file
MOST_FILES = 400  # of a group that is not read whole
MOST_WHOLE = 4 << 20  # of a file that is read whole or not at all
MOST_ALONE = 32 << 20  # of the only file that is read
MOST_OF_ONE = 2  # a file that takes more than one part in so many of a group's bytes stands for itself alone
TABLES = frozenset({"parquet", "arrow"})  # of which the first rows can be read alone
CUT = frozenset({"jsonl", "csv", "tsv", "warc"})  # read from their beginning: a piece is as good as the whole
# what is told of a record that a piece cuts
CUT_SHORT = frozenset({"json_invalid", "length_mismatch", "truncated", "warc_header_invalid"})
CUT_IN_TABLES = frozenset({"csv_invalid", "ragged_row"})
ROWS_OF_A_CUT = 2  # that such a table's end may become
AFTER_RECORD, HEADER = 64, 4096  # bytes that a record's length may leave out; that it has where none is told
Row = Mapping[str, Any]


@dataclass
class Group:
    """Files of one kind of one source, and the part of them that is read."""

    source: Source
    inputs: SourceInputs
    kind: str
    files: list[InputFile] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def factor(self) -> float:
        """How many times more text the whole has than the sample: by bytes, or by files of papers, mostly pictures."""
        if self.kind in PAPERS:
            return self._by_files
        return self.size / max(1, sum(part.size for part in self.parts))

    @property
    def documents_factor(self) -> float:
        """How many times more documents the whole has than the sample."""
        a_file_each = self.kind in ("text", "html") and not self.source.separator
        return self._by_files if a_file_each else self.factor

    @property
    def _by_files(self) -> float:
        return len(self.files) / max(1, len(self.parts))


def groups_of(recipe: Recipe) -> list[Group]:
    """The files of the sources on this machine, by source and kind, each group with its share of the sample."""
    found: dict[tuple[str, str], Group] = {}
    for source in recipe.sources:
        if is_class_path(source.format) or not all(storage.is_local(path) for path in source.paths):
            continue
        inputs = source_inputs(source)
        for file in inputs.files:
            kind = None if file.error or file.excluded else format_if_told(file, source.format)
            if kind not in (None, BINARY):
                found.setdefault((source.name, kind), Group(source, inputs, kind)).files.append(file)
    left = SAMPLE_BYTES  # what small groups do not need is for the large ones
    smallest_first = sorted(found.values(), key=lambda group: group.size)
    least = SAMPLE_BYTES // max(
        1, 2 * len(found)
    )  # a large file that had to be read whole takes nothing from the others
    for number, group in enumerate(smallest_first):
        group.parts = _sample(group, max(least, left // (len(smallest_first) - number)))
        left -= sum(part.size for part in group.parts)
    if not any(group.parts for group in smallest_first):
        _at_least_one(smallest_first)
    return list(found.values())


def _at_least_one(groups: Sequence[Group]) -> None:
    """Where every file is large and must be read whole, the smallest of them, if it is not very large."""
    files = [(file.size, number, file) for number, group in enumerate(groups) for file in group.files]
    size, number, file = min(files, key=lambda item: item[:2], default=(MOST_ALONE + 1, 0, None))
    if file is not None and size <= MOST_ALONE:
        groups[number].parts = [Part(file.path, groups[number].kind, 0, size, size=size)]


def _sample(group: Group, budget: int) -> list[Part]:
    """All of a group that is no more than ``budget`` bytes, else parts of files from all over it up to that."""
    if group.size <= budget:
        return [Part(file.path, group.kind, 0, file.size, size=file.size) for file in group.files]
    parts: list[Part] = []
    left, tried = budget, _from_all_over(group.files)[:MOST_FILES]
    for file in tried:
        part = _piece(file, group)
        if part is not None and part.size <= min(left, budget // MOST_OF_ONE):
            parts.append(part)
            left -= part.size
    if parts:
        return parts
    pieces = [part for file in tried if (part := _piece(file, group)) is not None]
    return [min(pieces, key=lambda part: part.size)] if pieces else []


def _from_all_over(files: Sequence[InputFile]) -> list[InputFile]:
    """The files in an order of which every beginning is spread evenly over the folders: first, middle, quarters, ..."""
    bits = max(1, (len(files) - 1).bit_length())
    return [files[place] for place in sorted(range(len(files)), key=lambda place: f"{place:0{bits}b}"[::-1])]


def _piece(file: InputFile, group: Group) -> Part | None:
    if file.size <= PIECE_BYTES:
        return Part(file.path, group.kind, 0, file.size, size=file.size)
    if group.kind in TABLES and (rows := first_rows(storage.open_local(file.url), group.kind, PIECE_BYTES)) is not None:
        return Part(file.path, group.kind, 0, rows[0], unit=FIRST_ROWS, size=rows[1])
    if group.kind in CUT or group.source.separator:
        return Part(file.path, group.kind, 0, PIECE_BYTES, size=PIECE_BYTES)
    first = next(split(file, group.source.format, PIECE_BYTES))
    return first if first.size <= MOST_WHOLE else None


def cut_rows(damaged: Sequence[Row], last_rows: Mapping[str, int], group: Group) -> list[Row]:
    """Of a sample's damaged records those that are whole in their file, since only its beginning was read.

    Args:
        damaged: Rows of the quarantine, in input order.
        last_rows: Of each file the offset of its last document: of a table the row.
        group: The files, and what was read of them.
    """
    sizes = {file.path: file.size for file in group.files}
    cut = {part.path: part for part in group.parts if part.unit == "bytes" and not part.is_whole(sizes[part.path])}
    return [row for row in damaged if row["path"] in cut and _is_cut(row, cut[row["path"]], last_rows)]


def _is_cut(row: Row, part: Part, last_rows: Mapping[str, int]) -> bool:
    if part.format in ("csv", "tsv") and row["reason"] in CUT_IN_TABLES:
        return bool(0 < row["offset"] - last_rows.get(part.path, 0) <= ROWS_OF_A_CUT)
    length = HEADER if row["length"] is None else row["length"] + AFTER_RECORD
    return row["reason"] in CUT_SHORT and bool(row["offset"] + length >= part.end)


def jobs_of(recipe: Recipe, groups: Sequence[Group], first: int = 0) -> list[Job]:
    """A job of the clean stage for each group, in their order; ``first`` is the number of the first shard."""
    lists = list_paths(recipe.clean)
    return [
        job_of(recipe, of.source, of.inputs, Partition(f"{number:05d}", of.source.name, tuple(of.parts)), lists)
        for number, of in enumerate(groups, first)
    ]
