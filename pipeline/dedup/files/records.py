"""A part of an input file -> batches of texts with what else deduplication asks of a record.

Rows count from 0: lines of JSON Lines (blank ones count, but are no records), rows of Parquet and Arrow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.base.errors import RunError, UserError
from pipeline.dedup.files.input_files import File, Part
from pipeline.readers.columnar import ERRORS, open_ipc
from pipeline.readers.columns.checks import check_batch
from pipeline.readers.columns.values import NOT_UTF8, column_names, values_of
from pipeline.readers.jsonl import BLANK, BOM, parse_object
from pipeline.readers.lines import lines
from pipeline.readers.records import Damaged
from pipeline.readers.streams import Limits, RangeReader, chunks
from pipeline.run.tables import BATCH_ROWS, BATCH_TEXT_BYTES

COLUMN_ROWS = 1024  # rows of a columnar file decoded at a time


@dataclass(frozen=True)
class WantedFields:
    """Fields to read.  ``others`` are read as they are (``keep``, licence, URL); a dotted name looks into objects."""

    text: str
    id: str
    others: tuple[str, ...] = ()


@dataclass
class PartBatch:
    """Some records of a part, in order.

    Attributes:
        texts: Strings without null, shape (n,).
        ids: Strings, null where a record has none.
        others: The further fields by name.
        rows: Row of each record in the part.
        ranges: First byte and end of each record in the file, shape (n, 2); zeros where it cannot be read alone.
    """

    texts: pa.Array
    ids: pa.Array
    others: dict[str, pa.Array]
    rows: NDArray[np.int64]
    ranges: NDArray[np.int64]


class RecordReader:
    """Reads one part; after ``batches`` is exhausted, ``rows`` and ``damaged`` tell what else there was.

    Args:
        part: What to read.
        wanted: Which fields.
        limits: Of a record.
    """

    def __init__(self, part: Part, wanted: WantedFields, limits: Limits | None = None) -> None:
        self.part, self.wanted, self.limits = part, wanted, limits or Limits()
        self.rows = 0
        self.damaged: list[Damaged] = []

    def batches(self) -> Iterator[PartBatch]:
        """Every record with a text.

        Raises:
            RunError: If the file has changed since it was listed, or a columnar file is damaged.
        """
        self.part.file.check()
        yield from self._json_batches() if self.part.file.format == "jsonl" else self._column_batches()
        self.part.file.check()

    def _json_batches(self) -> Iterator[PartBatch]:
        pending = _Pending(self.wanted)
        with open_range(self.part.file, self.part.start, self.part.end) as reader:
            for line in lines(chunks(reader, self.limits), self.part.file.path, self.limits.record_bytes, reader.start):
                row = self.rows
                self.rows += 1
                if isinstance(line, Damaged):
                    self.damaged.append(line)
                    continue
                data = line.data.removeprefix(BOM) if line.offset == 0 else line.data
                if not data.strip(BLANK):
                    continue
                problem = self._add_record(pending, data, row, line.offset, len(line.data))
                if problem and not line.after_gap:
                    self.damaged.append(problem)
                if pending.size > BATCH_TEXT_BYTES or len(pending.texts) >= BATCH_ROWS:
                    yield pending.batch(self.part.splittable, self.part.end)
                    pending = _Pending(self.wanted)
        if pending.texts:
            yield pending.batch(self.part.splittable, self.part.end)

    def _add_record(self, pending: "_Pending", data: bytes, row: int, offset: int, length: int) -> Damaged | None:
        """Adds a line's record to the batch; returns what is wrong with it otherwise."""
        path = self.part.file.path
        value = parse_object(data, path, offset)
        if isinstance(value, Damaged):
            return value
        text = field_of(value, self.wanted.text)
        if isinstance(text, str):
            pending.add(text, value, row, offset, length)
            return None
        if text is None:
            known = f"no {self.wanted.text}; fields: {', '.join(sorted(map(str, value))[:20])}"
            detail = f"{self.wanted.text} is null" if self.wanted.text in value else known
            return Damaged(path, offset, length, "missing_text", detail, data)
        detail = f"{self.wanted.text} is of type {type(text).__name__}, not a string"
        return Damaged(path, offset, length, "wrong_type", detail, data)

    def _column_batches(self) -> Iterator[PartBatch]:
        for record_batch in column_batches(self.part, [self.wanted.text, self.wanted.id, *self.wanted.others]):
            first, self.rows = self.rows, self.rows + record_batch.num_rows
            texts = column_of(record_batch, self.wanted.text).cast(pa.large_string())
            rows = np.arange(first, self.rows)
            if texts.null_count:
                known = pc.is_valid(texts).to_numpy(zero_copy_only=False)
                for row in rows[~known].tolist():
                    detail = f"{self.wanted.text} is null"
                    self.damaged.append(Damaged(self.part.file.path, row, None, "missing_text", detail))
                record_batch, texts = chosen_rows(record_batch, np.flatnonzero(known)), texts.drop_null()
                rows = rows[known]
            ids = _as_strings(column_of(record_batch, self.wanted.id))
            others = {name: column_of(record_batch, name) for name in self.wanted.others}
            yield PartBatch(texts, ids, others, rows, np.zeros((len(rows), 2), np.int64))


class _Pending:
    """The records of a batch to be."""

    def __init__(self, wanted: WantedFields) -> None:
        self._wanted = wanted
        self.texts: list[str] = []
        self._ids: list[str | None] = []
        self._others: dict[str, list[Any]] = {name: [] for name in wanted.others}
        self._rows: list[int] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.size = 0

    def add(self, text: str, value: dict[str, Any], row: int, offset: int, length: int) -> None:
        self.texts.append(text)
        self._ids.append(_as_string(field_of(value, self._wanted.id)))
        for name, values in self._others.items():
            values.append(field_of(value, name))
        self._rows.append(row)
        self._starts.append(offset)
        self._ends.append(offset + length + 1)
        self.size += len(text)

    def batch(self, splittable: bool, part_end: int) -> PartBatch:
        ranges = np.zeros((len(self.texts), 2), np.int64)
        if splittable:
            ranges[:, 0], ranges[:, 1] = self._starts, self._ends
            np.minimum(ranges[:, 1], part_end, out=ranges[:, 1])  # the last line may have no line feed
        others = {name: _value_array(name, values) for name, values in self._others.items()}
        texts = pa.array(self.texts, pa.large_string())
        return PartBatch(texts, pa.array(self._ids, pa.string()), others, np.array(self._rows, np.int64), ranges)


def in_words(damaged: Damaged) -> str:
    """Where a record is damaged, and how."""
    return f"{damaged.path}: {damaged.reason}: {damaged.detail}"


def field_of(value: dict[str, Any], name: str) -> Any:
    """A field of a JSON object; a dotted name that is no field looks into nested objects."""
    if name in value or "." not in name:
        return value.get(name)
    parent, _, rest = name.partition(".")
    inner = value.get(parent)
    return field_of(inner, rest) if isinstance(inner, dict) else None


def _as_string(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value) if isinstance(value, bool | int | float) else orjson.dumps(value).decode()


def _value_array(name: str, values: list[Any]) -> pa.Array:
    """Values of one field: numbers where all are, else text; objects and lists as JSON."""
    if all(value is None or isinstance(value, bool | int | float) for value in values):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if any(isinstance(value, bool | int | float) for value in values):
        raise UserError(f"field {name} holds numbers and text, which have no common order")
    return pa.array([_as_string(value) for value in values], pa.string())


def open_range(file: File, start: int, end: int) -> RangeReader:
    """Opens a range of a file.

    Raises:
        RunError: If it cannot be opened.
    """
    try:
        return RangeReader(file.local, start, end, digests=False)
    except OSError as error:
        raise RunError(f"{file.path}: cannot be read: {error.strerror or error}") from error


def column_batches(part: Part, names: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Record batches of a Parquet or Arrow file, with only the columns of these names (those that it has).

    Raises:
        RunError: If the file is damaged: rows that cannot be read could be neither kept nor removed.
    """
    file = part.file
    roots = None if names is None else {root for name in names for root in (name, name.partition(".")[0])}
    try:
        if file.format == "parquet":
            with pq.ParquetFile(file.local) as opened:
                columns = None if roots is None else [name for name in opened.schema_arrow.names if name in roots]
                whole = part.unit != "row_groups"
                groups = list(range(opened.num_row_groups) if whole else range(part.start, part.end))
                yield from opened.iter_batches(COLUMN_ROWS, row_groups=groups, columns=columns, use_threads=False)
            return
        with pa.memory_map(str(file.local)) as source:
            for batch in open_ipc(source)[0]:
                names_of = enumerate(column_names(batch.schema))
                wanted = batch if roots is None else batch.select([at for at, name in names_of if name in roots])
                check_batch(wanted)
                yield wanted
    except ERRORS as error:
        raise RunError(f"{file.path}: the {file.format} file is damaged: {error}; fix it or leave it out") from error


def chosen_rows(batch: pa.RecordBatch, rows: NDArray[np.int64]) -> pa.RecordBatch:
    """Some rows of a batch, ascending, of columns of every type."""
    try:
        return batch.take(pa.array(rows))
    except pa.ArrowNotImplementedError:  # pyarrow takes no rows of view types, which newer writers make
        edges = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
        runs = [batch.slice(rows[low], high - low) for low, high in pairwise(edges) if high > low]
        return pa.concat_batches(runs) if runs else batch.slice(0, 0)


def schema_of(file: File) -> tuple[pa.Schema, int | None]:
    """Schema and (where it is known without reading) rows of a Parquet or Arrow file.

    Raises:
        UserError: If it is none.
    """
    try:
        if file.format == "parquet":
            with pq.ParquetFile(file.local) as opened:
                return opened.schema_arrow, opened.metadata.num_rows
        with pa.memory_map(str(file.local)) as source:
            _, schema, rows = open_ipc(source)
            return schema, rows
    except ERRORS as error:
        raise UserError(
            f"{file.path}: not {file.format}, or damaged: {str(error).rstrip('.')}; fix it or leave it out"
        ) from error


def check_text_column(file: File, schema: pa.Schema, name: str) -> None:
    """Refuses a columnar file without texts.

    Raises:
        UserError: If there is no such column, or it holds no strings.
    """
    # of these columns only: pyarrow makes no empty column of some types, such as unions
    names = column_names(schema)
    wanted = [at for at, known in enumerate(names) if known in (name, name.partition(".")[0])]
    looked_at = pa.schema([schema.field(at) for at in wanted])
    try:
        column = column_of(pa.RecordBatch.from_pylist([], looked_at), name)
    except UserError as error:
        raise UserError(f"{file.path}: {error}") from error
    if pa.types.is_null(column.type) and name in names:
        raise UserError(
            f"{file.path}: column {name} is null throughout; leave the file out, or name another column "
            f"with --text-field"
        )
    if pa.types.is_null(column.type):
        columns = ", ".join(names[:20])
        raise UserError(f"{file.path}: no column {name}; columns: {columns}; name it with --text-field")
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise UserError(f"{file.path}: column {name} is of type {column.type}, not string; name it with --text-field")


def column_of(batch: pa.RecordBatch, name: str) -> pa.Array:
    """A column, or a field of a struct column by its dotted name; null throughout where there is none.

    Raises:
        UserError: If several columns have this name.
    """
    if (count := batch.schema.names.count(name)) > 1:
        raise UserError(f"{count} columns are named {name}; rename all but one")
    if name in batch.schema.names:
        return batch.column(name)
    parent, _, rest = name.partition(".")
    if rest and parent in batch.schema.names and pa.types.is_struct(batch.schema.field(parent).type):
        return column_of(pa.RecordBatch.from_struct_array(batch.column(parent)), rest)
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
