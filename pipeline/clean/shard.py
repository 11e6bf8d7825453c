"""Writes what a partition becomes: document shards, one quarantine and one excluded table.

Record batches close at 8 MiB of text or 65,536 rows and shards at 256 MiB of text, whatever slices it was worked on in.
"""

import json
from collections import Counter
from typing import Any

import pyarrow as pa

from pipeline.base.digests import digest
from pipeline.readers.records import Damaged, Excluded, Record
from pipeline.run import layout
from pipeline.run.engine import Outputs
from pipeline.run.table_files import Table, TableWriter
from pipeline.run.tables import BATCH_ROWS, BATCH_TEXT_BYTES, DOCUMENTS, EXCLUDED, QUARANTINE, SHARD_TEXT_BYTES


def doc_id(source: str, path: str, offset: int, part_of_offset: int = 0) -> bytes:
    """BLAKE2b-128 of source name, path below the source's root, and offset.

    Example:
        >>> doc_id("web", "a.jsonl", 0).hex()
        'b1dc443191d10bba6317e9fdf94d8e3d'
    """
    place = f"{offset}+{part_of_offset}" if part_of_offset else str(offset)
    return digest(f"{source}\0{path}\0{place}")


class _Rows:
    """Rows of one table, written in record batches."""

    def __init__(self, table: Table, writer: TableWriter) -> None:
        self._schema, self._writer = table.schema, writer
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0

    def add(self, row: dict[str, Any], size: int) -> None:
        self._rows.append(row)
        self._bytes += size
        if self._bytes >= BATCH_TEXT_BYTES or len(self._rows) >= BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        arrays = [pa.array([row.get(field.name) for row in self._rows], field.type) for field in self._schema]
        self._rows, self._bytes = [], 0
        self._writer.write(pa.RecordBatch.from_arrays(arrays, schema=self._schema))

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
        self.quarantined: Counter[str] = Counter()
        self.excluded: Counter[str] = Counter()

    def _open(self, table: Table, shard: str) -> _Rows:
        name = layout.shard_table(table.folder, shard)
        return _Rows(table, self._outputs.table(name, table, {"tokenmill.source": self._source}))

    def document(self, record: Record, values: dict[str, Any]) -> None:
        """Adds a document; ``values`` are the columns that the record does not hold."""
        size = len(record.text) if record.text.isascii() else len(record.text.encode())
        if self._shard_bytes and self._shard_bytes + size > SHARD_TEXT_BYTES:
            self._next_shard()
        metadata = record.metadata
        row = {
            "doc_id": doc_id(self._source, record.path, record.offset, record.part_of_offset),
            "id": record.id,
            "text": record.text,
            "source": self._source,
            "url": record.url,
            "date": record.date,
            "licence": record.licence,
            "licence_evidence": record.licence_evidence,
            "path": record.path,
            "offset": record.offset,
            "metadata": _json(metadata) if metadata else None,
            **values,
        }
        self._documents.add(row, size)
        self._shard_bytes += size
        self.text_bytes += size
        self.documents += 1

    def damaged(self, item: Damaged) -> None:
        """Adds a row to the quarantine."""
        row = {name: getattr(item, name) for name in ("path", "offset", "length", "reason", "detail", "head")}
        self._quarantine.add({"source": self._source, **row}, len(item.head))
        self.quarantined[item.reason] += 1

    def exclude(self, item: Excluded) -> None:
        """Adds a row to the excluded records."""
        row = {name: getattr(item, name) for name in ("path", "offset", "reason", "detail", "url")}
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


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
