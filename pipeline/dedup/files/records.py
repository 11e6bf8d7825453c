"""A part of an input file -> batches of texts with what else deduplication asks of a record.

Two ways lead to a batch: the items of the readers (every format), and Arrow's columns as they are (Parquet and Arrow,
in ``columns``).  What is damaged is counted and told by both; a part that is damaged gives what can be read of it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dedup.files.columns import TextColumns
from pipeline.dedup.files.fields import WantedFields, value_array
from pipeline.dedup.files.input_files import COLUMNAR, Part
from pipeline.dedup.files.items import TABLES_OF_TEXT, Items
from pipeline.readers.records import Damaged, Record
from pipeline.readers.streams import Limits
from pipeline.run.tables import BATCH_ROWS, BATCH_TEXT_BYTES


@dataclass
class PartBatch:
    """Some records of a part, in order.

    Attributes:
        texts: Strings without null, shape (n,).
        ids: Strings, null where a record has none.
        others: The further fields by name.
        rows: Row of each record in the part.
        ranges: First byte and end of each record in the decompressed file (of WARC: in the file), shape (n, 2); zeros
            where it has none of its own.
        is_of_table: Its fields are text throughout: CSV and TSV.
    """

    texts: pa.Array
    ids: pa.Array
    others: dict[str, pa.Array]
    rows: NDArray[np.int64]
    ranges: NDArray[np.int64]
    is_of_table: bool = False


class RecordReader:
    """Reads one part; after ``batches`` is exhausted, the attributes tell what else there was.

    Args:
        part: What to read.
        wanted: Which fields.
        limits: Of a record, and of what the file may become.

    Attributes:
        rows: Rows of the part, those without a record included.
        damaged: What is damaged.
        excluded: Items that are no records, by reason.
    """

    def __init__(self, part: Part, wanted: WantedFields, limits: Limits | None = None) -> None:
        self.part, self.wanted, self.limits = part, wanted, limits or Limits()
        self.rows = 0
        self.damaged: list[Damaged] = []
        self.excluded: Counter[str] = Counter()

    def batches(self) -> Iterator[PartBatch]:
        """Every record with a text.

        Raises:
            RunError: If the file has changed since it was listed.
        """
        self.part.file.check()
        columnar = self.part.file.format in COLUMNAR and self.part.file.error is None
        yield from self._column_batches() if columnar else self._item_batches()
        self.part.file.check()

    def _item_batches(self) -> Iterator[PartBatch]:
        pending = _Pending(self.part, self.wanted)
        items = Items(self.part, self.wanted, self.limits)
        for row, item in items:
            if isinstance(item, Record):
                pending.add(item, row)
                if pending.size > BATCH_TEXT_BYTES or len(pending.texts) >= BATCH_ROWS:
                    yield pending.batch()
                    pending = _Pending(self.part, self.wanted)
            elif isinstance(item, Damaged):
                self.damaged.append(item)
            else:
                self.excluded[item.reason] += 1
        if pending.texts:
            yield pending.batch()
        self.rows = items.rows

    def _column_batches(self) -> Iterator[PartBatch]:
        reader = TextColumns(self.part, self.wanted, self.limits)
        for texts, ids, others, rows in reader.batches():
            yield PartBatch(texts, ids, others, rows, np.zeros((len(rows), 2), np.int64))
        self.rows = reader.rows
        self.damaged += reader.damaged


class _Pending:
    """The records of a batch to be."""

    def __init__(self, part: Part, wanted: WantedFields) -> None:
        self._part, self._wanted = part, wanted
        self.texts: list[str] = []
        self._ids: list[str | None] = []
        self._others: dict[str, list[Any]] = {name: [] for name in wanted.others}
        self._rows: list[int] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.size = 0

    def add(self, record: Record, row: int) -> None:
        self.texts.append(record.text)
        self._ids.append(record.id)
        if self._others:
            self.size += record.weight
            for name, values in self._others.items():
                values.append(_other(record, name))
        self._rows.append(row)
        start, end = record.span or (0, 0)
        self._starts.append(start)
        self._ends.append(end)
        self.size += len(record.text)

    def batch(self) -> PartBatch:
        ranges = np.array([self._starts, self._ends], np.int64).T
        if self._part.file.is_plain:
            np.minimum(ranges[:, 1], self._part.end, out=ranges[:, 1])  # the last line may have no line feed
        is_of_table = self._part.file.format in TABLES_OF_TEXT
        if is_of_table:
            self._others = {name: [value or None for value in values] for name, values in self._others.items()}
        others = {name: value_array(name, values) for name, values in self._others.items()}
        texts = pa.array(self.texts, pa.large_string())
        ids, rows = pa.array(self._ids, pa.string()), np.array(self._rows, np.int64)
        return PartBatch(texts, ids, others, rows, ranges, is_of_table)


def _other(record: Record, name: str) -> Any:
    """A further field of a record; of one that was no mapping, what its reader told."""
    if record.columns is not None and name in record.columns:
        return record.columns[name]
    if name in ("url", "date", "licence"):
        return getattr(record, name)
    return (record.metadata or {}).get(name)


def merged(batches: Sequence[PartBatch]) -> PartBatch:
    """Several batches as one: small files are signed together.

    Args:
        batches: At least one, of the same fields.
    """
    if len(batches) == 1:
        return batches[0]
    return PartBatch(
        pa.concat_arrays([batch.texts for batch in batches]),
        pa.concat_arrays([batch.ids for batch in batches]),
        {},
        np.concatenate([batch.rows for batch in batches]),
        np.concatenate([batch.ranges for batch in batches]),
    )
