"""Step ``dedup.clusters``: the evidence and the survivors of all parts in document order, a shard's rows at a time."""

from collections.abc import Iterator
from contextlib import ExitStack

import pyarrow as pa

from pipeline.dedup.stage.cluster_tables import write_evidence, write_survivors
from pipeline.dedup.stage.corpus import doc_ids_of
from pipeline.dedup.stage.remembered_evidence import Remembered
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.table_files import RangeReader, Table
from pipeline.run.tables import BATCH_ROWS, CLUSTER_PIECES, SURVIVOR_PIECES


def merge_pieces(job: Job, outputs: Outputs) -> None:
    """Writes clusters/; after a takedown with the evidence that is remembered."""
    remembered = Remembered(job.arguments.get("remembered"))
    evidence = _merged(job, outputs, layout.PIECES, CLUSTER_PIECES)
    write_evidence(outputs, _with_remembered(job, outputs, evidence, remembered) if remembered else evidence)
    write_survivors(outputs, _in_batches(_merged(job, outputs, layout.SURVIVOR_PIECES, SURVIVOR_PIECES)))
    counts = job.arguments["counts"]
    outputs.count(**(remembered.counts(counts) if remembered else counts))


def _merged(job: Job, outputs: Outputs, folder: str, table: Table) -> Iterator[pa.Table]:
    """The rows of each shard, without their documents' numbers."""
    with ExitStack() as stack:
        urls = [outputs.url(layout.shard_table(folder, part)) for part in job.arguments["partitions"]]
        readers = [stack.enter_context(RangeReader(url, table)) for url in urls]
        for number in range(len(job.config["shards"])):
            whole = pa.Table.from_batches([reader.read(number) for reader in readers], table.schema)
            yield whole.sort_by("document").drop_columns("document")


def _with_remembered(
    job: Job, outputs: Outputs, tables: Iterator[pa.Table], remembered: Remembered
) -> Iterator[pa.Table]:
    for shard, table in zip(job.config["shards"], tables, strict=True):
        yield remembered.merged(table, doc_ids_of(outputs, [shard]))


def _in_batches(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The rows of all tables in batches of ``BATCH_ROWS``."""
    held: list[pa.Table] = []
    rows = 0
    for table in tables:
        held, rows = [*held, table], rows + table.num_rows
        while rows >= BATCH_ROWS:
            whole = pa.concat_tables(held)
            yield whole.slice(0, BATCH_ROWS).combine_chunks()
            held, rows = [whole.slice(BATCH_ROWS)], rows - BATCH_ROWS
    if rows:
        yield pa.concat_tables(held).combine_chunks()
