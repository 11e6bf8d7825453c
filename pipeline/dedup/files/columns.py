"""Parquet and Arrow files -> batches of texts, column by column: no row becomes a Python object.

What is damage, and what a file may become, is what ``pipeline/readers/columnar.py`` says of it row by row.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.base.arrow import text_bytes
from pipeline.base.errors import UserError, is_the_systems, raise_the_systems
from pipeline.dedup.files.fields import WantedFields
from pipeline.dedup.files.input_files import COLUMNAR, File, Part
from pipeline.readers.columnar import BATCH_BYTES, ERRORS, ROW_BYTES, corrupt, group_batches, open_ipc, wrong_column
from pipeline.readers.columns.checks import sound_columns
from pipeline.readers.columns.values import NOT_UTF8, column_names, values_of
from pipeline.readers.records import Damaged, too_large
from pipeline.readers.streams import Budget, Limits

Columns = tuple[pa.Array, pa.Array, dict[str, pa.Array], NDArray[np.int64]]  # texts, ids, further fields, rows
_STRINGS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)


class ColumnReader:
    """Reads a part of a Parquet or Arrow file, only the columns that are wanted.

    Args:
        part: What to read.
        wanted: Which fields.
        limits: Of a record, and of what the part may become.

    Attributes:
        rows: Rows of the part so far, those without a text and those that cannot be read included.
        damaged: What is damaged.
    """

    def __init__(self, part: Part, wanted: WantedFields, limits: Limits) -> None:
        self._part, self._path, self._wanted, self._limits = part, part.file.path, wanted, limits
        self._first = 0  # row of the file that the part begins with
        self._wrong: tuple[str, str] | None = None
        self._budget = Budget(limits)
        self._budget.consumed = part.size
        self._stopped = False
        self.rows = 0
        self.damaged: list[Damaged] = []

    def batches(self) -> Iterator[Columns]:
        """Every record with a text."""
        yield from self._parquet() if self._part.file.format == "parquet" else self._arrow()

    def _parquet(self) -> Iterator[Columns]:
        part = self._part
        try:
            opened = pq.ParquetFile(part.file.local)
            metadata, names = opened.metadata, column_names(opened.schema_arrow)
            sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
            self._wrong = wrong_text(opened.schema_arrow, self._wanted)
        except ERRORS as error:
            self._lose(_unopened(self._path, "parquet", error))
            return
        first, end = (part.start, part.end) if part.unit == "row_groups" else (0, len(sizes))
        if first == 0 and sum(sizes) != metadata.num_rows:
            detail = f"parquet: {metadata.num_rows:,} rows, but its row groups hold {sum(sizes):,}"
            self._lose(Damaged(self._path, 0, None, "corrupt_file", detail))
        self._first = sum(sizes[:first])
        roots = self._roots()
        with opened:
            for group in range(first, end):
                stop = self.rows + sizes[group]
                columns = [name for name in names if name in roots]
                yield from self._until_damage(group_batches(opened, group, columns) if columns else iter(()), stop)
                self.rows = stop

    def _arrow(self) -> Iterator[Columns]:
        try:
            source = pa.memory_map(str(self._part.file.local))
            batches, schema, rows = open_ipc(source)
            self._wrong = wrong_text(schema, self._wanted)
        except ERRORS as error:
            self._lose(_unopened(self._path, "arrow", error))
            return
        with source:
            yield from self._until_damage(self._chosen(batches), rows)

    def _roots(self) -> set[str]:
        wanted = (*self._wanted.names["text"], self._wanted.id, *self._wanted.others)
        return {root for name in wanted for root in _with_root(name)}

    def _chosen(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        roots = self._roots()
        for batch in batches:
            names = enumerate(column_names(batch.schema))
            yield batch.select([at for at, name in names if name in roots])

    def _until_damage(self, batches: Iterator[pa.RecordBatch], stop: int | None) -> Iterator[Columns]:
        """Records of batches up to the end, or to what cannot be read; ``stop`` is the row that comes after them."""
        if self._wrong is not None and stop is not None:
            self._without_text(stop - self.rows)
            return
        while not self._stopped:
            try:
                batch = self._sound(next(batches, None))
            except ERRORS as error:
                self._lose_rows(stop, f"cannot be read: {error}")
                return
            if batch is None:
                if stop is not None and self.rows < stop:
                    self._lose_rows(stop, "are missing")
                return
            step = max(1, BATCH_BYTES // max(1, batch.nbytes // max(1, batch.num_rows)))
            for start in range(0, batch.num_rows, step):
                if not self._stopped:
                    yield from self._of_batch(batch.slice(start, step))

    def _sound(self, batch: pa.RecordBatch | None) -> pa.RecordBatch | None:
        """The batch without the columns that cannot be read; what is lost of these is told where they are written.

        Raises:
            ArrowInvalid: If the text is among them.
        """
        sound, problem = ([], "") if batch is None else sound_columns(batch)
        if batch is None or not problem:
            return batch
        bad = {name for at, name in enumerate(column_names(batch.schema)) if at not in sound}
        if bad & {root for name in self._wanted.names["text"] for root in _with_root(name)}:
            raise pa.ArrowInvalid(problem)
        return batch.select(sound)

    def _of_batch(self, batch: pa.RecordBatch) -> Iterator[Columns]:
        if self._wrong is not None:
            self._without_text(batch.num_rows)
            return
        rows = np.arange(self.rows, self.rows + batch.num_rows)
        self.rows += batch.num_rows
        texts = self._good_texts(text_column(batch, self._wanted), rows)
        if texts.null_count:
            known = pc.is_valid(texts).to_numpy(zero_copy_only=False)
            batch, texts, rows = chosen_rows(batch, np.flatnonzero(known)), texts.drop_null(), rows[known]
        ids = _as_strings(column_of(batch, self._wanted.id))
        others = {name: column_of(batch, name) for name in self._wanted.others}
        yield texts, ids, others, rows
        self._count(len(rows), text_bytes(texts))

    def _good_texts(self, texts: pa.Array, rows: NDArray[np.int64]) -> pa.Array:
        """The texts, null in the place of each that is none, which is damage."""
        name = next((name for name in self._wanted.names["text"]), "text")
        for row in rows[pc.is_null(texts).to_numpy(zero_copy_only=False)].tolist() if texts.null_count else ():
            self._lose(Damaged(self._path, self._first + row, None, "missing_text", f"{name} is null"))
        bad = _not_utf8(texts)
        for place in bad:
            detail = "a string column holds bytes that are not UTF-8"
            self._lose(Damaged(self._path, self._first + int(rows[place]), None, "not_utf8", detail))
        limit = self._limits.record_bytes
        if text_bytes(texts) > limit:
            sizes = pc.binary_length(texts).fill_null(0).to_numpy()
            for place in np.flatnonzero(sizes > limit).tolist():
                row = self._first + int(rows[place])
                self._lose(too_large(self._path, row, None, f"{sizes[place]:,} bytes", limit, b""))
                bad.append(place)
        if not bad:
            return texts
        mask = np.zeros(len(texts), bool)
        mask[bad] = True
        return pc.if_else(pa.array(mask), pa.scalar(None, texts.type), texts)

    def _count(self, rows: int, size: int) -> None:
        """Adds what has been read to the budget, and stops where it is exceeded."""
        self._budget.produced += rows * ROW_BYTES + size
        if not self._stopped and (bomb := self._budget.exceeded()) is not None:
            row = self._first + self.rows
            self._stopped = True
            detail = f"rows from {row:,} on are not read: {bomb}"
            self._lose(Damaged(self._path, row, None, "decompression_bomb", detail))

    def _without_text(self, rows: int) -> None:
        """One damaged record for each of some rows, as many as the budget has room for."""
        assert self._wrong is not None, "these rows have a text"
        reason, detail = self._wrong
        for row in range(self.rows, self.rows + rows):
            if self._stopped:
                break
            self._lose(Damaged(self._path, self._first + row, None, reason, detail))
            self._count(1, 0)
        self.rows += rows

    def _lose_rows(self, stop: int | None, what: str) -> None:
        end = None if stop is None else self._first + stop
        self._lose(corrupt(self._path, self._first + self.rows, end, what))

    def _lose(self, item: Damaged) -> None:
        self.damaged.append(item)


def _with_root(name: str) -> tuple[str, str]:
    """A field's name, and that of the column in which a dotted one stands."""
    return name, name.partition(".")[0]


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
        if file.format == "parquet":
            with pq.ParquetFile(file.local) as opened:
                wrong = wrong_text(opened.schema_arrow, wanted)
        else:
            with pa.memory_map(str(file.local)) as source:
                wrong = wrong_text(open_ipc(source)[1], wanted)
    except ERRORS as error:
        raise_the_systems(error)
        return f"not {file.format}, or damaged: {str(error).rstrip('.')}; fix it or leave it out"
    if wrong is None:
        return None
    reason, detail = wrong
    return detail if reason == "ambiguous_text" else f"{detail}; name the column with the text with --text-field"


def _unopened(path: str, kind: str, error: Exception) -> Damaged:
    """A whole file, whose bytes are damaged or which the system does not give."""
    if is_the_systems(error):
        return Damaged(path, 0, None, "unreadable", f"file cannot be read: {getattr(error, 'strerror', None) or error}")
    return Damaged(path, 0, None, "corrupt_file", f"{kind}: {error}")


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
    roots = {root for name in wanted.names["text"] for root in _with_root(name)}
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
        if file.format == "parquet":
            with pq.ParquetFile(file.local) as opened:
                return int(opened.metadata.num_rows)
        with pa.memory_map(str(file.local)) as source:
            return open_ipc(source)[2]
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
