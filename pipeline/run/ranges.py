"""Tables of which each task reads one range: what is shuffled between tasks.

A range is a record batch; its number says for whom it is.  The file's footer says where each one stands, and each one
carries its own checksum, so a task reads the footer and its range, and no other byte: mapped on a disk, by ranged
requests from an object store.
"""

import contextlib
import errno
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa

from pipeline.base import storage
from pipeline.base.closable import Closable
from pipeline.base.digests import digest
from pipeline.base.errors import FormatError
from pipeline.base.stores import RangedObject
from pipeline.run.table_files import REBUILD, Table, TableWriter, as_damage, check_table

CHECKSUM = "checksum"  # in the metadata of a record batch


class RangeWriter(Closable):
    """Writes ranges in the order of their numbers, also the empty ones.

    Args:
        writer: Of the table.
    """

    def __init__(self, writer: TableWriter) -> None:
        self._writer = writer

    def write(self, rows: pa.RecordBatch) -> None:
        """Appends the next range, of the very schema."""
        # what is serialized is what a reader of the file will see, whatever the rows are a slice of
        self._writer.write_batch(rows, {CHECKSUM: digest(rows.serialize()).hex()})

    def write_all(self, rows: pa.Table, edges: Sequence[int]) -> None:
        """Appends ranges of a table.

        Args:
            rows: The columns must be those of the schema, in its order.
            edges: Row at which each range begins, and the end.
        """
        columns = [pa.concat_arrays([*column.chunks, pa.array([], column.type)]) for column in rows.columns]
        whole = pa.record_batch(columns, schema=self._writer.schema)
        for start, end in pairwise(edges):
            self.write(whole.slice(start, end - start))

    def close(self) -> None:
        """Writes the footer."""
        self._writer.close()


class RangeReader(Closable):
    """An open file of ranges.

    Args:
        url: The file.
        table: What it holds.

    Raises:
        FormatError: If it is damaged, or holds another table.
        FileNotFoundError: If it is missing.
    """

    def __init__(self, url: str, table: Table) -> None:
        self._url, self._what = url, f"a {table.name} table (Arrow IPC file)"
        with contextlib.ExitStack() as stack, self._damage():
            source: Any = stack.enter_context(_opened(url))
            self._reader = pa.ipc.open_file(source)
            check_table(url, table, self._reader.schema.metadata or {})
            self._held = stack.pop_all()
        self.schema: pa.Schema = self._reader.schema
        self.ranges: int = self._reader.num_record_batches

    def read(self, number: int) -> pa.RecordBatch:
        """One range, its checksum compared.

        Raises:
            FormatError: If it is damaged, or not there.
        """
        if number >= self.ranges:
            raise FormatError(f"{self._url}: expected at least {number + 1} ranges, found {self.ranges}; {REBUILD}")
        with self._damage():
            found = self._reader.get_batch_with_custom_metadata(number)
            expected = (found.custom_metadata or {}).get(CHECKSUM.encode(), b"").decode()
            if digest(found.batch.serialize()).hex() != expected:
                raise ValueError(f"the checksum of range {number} is not the one written with it")
        batch: pa.RecordBatch = found.batch
        return batch

    def _damage(self) -> contextlib.AbstractContextManager[None]:
        return as_damage(self._url, self._what)

    def close(self) -> None:
        """Lets go of the file; batches that were read from a mapped one stay."""
        self._held.close()


def _opened(url: str) -> Any:
    if storage.is_local(url):
        if storage.local_status(storage.local_path(url)) is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", url)  # Arrow's own names no file
        return pa.memory_map(str(storage.local_path(url)), "r")
    return pa.PythonFile(RangedObject(url), "r")


def read_range(url: str, table: Table, number: int) -> pa.RecordBatch:
    """One range of one file; see ``RangeReader``."""
    with RangeReader(url, table) as reader:
        return reader.read(number)
