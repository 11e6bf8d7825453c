"""The table index/keys.arrow: record ids and URLs of a run, as sorted hashes, so that either is found by bisection.

A hash points to where the value may stand; whoever looks compares the value itself.  Documents that were taken down
have none any more, so the index made again, or blanked, no longer knows them.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base import storage
from pipeline.base.hash_sort import HashSort
from pipeline.run import layout
from pipeline.run.context import Context
from pipeline.run.engine import Job, Outputs, Step
from pipeline.run.folder import Run
from pipeline.run.ledger import key_hash
from pipeline.run.table_files import TableWriter, batches, open_table
from pipeline.run.tables import BATCH_ROWS, DOCUMENTS, KEY_INDEX

STEP = Step("index.keys", 1, "pipeline.lookup.keys:build")
KINDS = ("id", "url")
RECORD = np.dtype([("key", np.uint64), ("shard", np.int32), ("row", np.int32)])


def exists(run: Run) -> bool:
    """True where the run has the index."""
    return storage.exists(run.url(layout.KEY_INDEX))


def keys_work(context: Context) -> tuple[Step, list[Job]]:
    """The step that makes the index, and its one job."""
    inputs = {layout.documents(name): digest for name, digest in context.document_shards().items()}
    return STEP, [Job("all", {}, inputs)]


def build(job: Job, outputs: Outputs) -> None:
    """The step's work; a 64th of the keys is in memory at a time."""
    with HashSort(outputs.file(layout.KEY_INDEX).parent, RECORD) as keys:
        for number, path in enumerate(sorted(job.inputs)):
            row = 0
            for batch in batches(outputs.run_path(path), DOCUMENTS, list(KINDS)):
                for kind in KINDS:
                    values = enumerate(batch.column(kind).to_pylist())
                    keys.add(np.array([(hash_of(kind, v), number, row + i) for i, v in values if v], RECORD))
                row += batch.num_rows
        with outputs.table(layout.KEY_INDEX, KEY_INDEX) as writer:
            for part in keys.sorted(BATCH_ROWS):
                write(writer, part["key"], part["shard"], part["row"])
    outputs.count(keys=writer.rows)


def write(writer: TableWriter, keys: NDArray[np.uint64], shards: NDArray[np.int32], rows: NDArray[np.int32]) -> None:
    """Writes sorted entries."""
    for start in range(0, len(keys), BATCH_ROWS):
        part = slice(start, start + BATCH_ROWS)
        columns = [pa.array(keys[part]), pa.array(shards[part]), pa.array(rows[part])]
        writer.write(pa.record_batch(columns, schema=writer.schema))


def hash_of(kind: str, value: str) -> int:
    """The key of a value: 64 bits."""
    return int(key_hash(kind, value), 16)


def find(run: Run, kind: str, value: str) -> Iterator[tuple[int, int]]:
    """Shard number and row of every document that may have this value."""
    wanted = np.uint64(hash_of(kind, value))
    reader = open_table(run.local(layout.KEY_INDEX), KEY_INDEX)
    for number in range(reader.num_record_batches):
        batch = reader.get_batch(number)
        column = batch.column("key")  # not to_numpy: that would load pandas
        keys = np.frombuffer(column.buffers()[1], np.uint64, len(column), column.offset * 8)
        if not len(keys) or keys[-1] < wanted:
            continue
        if keys[0] > wanted:
            return
        first, end = np.searchsorted(keys, wanted, side="left"), np.searchsorted(keys, wanted, side="right")
        for row in range(int(first), int(end)):
            yield batch.column("shard")[row].as_py(), batch.column("row")[row].as_py()
