"""Step ``dedup.links``, the reduce of the join: which documents of different shards share a key of one partition.

A task reads its range of each shard's keys.  Of what it finds it writes a forest, an edge for each document but the
first of its component, dealt to partitions of the documents: ranges of their numbers.
"""

import numpy as np
import pyarrow as pa

from pipeline.dedup.rule.join import Ints, Keys
from pipeline.dedup.stage.keys import connected, key_groups
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.table_files import RangeWriter, read_range
from pipeline.run.tables import KEYS, LINKS


def link(job: Job, outputs: Outputs) -> None:
    """Writes the edges of one partition of the keys."""
    _, _, documents, firsts = key_groups(*_read(job, outputs))
    linked, first = connected(documents, firsts)
    edges = np.flatnonzero(linked != first)
    linked, first = linked[edges], first[edges]
    cuts = np.searchsorted(linked, document_bounds(job.arguments["rows"], job.config["partitions"])).tolist()
    with RangeWriter(outputs.table(layout.shard_table(layout.LINKS, job.shard), LINKS)) as ranges:
        ranges.write_all(pa.Table.from_arrays([pa.array(linked), pa.array(first)], schema=LINKS.schema), cuts)


def document_bounds(rows: list[int], partitions: int) -> Ints:
    """First document number of each partition of the documents, and the end, shape (partitions + 1,): whole shards.

    Args:
        rows: Documents of each shard.
        partitions: How many.
    """
    bases = np.append(0, np.cumsum(rows, dtype=np.int64))
    shards = np.arange(partitions + 1) * len(rows) // partitions
    bounds: Ints = bases[shards]
    return bounds


def _read(job: Job, outputs: Outputs) -> tuple[Keys, Ints]:
    keys, documents = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    base = 0
    for shard, rows in zip(job.arguments["shards"], job.arguments["rows"], strict=True):
        url = outputs.url(layout.shard_table(layout.KEYS, shard))
        found = read_range(url, KEYS, job.config["partition"])
        keys.append(found.column("key").to_numpy())
        documents.append(found.column("row").to_numpy().astype(np.int64) + base)
        base += rows
    return np.concatenate(keys), np.concatenate(documents)
