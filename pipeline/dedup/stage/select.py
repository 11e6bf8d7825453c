"""Step ``dedup.select``: which of the linked documents of one part are duplicates, as over the whole corpus.

A component is worked on by one task: the rule looks at its documents one after the other.
"""

import numpy as np
import pyarrow as pa

from pipeline.base.sizes import parse_memory
from pipeline.dedup.rule.deduplicate import Outcome, deduplicate
from pipeline.dedup.rule.join import Ints
from pipeline.dedup.rule.selection import Rule, Search
from pipeline.dedup.stage.cluster_tables import evidence_tables, survivor_rows
from pipeline.dedup.stage.corpus import scratch_folder
from pipeline.dedup.stage.earlier import opened_places
from pipeline.dedup.stage.part import Part
from pipeline.recipe.minhash import JOIN_SHARE, MinHash
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.table_files import RangeWriter, Table
from pipeline.run.tables import CLUSTER_PIECES, SURVIVOR_PIECES, SURVIVORS


def select_part(job: Job, outputs: Outputs) -> None:
    """Writes the evidence and the survivors of one part, each row with its document's number, by document shard."""
    with scratch_folder(job) as folder:
        part = Part(job, outputs, folder / "sets")
        config = job.config
        minhash = MinHash(config["ngram"], config["bands"], config["rows"], job.arguments["seed"])
        with opened_places(job, outputs, minhash) as indexes:
            memory = int(parse_memory(job.arguments["memory"]) * JOIN_SHARE)
            search = Search(part.sets, part.keys, config["bands"], memory)
            rule = Rule(config["threshold"], config["copies"])
            found = deduplicate(part.facts(), rule, search, indexes, job.arguments["root"])
            _write(job, outputs, part, found)
            if indexes:
                outputs.count(removed_earlier=int(found.is_earlier.sum()))


def _write(job: Job, outputs: Outputs, part: Part, found: Outcome) -> None:
    bases = np.append(0, np.cumsum(job.arguments["rows"], dtype=np.int64))
    (evidence,) = evidence_tables(found, part.doc_ids, [0, len(found.removed)])
    _by_shard(
        outputs,
        layout.shard_table(layout.PIECES, job.shard),
        CLUSTER_PIECES,
        evidence,
        part.numbers[found.removed],
        bases,
    )
    rows = survivor_rows(found.clusters, found.removed)
    columns = [part.doc_ids.take(pa.array(rows)), part.doc_ids.take(pa.array(found.clusters[rows]))]
    survivors = pa.Table.from_arrays(columns, schema=SURVIVORS.schema)
    _by_shard(
        outputs,
        layout.shard_table(layout.SURVIVOR_PIECES, job.shard),
        SURVIVOR_PIECES,
        survivors,
        part.numbers[rows],
        bases,
    )
    outputs.count(**found.counts(), survivors_of_shared_clusters=len(rows))


def _by_shard(outputs: Outputs, path: str, kind: Table, table: pa.Table, numbers: Ints, bases: Ints) -> None:
    """Writes rows with their documents' numbers (ascending), a range for each document shard."""
    numbered = pa.Table.from_arrays([pa.chunked_array([pa.array(numbers)]), *table.columns], schema=kind.schema)
    with RangeWriter(outputs.table(path, kind)) as ranges:
        ranges.write_all(numbered, np.searchsorted(numbers, bases).tolist())
