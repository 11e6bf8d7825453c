"""index/doc_id.arrow: every document of a run, sorted by doc_id, with its shard and row."""

import json

import numpy as np
import pyarrow as pa

from pipeline.engine import Context, Job, Outputs, Step
from pipeline.manifest import Manifest
from pipeline.tables import BATCH_ROWS, BATCH_ROWS_KEY, DOC_INDEX, DOCUMENTS, read_table
from pipeline.tokens.split import doc_id_array

STEP = Step("index", 2, "pipeline.tokens.index:build")
PATH = "index/doc_id.arrow"


def make_index(context: Context) -> dict[str, Manifest]:
    """Makes the index of a run where it is not up to date."""
    inputs = {f"documents/{name}.arrow": digest for name, digest in context.document_shards().items()}
    return context.run_step(STEP, [Job("all", {}, inputs)])


def build(job: Job, outputs: Outputs) -> None:
    """Job "all" of the step ``index``."""
    paths = sorted(job.inputs)
    batch_rows: list[list[int]] = []
    ids, shards, rows = [np.empty((0, 16), np.uint8)], [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    for number, path in enumerate(paths):
        column = read_table(outputs.run_path(path), DOCUMENTS, ["doc_id"])["doc_id"]
        batch_rows.append([len(chunk) for chunk in column.chunks])
        ids += [doc_id_array(chunk) for chunk in column.chunks]
        shards.append(np.full(len(column), number, np.int32))
        rows.append(np.arange(len(column), dtype=np.int32))
    doc_ids = np.concatenate(ids)
    # big-endian halves sort as the bytes do
    halves = doc_ids.view(">u8").reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0]))
    sorted_ids, sorted_shards, sorted_rows = doc_ids[order], np.concatenate(shards)[order], np.concatenate(rows)[order]
    with outputs.table(PATH, DOC_INDEX, {BATCH_ROWS_KEY: json.dumps(batch_rows, separators=(",", ":"))}) as writer:
        for start in range(0, len(order), BATCH_ROWS):
            part = slice(start, start + BATCH_ROWS)
            keys = np.ascontiguousarray(sorted_ids[part])
            columns = [
                pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(keys), [None, pa.py_buffer(keys)]),
                pa.array(sorted_shards[part]),
                pa.array(sorted_rows[part]),
            ]
            writer.write(pa.record_batch(columns, schema=writer.schema))
    outputs.count(documents=len(order))
