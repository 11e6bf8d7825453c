"""The join of a run by one process that holds all documents: what the shuffled one must equal, to the byte."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.base.arrow import array_hashes
from pipeline.dedup.index.reader import Index
from pipeline.dedup.rule.deduplicate import Facts, Outcome, deduplicate
from pipeline.dedup.rule.join import Ints, Keys
from pipeline.dedup.rule.policy import survivor_policy
from pipeline.dedup.rule.selection import Rule, Search
from pipeline.dedup.rule.signing import Signer, band_keys, url_hashes
from pipeline.dedup.stage.cluster_tables import evidence_tables, survivor_rows, survivor_tables
from pipeline.dedup.stage.columns import common_type, metadata_values
from pipeline.recipe.options import Dedup
from pipeline.run.table_files import read_table
from pipeline.run.tables import CLUSTERS, DOCUMENTS, SURVIVORS


@dataclass
class InMemory:
    """Shingle sets and policy columns of all documents."""

    table: pa.Table
    hashes: Keys
    offsets: Ints

    def prepare(self, records: Ints) -> None:
        pass

    def load(self, records: Ints) -> tuple[Keys, Ints]:
        parts = [self.hashes[self.offsets[record] : self.offsets[record + 1]] for record in records.tolist()]
        return np.concatenate([np.zeros(0, np.uint64), *parts]), np.append(0, np.cumsum([len(part) for part in parts]))

    def signatures(self, records: Ints) -> Any:
        raise AssertionError("pairs are verified")

    def sources(self) -> pa.ChunkedArray:
        return self.table["source"]

    def licences(self) -> pa.ChunkedArray:
        return self.table["licence"]

    def lengths(self) -> Ints:
        return pc.utf8_length(self.table["text"]).to_numpy().astype(np.int64)

    def values(self, name: str) -> Sequence[pa.Array]:
        pieces = [metadata_values(chunk, name) for chunk in self.table["metadata"].chunks]
        return [piece.cast(common_type([piece.type for piece in pieces])) for piece in pieces]


def joined(root: Path, options: Dedup, indexes: Sequence[Index] = ()) -> tuple[pa.Table, pa.Table, dict[str, int]]:
    """Evidence, survivors and counts of a run's documents."""
    shards = [read_table(path, DOCUMENTS) for path in sorted((root / "documents").glob("*.arrow"))]
    table = pa.concat_tables(shards)
    texts = pa.concat_arrays(table["text"].chunks)
    signatures_NP, sets = Signer.of(options.minhash).sign_and_hash(texts)
    keys_BN = band_keys(signatures_NP, options.bands)
    corpus = InMemory(table, sets.hashes.copy(), sets.offsets)
    policy = survivor_policy(options.keep, options.prefer_sources, options.prefer_licences, corpus)
    urls = url_hashes(pc.coalesce(table["canonical_url"], table["url"])) if options.same_url else None
    facts = Facts(array_hashes(texts), np.diff(sets.offsets).astype(np.int32), policy, urls)
    search = Search(corpus, lambda band: keys_BN[band], options.bands)
    found = deduplicate(facts, Rule(options.threshold, options.copies), search, indexes)
    return _tables(found, table["doc_id"], [len(shard) for shard in shards])


def _tables(found: Outcome, doc_ids: pa.ChunkedArray, rows: list[int]) -> tuple[pa.Table, pa.Table, dict[str, int]]:
    edges = np.searchsorted(found.removed, np.append(0, np.cumsum(rows))).tolist()
    kept = survivor_rows(found.clusters, found.removed)
    evidence = pa.concat_tables([CLUSTERS.schema.empty_table(), *evidence_tables(found, doc_ids, edges)])
    survivors = [SURVIVORS.schema.empty_table(), *survivor_tables(doc_ids, found.clusters, kept)]
    counts = {**found.counts(), "documents_in": len(doc_ids), "survivors_of_shared_clusters": len(kept)}
    if found.is_earlier.any():
        counts["removed_earlier"] = int(found.is_earlier.sum())
    return evidence, pa.concat_tables(survivors), counts
