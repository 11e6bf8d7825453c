"""The table index/doc_id.arrow: every document of a run, sorted by doc_id, with its shard and row."""

import json

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base.arrow import doc_id_array, doc_id_column
from pipeline.base.hash_sort import HashSort
from pipeline.run import layout
from pipeline.run.context import Context
from pipeline.run.engine import Job, Outputs, Step
from pipeline.run.table_files import batches
from pipeline.run.tables import BATCH_ROWS, BATCH_ROWS_KEY, DOC_INDEX, DOCUMENTS

STEP = Step("index", 2, "pipeline.lookup.doc_ids:build")
RECORD = np.dtype([("high", np.uint64), ("low", np.uint64), ("shard", np.int32), ("row", np.int32)])


def index_work(context: Context) -> tuple[Step, list[Job]]:
    """The step that makes the index, and its one job."""
    inputs = {layout.documents(name): digest for name, digest in context.document_shards().items()}
    return STEP, [Job("all", {}, inputs)]


def build(job: Job, outputs: Outputs) -> None:
    """The step's work; a 64th of the ids is in memory at a time."""
    batch_rows: list[list[int]] = []
    with HashSort(outputs.file(layout.DOC_INDEX).parent, RECORD) as found:
        for number, path in enumerate(sorted(job.inputs)):
            batch_rows.append([])
            for batch in batches(outputs.run_path(path), DOCUMENTS, ["doc_id"]):
                found.add(_records(batch.column("doc_id"), number, sum(batch_rows[-1])))
                batch_rows[-1].append(batch.num_rows)
        metadata = {BATCH_ROWS_KEY: json.dumps(batch_rows, separators=(",", ":"))}
        with outputs.table(layout.DOC_INDEX, DOC_INDEX, metadata) as writer:
            for part in found.sorted(BATCH_ROWS):
                doc_ids = np.stack((part["high"], part["low"]), axis=1).astype(">u8")
                columns = [doc_id_column(doc_ids), pa.array(part["shard"]), pa.array(part["row"])]
                writer.write(pa.record_batch(columns, schema=writer.schema))
    outputs.count(documents=sum(map(sum, batch_rows)))


def _records(doc_ids: pa.FixedSizeBinaryArray, shard: int, first_row: int) -> NDArray[np.void]:
    records = np.empty(len(doc_ids), RECORD)
    halves = doc_id_array(doc_ids).view(">u8")  # as numbers, big-endian halves sort as the bytes of the id do
    records["high"], records["low"] = halves[:, 0], halves[:, 1]
    records["shard"], records["row"] = shard, np.arange(first_row, first_row + len(doc_ids))
    return records
