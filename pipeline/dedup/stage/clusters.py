"""Step ``dedup.clusters``: which documents of all shards are duplicates, found by one process."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.base.sizes import parse_memory
from pipeline.dedup.index.runs import opened_against
from pipeline.dedup.rule.deduplicate import Outcome, deduplicate
from pipeline.dedup.rule.selection import Rule, Search
from pipeline.dedup.rule.shingle_sets import SetsOnDemand
from pipeline.dedup.stage.cluster_tables import (
    evidence_tables,
    survivor_rows,
    survivor_tables,
    write_evidence,
    write_survivors,
)
from pipeline.dedup.stage.corpus import RunCorpus, doc_ids_of
from pipeline.dedup.stage.remembered_evidence import Remembered
from pipeline.recipe.minhash import JOIN_SHARE, MinHash
from pipeline.run.engine import Job, Outputs

if TYPE_CHECKING:
    from pipeline.dedup.index.reader import Index


def find_clusters(job: Job, outputs: Outputs) -> None:
    """Writes the evidence of every removed document, and the survivors of clusters that keep several."""
    remembered = Remembered(job.arguments.get("remembered"))
    corpus = RunCorpus(job, outputs, remembered.left_out)
    with selected(job, corpus) as (found, indexes):
        edges = np.searchsorted(corpus.numbers[found.removed], corpus.bases).tolist()
        tables = evidence_tables(found, corpus.doc_ids, edges)
        if remembered:
            tables = (
                remembered.merged(table, doc_ids_of(outputs, [shard]))
                for shard, table in zip(corpus.shards, evidence_tables(found, corpus.doc_ids, edges), strict=True)
            )
        write_evidence(outputs, tables)
    rows = survivor_rows(found.clusters, found.removed)
    write_survivors(outputs, survivor_tables(corpus.doc_ids, found.clusters, rows))
    counts = {**found.counts(), "documents_in": corpus.documents_in}
    if indexes:
        counts["removed_earlier"] = int(found.is_earlier.sum())
    counts = {**counts, "survivors_of_shared_clusters": len(rows)}
    outputs.count(**(remembered.counts(counts) if remembered else counts))


@contextmanager
def selected(job: Job, corpus: RunCorpus) -> Iterator[tuple[Outcome, list["Index"]]]:
    """What selection found among the documents, and the indexes that it was made against, open."""
    config = job.config
    scratch = job.arguments.get("scratch")
    if scratch:
        Path(scratch).mkdir(parents=True, exist_ok=True)  # nothing else of this run may have been written yet
    with tempfile.TemporaryDirectory(prefix="dedup-", dir=scratch) as folder:
        minhash = MinHash(config["ngram"], config["bands"], config["rows"], job.arguments["seed"])
        with opened_against(job.arguments["against"], minhash, Path(folder)) as indexes:
            search = Search(
                SetsOnDemand(partial(corpus.write_sets, config["ngram"], Path(folder) / "sets")),
                lambda band: corpus.keys(band, config["rows"]),
                config["bands"],
                int(parse_memory(job.arguments["memory"]) * JOIN_SHARE),
            )
            rule = Rule(config["threshold"], config["copies"])
            yield deduplicate(corpus.facts(), rule, search, indexes, job.arguments["root"]), indexes
