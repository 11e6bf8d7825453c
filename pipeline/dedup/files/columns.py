"""Parquet and Arrow files -> batches of texts, column by column: no row becomes a Python object.

``pipeline/readers/columnar.py`` reads them, for a run too, and says what is damaged; why columns stay columns here:
docs/decisions/0009-columns-stay-columns.md.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.base.arrow import text_bytes
from pipeline.base.errors import UserError, raise_the_systems
from pipeline.dedup.files.fields import WantedFields
from pipeline.dedup.files.input_files import COLUMNAR, File, Part
from pipeline.readers.columnar import ERRORS, ROW_BYTES, ColumnarReader, Rows, Wanted, schema_and_rows
from pipeline.readers.columnar_rows import wrong_column
from pipeline.readers.columns.values import NOT_UTF8, column_names, values_of
from pipeline.readers.parts.part_reader import why_unread
from pipeline.readers.records import Damaged, too_large
from pipeline.readers.streams import Limits

Columns = tuple[pa.Array, pa.Array, dict[str, pa.Array], NDArray[np.int64]]  # texts, ids, further fields, rows
_STRINGS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)


class TextColumns:
    """Reads a part of a Parquet or Arrow file, only the columns that are wanted.

    Args:
        part: What to read.
        wanted: Which fields.
        limits: Of a record, and of what the part may become.

    Attributes:
        damaged: What is damaged, by rows of the file.
    """

    def __init__(self, part: Part, wanted: WantedFields, limits: Limits) -> None:
        self._part, self._path, self._wanted, self._limits = part, part.file.path, wanted, limits
        self._texts = _with_roots(wanted.names["text"])
        roots = self._texts | _with_roots((wanted.id, *wanted.others))
        # what is lost of a column without the text is told where the kept rows are written
        asked = Wanted(lambda schema: wrong_text(schema, wanted), self._enough, roots.__contains__, False)
        self._reader = ColumnarReader(self._path, limits, asked, part.size)
        self.damaged: list[Damaged] = []

    @property
    def rows(self) -> int:
        """Rows of the part so far, those without a text and those that cannot be read included."""
        return self._reader.row - self._reader.first

    def batches(self) -> Iterator[Columns]:
        """Every record with a text."""
        part, local = self._part, self._part.file.local
        groups = (part.start, part.end) if part.unit == "row_groups" else (0, None)
        found = self._reader.parquet(local, *groups) if part.file.format == "parquet" else self._reader.arrow(local)
        try:
            for rows in found:
                if isinstance(rows, Damaged):
                    self.damaged.append(rows)
                else:
                    yield from self._of_rows(rows)
        except OSError as error:
            self.damaged.append(Damaged(self._path, self._reader.row, None, "unreadable", why_unread(error)))

    def _enough(self, readable: Sequence[str], names: Sequence[str]) -> bool:
        """Whether none of the columns that may hold the text is lost."""
        return not self._texts & (set(names) - set(readable))

    def _of_rows(self, found: Rows) -> Iterator[Columns]:
        batch = found.batch
        rows = np.arange(found.first, found.first + batch.num_rows)
        texts = self._good_texts(text_column(batch, self._wanted), rows)
        if texts.null_count:
            known = pc.is_valid(texts).to_numpy(zero_copy_only=False)
            batch, texts, rows = chosen_rows(batch, np.flatnonzero(known)), texts.drop_null(), rows[known]
        ids = _as_strings(column_of(batch, self._wanted.id))
        others = {name: column_of(batch, name) for name in self._wanted.others}
        yield texts, ids, others, rows - self._reader.first
        bomb = self._reader.spend(len(rows) * ROW_BYTES + text_bytes(texts), found.first + found.batch.num_rows)
        self.damaged += [] if bomb is None else [bomb]

    def _good_texts(self, texts: pa.Array, rows: NDArray[np.int64]) -> pa.Array:
        """The texts, null in the place of each that is none, which is damage."""
        name = next((name for name in self._wanted.names["text"]), "text")
        for row in rows[pc.is_null(texts).to_numpy(zero_copy_only=False)].tolist() if texts.null_count else ():
            self.damaged.append(Damaged(self._path, row, None, "missing_text", f"{name} is null"))
        bad = _not_utf8(texts)
        for place in bad:
            detail = "a string column holds bytes that are not UTF-8"
            self.damaged.append(Damaged(self._path, int(rows[place]), None, "not_utf8", detail))
        limit = self._limits.record_bytes
        if text_bytes(texts) > limit:
            sizes = pc.binary_length(texts).fill_null(0).to_numpy()
            for place in np.flatnonzero(sizes > limit).tolist():
                self.damaged.append(
                    too_large(self._path, int(rows[place]), None, f"{sizes[place]:,} bytes", limit, b"")
                )
                bad.append(place)
        if not bad:
            return texts
        mask = np.zeros(len(texts), bool)
        mask[bad] = True
        return pc.if_else(pa.array(mask), pa.scalar(None, texts.type), texts)


def _with_roots(names: Sequence[str]) -> frozenset[str]:
    """Names of fields, and those of the columns in which dotted ones stand."""
    return frozenset(root for name in names for root in (name, name.partition(".")[0]))


def check_texts(files: Sequence[File], wanted: WantedFields) -> None:
    """Refuses files of which their schemas tell that none has a text.

    Raises:
        UserError: With what is wrong with the first of them.
    """
    problem = ""
    for file in files:
        if file.format not in COLUMNAR or file.error is not None or (found := _text_problem(file, wanted)) is None:
            return
        problem = problem or f"{file.path}: {found}"
    if problem:
        raise UserError(problem)


def _text_problem(file: File, wanted: WantedFields) -> str | None:
    try:
        wrong = wrong_text(schema_and_rows(file.local, file.format)[0], wanted)
    except ERRORS as error:
        raise_the_systems(error)
        return f"not {file.format}, or damaged: {str(error).rstrip('.')}; fix it or leave it out"
    if wrong is None:
        return None
    reason, detail = wrong
    return detail if reason == "ambiguous_text" else f"{detail}; name the column with the text with --text-field"


def wrong_text(schema: pa.Schema, wanted: WantedFields) -> tuple[str, str] | None:
    """Reason and detail where no row of a file can have a text."""
    names = column_names(schema)
    present = next((name for name in wanted.names["text"] if name in names), None)
    if present is not None and names.count(present) == 1 and pa.types.is_null(schema.field(names.index(present)).type):
        return "missing_text", f"column {present} is null throughout"
    if (wrong := wrong_column(schema, wanted)) is not None and wrong[0] != "missing_text":
        return wrong
    try:
        inner = text_types(schema, wanted)
    except UserError as error:
        return "ambiguous_text", str(error)
    if not inner:
        return "missing_text", f"no column {wanted.text}; columns: {', '.join(names[:20])}"
    odd = next(((name, kind) for name, kind in inner.items() if not _is_text(kind)), None)
    return None if odd is None else ("wrong_type", f"column {odd[0]} is of type {odd[1]}, not string")


def text_types(schema: pa.Schema, wanted: WantedFields) -> dict[str, pa.DataType]:
    """The types of the columns and struct fields that may hold the text."""
    roots = _with_roots(wanted.names["text"])
    known = column_names(schema)
    looked_at = pa.schema([schema.field(at) for at, name in enumerate(known) if name in roots])
    empty = pa.RecordBatch.from_pylist([], looked_at)  # of these columns only: pyarrow makes none of some types
    kinds = {name: column_of(empty, name).type for name in wanted.names["text"]}
    return {name: kind for name, kind in kinds.items() if not pa.types.is_null(kind)}


def _is_text(kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(check(kind) for check in (*_STRINGS, *_BYTES))


def text_column(batch: pa.RecordBatch, wanted: WantedFields) -> pa.Array:
    """The texts: of each row the first of the wanted columns that is not null; not checked to be UTF-8."""
    columns = [column_of(batch, name) for name in wanted.names["text"]]
    found = [_large_string(column) for column in columns if not pa.types.is_null(column.type)]
    if not found:
        return pa.nulls(batch.num_rows, pa.large_string())
    return found[0] if len(found) == 1 else pc.coalesce(*found)


def _large_string(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if any(check(column.type) for check in _BYTES):
        return column.cast(pa.large_binary()).view(pa.large_string())
    return column.cast(pa.large_string())


def _not_utf8(texts: pa.Array) -> list[int]:
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        return [place for place, value in enumerate(values_of(texts)) if value is NOT_UTF8]
    return []


def chosen_rows(batch: pa.RecordBatch, rows: NDArray[np.int64]) -> pa.RecordBatch:
    """Some rows of a batch, ascending, of columns of every type."""
    try:
        return batch.take(pa.array(rows))
    except pa.ArrowNotImplementedError:  # pyarrow takes no rows of view types, which newer writers make
        edges = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
        runs = [batch.slice(rows[low], high - low) for low, high in pairwise(edges) if high > low]
        return pa.concat_batches(runs) if runs else batch.slice(0, 0)


def row_count(file: File) -> int | None:
    """Rows of a Parquet or Arrow file, where they are known without reading it."""
    try:
        return schema_and_rows(file.local, file.format)[1]
    except ERRORS as error:
        raise_the_systems(error)
        return None  # its reader says what is wrong with it


def column_of(batch: pa.RecordBatch, name: str) -> pa.Array:
    """A column, or a field of a struct column by its dotted name; null throughout where there is none.

    Raises:
        UserError: If several columns have this name.
    """
    names = column_names(batch.schema)
    if (count := names.count(name)) > 1:
        raise UserError(f"{count} columns are named {name}; rename all but one")
    if name in names:
        return batch.column(names.index(name))
    parent, _, rest = name.partition(".")
    if rest and parent in names and pa.types.is_struct(batch.schema.field(names.index(parent)).type):
        return column_of(pa.RecordBatch.from_struct_array(batch.column(names.index(parent))), rest)
    return pa.nulls(batch.num_rows)


def _as_strings(column: pa.Array) -> pa.Array:
    try:
        strings = column.cast(pa.string())
        strings.validate(full=True)
        return strings
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return pa.array([_printed(value) for value in values_of(column)], pa.string())


def _printed(value: Any) -> str | None:
    if value is NOT_UTF8:
        return "\ufffd"
    return None if value is None else str(value)
