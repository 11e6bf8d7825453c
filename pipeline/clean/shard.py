"""Writes what a partition becomes: document shards, one quarantine and one excluded table.

Record batches close at 8 MiB of text or 65,536 rows and shards at 256 MiB of text, whatever slices it was worked on in.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from pipeline.base.digests import digest
from pipeline.base.errors import in_words
from pipeline.clean.metadata import metadata_json
from pipeline.clean.net import REASON, failed
from pipeline.readers.raw.ledger import Tally
from pipeline.readers.records import Damaged, Excluded, Record
from pipeline.run import layout
from pipeline.run.engine import Outputs
from pipeline.run.table_files import Table, TableWriter
from pipeline.run.tables import BATCH_ROWS, BATCH_TEXT_BYTES, DOCUMENTS, EXCLUDED, QUARANTINE, SHARD_TEXT_BYTES

BATCH_ALL_BYTES = 64 << 20  # of all columns: what is not text may be larger than the text
VALUE_ERRORS = (pa.ArrowException, ValueError, TypeError, OverflowError)  # of a value that its column cannot hold


def doc_id(source: str, path: str, offset: int, part_of_offset: int = 0) -> bytes:
    """BLAKE2b-128 of source name, path below the source's root, and offset.

    Example:
        >>> doc_id("web", "a.jsonl", 0).hex()
        'b1dc443191d10bba6317e9fdf94d8e3d'
    """
    place = f"{offset}+{part_of_offset}" if part_of_offset else str(offset)
    return digest(f"{source}\0{path}\0{place}")


def _column(rows: list[dict[str, Any]], name: str) -> list[Any]:
    """The values of a column; most columns are in every row, which is tried first: it takes half the time."""
    try:
        return [row[name] for row in rows]
    except KeyError:
        return [row.get(name) for row in rows]


class _Rows:
    """Rows of one table, written in record batches.

    Args:
        table: What is written.
        writer: Where.
        refused: Takes a row that the table cannot hold, and the error; without it such a row ends the job.
    """

    def __init__(
        self, table: Table, writer: TableWriter, refused: Callable[[dict[str, Any], Exception], None] | None = None
    ) -> None:
        self._schema, self._writer, self._refused = table.schema, writer, refused
        self._rows: list[dict[str, Any]] = []
        self._bytes = self._all_bytes = 0

    def add(self, row: dict[str, Any], size: int, others: int = 0) -> None:
        """Adds a row of ``size`` bytes of text and ``others`` bytes in its other columns."""
        self._rows.append(row)
        self._bytes += size
        self._all_bytes += size + others
        if self._bytes >= BATCH_TEXT_BYTES or len(self._rows) >= BATCH_ROWS or self._all_bytes >= BATCH_ALL_BYTES:
            self._flush()

    def _flush(self) -> None:
        try:
            batch = self._batch(self._rows)
        except VALUE_ERRORS:
            batch = self._batch([row for row in self._rows if self._fits(row)])
        for row in self._rows:
            row.clear()  # a large one is not held beside what is written of it
        self._rows, self._bytes, self._all_bytes = [], 0, 0
        self._writer.write(batch)

    def _batch(self, rows: list[dict[str, Any]]) -> pa.RecordBatch:
        arrays = [pa.array(_column(rows, field.name), field.type) for field in self._schema]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _fits(self, row: dict[str, Any]) -> bool:
        """Whether the table can hold a row; one that it cannot is handed back."""
        try:
            self._batch([row])
        except VALUE_ERRORS as error:
            if self._refused is None:
                raise
            self._refused(row, error)
            return False
        return True

    def close(self) -> None:
        """Writes what is left, and the footer."""
        if self._rows:
            self._flush()
        self._writer.close()


class PartitionWriter:
    """The tables of one partition.

    Args:
        outputs: Where the engine wants them.
        shard: Name of the partition, ``00012``.
        source: Name of its source.
    """

    def __init__(self, outputs: Outputs, shard: str, source: str) -> None:
        self._outputs, self._shard, self._source = outputs, shard, source
        self._documents = self._open(DOCUMENTS, shard)
        self._quarantine = self._open(QUARANTINE, shard)
        self._excluded = self._open(EXCLUDED, shard)
        self._shard_bytes = self._further = 0
        self.documents = 0
        self.text_bytes = 0
        self.tally = Tally()
        self.quarantined: Counter[str] = Counter()
        self.excluded: Counter[str] = Counter()

    def _open(self, table: Table, shard: str) -> _Rows:
        name = layout.shard_table(table.folder, shard)
        writer = self._outputs.table(name, table, {"tokenmill.source": self._source})
        return _Rows(table, writer, self._refuse if table is DOCUMENTS else None)

    def document(self, record: Record, values: dict[str, Any]) -> bool:
        """Adds a document; ``values`` are the columns that the record does not hold.

        Returns:
            False where it went to the quarantine instead.
        """
        size = len(record.text) if record.text.isascii() else len(record.text.encode())
        if self._shard_bytes and self._shard_bytes + size > SHARD_TEXT_BYTES:
            self._next_shard()
        try:
            metadata = metadata_json(record.metadata) if record.metadata else None
        except Exception as error:  # noqa: BLE001  a value of any type may be in it
            self.damaged(failed(record, error))
            return False
        row = {
            "doc_id": doc_id(self._source, record.path, record.offset, record.part_of_offset),
            "id": record.id,
            "text": record.text,
            "source": self._source,
            "url": record.url,
            "date": record.date,
            "date_from": record.date_from or ("record" if record.date else None),
            "crawl_date": record.crawl_date,
            "licence": record.licence,
            "licence_evidence": record.licence_evidence,
            "path": record.path,
            "offset": record.offset,
            "metadata": metadata,
            **values,
        }
        record.text, record.metadata = "", None  # the reader holds the record until it reads the next one
        self._documents.add(row, size, len(metadata or ""))
        self._shard_bytes += size
        self.text_bytes += size
        self.documents += 1
        return True

    def _refuse(self, row: dict[str, Any], error: Exception) -> None:
        """Moves a document that the table cannot hold, counted already, to the quarantine."""
        text = row["text"].encode("utf-8", "replace")
        self.documents -= 1
        self.text_bytes -= len(text)
        self.damaged(Damaged(row["path"], row["offset"], None, REASON, in_words(error), text))

    def damaged(self, item: Damaged) -> None:
        """Adds a row to the quarantine."""
        row = {name: getattr(item, name) for name in ("path", "offset", "length", "reason", "detail", "head")}
        for name in ("path", "detail"):
            row[name] = _encodable(row[name])
        for name in ("offset", "length"):
            row[name] = _int64(row[name])
        self._quarantine.add({"source": self._source, **row}, len(item.head))
        self.quarantined[item.reason] += 1

    def exclude(self, item: Excluded) -> None:
        """Adds a row to the excluded records."""
        row = {name: getattr(item, name) for name in ("path", "offset", "reason", "detail", "url")}
        for name in ("path", "detail", "url"):
            row[name] = _encodable(row[name])
        row["offset"] = _int64(row["offset"])
        self._excluded.add({"source": self._source, **row}, 64)
        self.excluded[item.reason] += 1

    def _next_shard(self) -> None:
        self._documents.close()
        self._further += 1
        self._documents = self._open(DOCUMENTS, f"{self._shard}-{self._further}")
        self._shard_bytes = 0

    def close(self) -> None:
        """Writes what is left, and the footers."""
        for rows in (self._documents, self._quarantine, self._excluded):
            rows.close()


def _encodable(text: str | None) -> str | None:
    """The text with what UTF-8 cannot hold escaped: a row that tells of damage must not be lost for it."""
    if text is None or text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _int64(value: int | None) -> int | None:
    """A number of the input as a column holds it; a length that cannot be true is not known."""
    return None if value is None else max(-(1 << 63), min(value, (1 << 63) - 1))
