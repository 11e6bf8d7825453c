"""The steps of the join in parts, which parts_plan.py plans: links, parts, selection, and the pieces put together.

Shape letters: N documents of the run, n linked documents, K kinds of keys.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base.arrow import doc_id_array
from pipeline.dedup.rule.join import Ints, Keys
from pipeline.dedup.rule.signing import band_keys
from pipeline.dedup.stage.cluster_tables import (
    evidence_tables,
    survivor_rows,
    survivor_tables,
    write_evidence,
    write_survivors,
)
from pipeline.dedup.stage.clusters import selected
from pipeline.dedup.stage.corpus import (
    URL_COLUMNS,
    RunCorpus,
    alive_of_shard,
    batch_url_hashes,
    signature_matrix,
)
from pipeline.kernels import verify
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.table_files import Table, batches, open_table
from pipeline.run.tables import (
    BATCH_ROWS,
    CLUSTER_PIECES,
    DOCUMENTS,
    LINKS,
    PARTS,
    SIGNATURES,
    SURVIVOR_PIECES,
)

TEXT, URL, BANDS = 0, 1, 2  # kinds of keys; a band has BANDS + its number


def link(job: Job, outputs: Outputs) -> None:
    """Writes which documents share a key, of the keys of one partition; a record batch for each kind of key."""
    kinds = BANDS + job.config["bands"]
    found: list[list[tuple[Keys, Ints]]] = [[] for _ in range(kinds)]
    for kind, keys, documents in _keys(job, outputs):
        mine = keys % np.uint64(job.config["partitions"]) == job.config["partition"]
        found[kind].append((keys[mine], documents[mine]))
    outputs.count(documents_in=sum(len(keys) for keys, _ in found[TEXT]))
    with outputs.table(layout.shard_table(layout.LINKS, job.shard), LINKS) as writer:
        for kind in range(kinds):
            keys = np.concatenate([*(keys for keys, _ in found[kind]), np.zeros(0, np.uint64)])
            documents = np.concatenate([*(documents for _, documents in found[kind]), np.zeros(0, np.int64)])
            found[kind] = []
            columns = [pa.array(column) for column in _groups(keys, documents)]
            writer.write(pa.record_batch(columns, schema=LINKS.schema))


def _keys(job: Job, outputs: Outputs) -> Iterator[tuple[int, Keys, Ints]]:
    """Kind, keys and document numbers, shard by shard."""
    base, bands = 0, job.config["bands"]
    for shard in job.config["shards"]:
        reader = open_table(outputs.run_path(layout.signatures(shard)), SIGNATURES)
        sizes = [reader.get_batch(number).num_rows for number in range(reader.num_record_batches)]
        alive = alive_of_shard(job, outputs, shard, sum(sizes))
        for number, start in enumerate(np.append(0, np.cumsum(sizes)[:-1]).tolist() if sizes else []):
            batch = reader.get_batch(number)
            chosen = np.flatnonzero(alive[start : start + batch.num_rows])
            yield TEXT, doc_id_array(batch.column("text_hash")).view("<u8")[chosen, 0], chosen + start + base
            chosen = chosen[batch.column("num_shingles").to_numpy()[chosen] > 0]
            keys_BN = band_keys(signature_matrix(batch)[chosen], bands)
            for band in range(bands):
                yield BANDS + band, keys_BN[band], chosen + start + base
        if job.config["same_url"]:
            yield from _url_keys(outputs, shard, alive, base)
        base += len(alive)


def _url_keys(outputs: Outputs, shard: str, alive: NDArray[np.bool_], base: int) -> Iterator[tuple[int, Keys, Ints]]:
    start = 0
    for batch in batches(outputs.run_path(layout.documents(shard)), DOCUMENTS, URL_COLUMNS):
        hashes = batch_url_hashes(batch)
        chosen = np.flatnonzero(alive[start : start + batch.num_rows] & (hashes != 0).any(axis=1))
        yield URL, hashes[chosen, 0], chosen + start + base
        start += batch.num_rows


def _groups(keys: Keys, documents: Ints) -> tuple[Ints, Ints]:
    """Documents that share their key with another one, and the number of each one's group."""
    by_key = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(keys[by_key]) != 0)) if len(keys) else np.zeros(0, np.int64)
    sizes = np.diff(np.append(starts, len(keys)))
    several = np.repeat(sizes > 1, sizes)
    return documents[by_key[several]], np.repeat(np.arange((sizes > 1).sum()), sizes[sizes > 1])


def make_parts(job: Job, outputs: Outputs) -> None:
    """Deals the linked documents to parts of about the same size, connected ones to the same part."""
    readers = [open_table(outputs.run_path(path), LINKS) for path in sorted(job.inputs)]
    linked = np.zeros(job.config["documents"], bool)
    for reader in readers:
        for kind in range(reader.num_record_batches):
            linked[reader.get_batch(kind).column("document").to_numpy()] = True
    documents = np.flatnonzero(linked)
    parents = np.arange(len(documents))
    for kind in range(readers[0].num_record_batches):
        of_node = np.full((len(documents), 1), -1, np.int32)
        groups = 0
        for reader in readers:
            batch = reader.get_batch(kind)
            group = batch.column("group").to_numpy()
            of_node[np.searchsorted(documents, batch.column("document").to_numpy()), 0] = group + groups
            groups += int(group[-1]) + 1 if len(group) else 0
        verify.join_buckets(parents, of_node, np.full(groups, -1, np.int64))
    part = _dealt(parents, job.config["parts"])
    for number in range(job.config["parts"]):
        with outputs.table(layout.shard_table(layout.PARTS, f"{number:05d}"), PARTS) as writer:
            writer.write(pa.record_batch([pa.array(documents[part == number])], schema=PARTS.schema))
    outputs.count(linked_documents=len(documents))


def _dealt(roots: Ints, parts: int) -> Ints:
    """The part of each document, shape (n,), from the root of its component."""
    sizes = np.bincount(roots, minlength=len(roots))
    before = np.cumsum(sizes) - sizes  # documents of earlier components, in the order of their roots
    share = -(-len(roots) // parts) or 1
    of_document: Ints = before[roots] // share
    return of_document


def select_part(job: Job, outputs: Outputs) -> None:
    """Writes the evidence and the survivors of one part, each row with its document's number."""
    path = layout.shard_table(layout.PARTS, job.shard)
    chosen = open_table(outputs.run_path(path), PARTS).get_batch(0).column("document").to_numpy()
    corpus = RunCorpus(job, outputs, chosen=chosen)
    with selected(job, corpus) as (found, _):
        edges = [*range(0, len(found.removed), BATCH_ROWS), len(found.removed)]
        with outputs.table(layout.shard_table(layout.PIECES, job.shard), CLUSTER_PIECES) as writer:
            tables = evidence_tables(found, corpus.doc_ids, edges)
            for (start, end), table in zip(pairwise(edges), tables, strict=True):
                writer.write(_numbered(corpus.numbers[found.removed[start:end]], table, CLUSTER_PIECES))
    rows = survivor_rows(found.clusters, found.removed)
    with outputs.table(layout.shard_table(layout.SURVIVOR_PIECES, job.shard), SURVIVOR_PIECES) as writer:
        start = 0
        for table in survivor_tables(corpus.doc_ids, found.clusters, rows):
            numbers = corpus.numbers[rows[start : start + table.num_rows]]
            writer.write(_numbered(numbers, table, SURVIVOR_PIECES))
            start += table.num_rows
    outputs.count(**found.counts(), survivors_of_shared_clusters=len(rows))


def _numbered(numbers: Ints, table: pa.Table, kind: Table) -> pa.Table:
    return pa.Table.from_arrays([pa.array(numbers), *table.columns], schema=kind.schema)


def merge_pieces(job: Job, outputs: Outputs) -> None:
    """Writes evidence and survivors in document order; holds a shard's rows at a time."""
    paths = sorted(job.inputs)
    survivors = [path for path in paths if "/survivors-" in path]
    bases = np.append(0, np.cumsum(job.arguments["rows"]))
    evidence = _Merge([outputs.run_path(path) for path in paths if path not in survivors], CLUSTER_PIECES)
    write_evidence(outputs, (evidence.until(int(end)) for end in bases[1:]))
    kept = _Merge([outputs.run_path(path) for path in survivors], SURVIVOR_PIECES)
    write_survivors(outputs, _in_batches(kept.until(int(end)) for end in bases[1:]))
    outputs.count(**job.arguments["counts"])


class _Merge:
    """Tables sorted by document number, read side by side."""

    def __init__(self, paths: Sequence[Path], kind: Table) -> None:
        self._sources = [batches(path, kind) for path in paths]
        self._held: list[pa.RecordBatch | None] = [next(source, None) for source in self._sources]
        self._schema = kind.schema

    def until(self, end: int) -> pa.Table:
        """The next rows, those of documents below ``end``, without their numbers."""
        taken: list[pa.RecordBatch] = []
        for number in range(len(self._sources)):
            while (batch := self._held[number]) is not None:
                rows = int(np.searchsorted(batch.column("document").to_numpy(), end))
                taken.append(batch.slice(0, rows))
                if rows < batch.num_rows:
                    self._held[number] = batch.slice(rows)
                    break
                self._held[number] = next(self._sources[number], None)
        return pa.Table.from_batches(taken, self._schema).sort_by("document").drop_columns("document")


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
