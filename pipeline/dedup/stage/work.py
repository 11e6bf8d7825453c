"""What the dedup stage's workers do: sign a shard, find the clusters, judge a shard."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.base.arrow import array_hashes, doc_id_column
from pipeline.base.sizes import parse_memory
from pipeline.dedup.index.runs import opened_against
from pipeline.dedup.rule.cost import JOIN_SHARE
from pipeline.dedup.rule.deduplicate import Outcome, deduplicate
from pipeline.dedup.rule.join import Ints
from pipeline.dedup.rule.selection import Rule
from pipeline.dedup.rule.signing import Signer
from pipeline.dedup.stage.documents import DocumentSets, RunCorpus, alive_of_shard, signature_path
from pipeline.dedup.stage.remembered import Remembered
from pipeline.dedup.stage.survivors import survivor_rows, survivor_tables
from pipeline.recipe.minhash import SCHEME, MinHash
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.tables import BATCH_ROWS, CLUSTERS, DOCUMENTS, SIGNATURES, SURVIVORS, VERDICTS, batches, open_table

if TYPE_CHECKING:
    from pipeline.dedup.index.reader import Index


def sign_shard(job: Job, outputs: Outputs) -> None:
    """Writes signatures/NNNNN.arrow of one document shard."""
    (source,) = job.inputs
    outputs.count(documents=write_signatures(job, outputs, layout.signatures(layout.shard_of(source))))


def write_signatures(job: Job, outputs: Outputs, target: str) -> int:
    """Signs the documents of a job's inputs, whose configuration is a ``MinHash``; returns how many there are."""
    minhash = MinHash(**job.config)
    signer, metadata = Signer.of(minhash), {name: str(value) for name, value in asdict(minhash).items()}
    with outputs.table(target, SIGNATURES, {**metadata, "scheme": SCHEME}) as writer:
        for source in sorted(job.inputs):
            for batch in batches(outputs.run_path(source), DOCUMENTS, ["doc_id", "text"]):
                writer.write(_signature_batch(signer, batch))
    return writer.rows


def _signature_batch(signer: Signer, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows of the signatures table for a batch of ``doc_id`` and ``text``."""
    texts = batch.column("text")
    signatures_NP, sets = signer.sign_and_hash(texts)
    width = signatures_NP.shape[1]
    offsets = pa.array(np.arange(len(signatures_NP) + 1, dtype=np.int32) * width)
    columns = [
        batch.column("doc_id"),
        doc_id_column(array_hashes(texts)),
        pa.array(np.diff(sets.offsets).astype(np.int32)),
        pc.utf8_length(texts).cast(pa.int64()),
        pa.ListArray.from_arrays(offsets, pa.array(signatures_NP.reshape(-1))),
    ]
    return pa.record_batch([column.cast(field.type) for column, field in zip(columns, SIGNATURES.schema, strict=True)],
                           schema=SIGNATURES.schema)  # fmt: skip


def find_clusters(job: Job, outputs: Outputs) -> None:
    """Writes the evidence of every removed document, and the survivors of clusters that keep several."""
    remembered = Remembered(job.arguments.get("remembered"))
    corpus = RunCorpus(job, outputs, remembered.left_out)
    with selected(job, corpus) as (found, indexes):
        edges = np.searchsorted(corpus.numbers[found.removed], corpus.bases)
        tables = evidence_tables(found, corpus.doc_ids, edges)
        if remembered:
            whole = pa.concat_tables([CLUSTERS.schema.empty_table(), *tables])
            whole, numbers = remembered.merged(whole, _every_doc_id(corpus.shards, outputs))
            tables = (whole.slice(a, b - a) for a, b in pairwise(np.searchsorted(numbers, corpus.bases).tolist()))
        write_evidence(outputs, tables)
    rows = survivor_rows(found.clusters, found.removed)
    with outputs.table(layout.SURVIVORS, SURVIVORS) as writer:
        for table in survivor_tables(corpus.doc_ids, found.clusters, rows):
            writer.write(table)
    counts = {**found.counts(), "documents_in": corpus.documents_in}
    if indexes:
        counts["removed_earlier"] = int(found.is_earlier.sum())
    counts = {**counts, "survivors_of_shared_clusters": len(rows)}
    outputs.count(**(remembered.counts(counts) if remembered else counts))


@contextmanager
def selected(job: Job, corpus: RunCorpus) -> Iterator[tuple[Outcome, list["Index"]]]:
    """What selection found among the documents, and the indexes that it was made against, open."""
    config = job.config
    memory_bytes = int(parse_memory(job.arguments["memory"]) * JOIN_SHARE)
    scratch = job.arguments.get("scratch")
    if scratch:
        Path(scratch).mkdir(parents=True, exist_ok=True)  # nothing else of this run may have been written yet
    with tempfile.TemporaryDirectory(prefix="dedup-", dir=scratch) as folder:
        minhash = MinHash(config["ngram"], config["bands"], config["rows"], job.arguments["seed"])
        with opened_against(job.arguments["against"], minhash, Path(folder)) as indexes:
            found = deduplicate(
                corpus.facts(),
                Rule(config["threshold"], config["copies"]),
                DocumentSets(corpus, config["ngram"], Path(folder) / "sets"),
                lambda band: corpus.keys(band, config["rows"]),
                config["bands"],
                memory_bytes=memory_bytes,
                indexes=indexes,
                exclude_root=job.arguments["root"],
            )
            yield found, indexes


def write_evidence(outputs: Outputs, tables: Iterable[pa.Table]) -> None:
    """Writes clusters/evidence.arrow, a record batch for each document shard, also an empty one."""
    with outputs.table(layout.EVIDENCE, CLUSTERS) as writer:
        for table in tables:
            columns = [pa.concat_arrays(column.chunks or [pa.array([], column.type)]) for column in table.columns]
            writer.write(pa.record_batch(columns, schema=CLUSTERS.schema))


def _every_doc_id(shards: list[str], outputs: Outputs) -> pa.Array:
    paths = [signature_path(outputs, shard) for shard in shards]
    pieces = [batch.column("doc_id") for path in paths for batch in batches(path, SIGNATURES, ["doc_id"])]
    return pa.concat_arrays([*pieces, pa.array([], pa.binary(16))])


def evidence_tables(found: Outcome, doc_ids: pa.ChunkedArray, edges: Ints) -> Iterator[pa.Table]:
    """Rows of clusters/ in the order of the removed documents, cut at ``edges``."""
    rules, sizes = found.rule_names(), found.cluster_sizes()
    for start, end in pairwise(edges.tolist()):
        part = slice(start, end)
        kept_id, kept_corpus, kept_name = _kept_columns(found, found.keepers[part], doc_ids)
        columns = [
            doc_ids.take(pa.array(found.removed[part])),
            kept_id,
            pa.array(found.similarities[part]),
            pa.array(found.intersections[part]),
            pa.array(found.unions[part]),
            rules[part],
            doc_ids.take(pa.array(found.clusters[found.removed[part]])),
            kept_corpus,
            kept_name,
            pa.array(sizes[found.removed[part]]),
            found.chosen_by[part].cast(pa.string()),
        ]
        yield pa.Table.from_arrays(columns, schema=CLUSTERS.schema)


def _kept_columns(found: Outcome, keepers: Ints, doc_ids: pa.ChunkedArray) -> tuple[pa.Array, pa.Array, pa.Array]:
    """kept_id, kept_corpus and kept_name of some removed documents."""
    kept_ids: list[bytes] = doc_ids.take(np.where(keepers < found.count, keepers, 0)).to_pylist()
    corpora: list[str | None] = [None] * len(keepers)
    names: list[str | None] = [None] * len(keepers)
    places = np.flatnonzero(keepers >= found.count)
    for place, document in zip(places.tolist(), found.earlier_documents(keepers[places]), strict=True):
        kept_ids[place] = document.doc_id
        corpora[place], names[place] = document.corpus, document.id.decode("utf-8", "replace")
    return pa.array(kept_ids, pa.binary(16)), pa.array(corpora, pa.string()), pa.array(names, pa.string())


def judge_shard(job: Job, outputs: Outputs) -> None:
    """Writes verdicts/dedup/NNNNN.arrow: dropped where there is a row of evidence, null where dropped before."""
    shard = job.config["shard"]
    doc_ids = pa.concat_arrays(
        [batch.column("doc_id") for batch in batches(outputs.run_path(layout.signatures(shard)), SIGNATURES)]
        or [pa.array([], pa.binary(16))]
    )
    alive = alive_of_shard(job, outputs, shard, len(doc_ids))
    evidence = open_table(outputs.run_path(layout.EVIDENCE), CLUSTERS, ["doc_id", "rule"]).get_batch(
        job.arguments["number"]
    )
    place = pc.index_in(doc_ids, value_set=evidence.column("doc_id"))
    removed = pc.is_valid(place).to_numpy(zero_copy_only=False)
    rules = evidence.column("rule").take(place).to_pylist()
    keep = pa.array(~removed, pa.bool_(), mask=~alive)
    reasons = pa.array([[f"dedup.{rule}"] if rule else [] for rule in rules], pa.list_(pa.string()))
    with outputs.table(layout.verdicts("dedup", shard), VERDICTS) as writer:
        table = pa.Table.from_arrays([doc_ids, keep, reasons], schema=VERDICTS.schema)
        for batch in table.to_batches(max_chunksize=BATCH_ROWS):
            writer.write(batch)
    counts = {rule: rules.count(rule) for rule in ("exact", "near") if rule in rules}
    outputs.count(
        documents_in=int(alive.sum()), kept=int((alive & ~removed).sum()), dropped=int((alive & removed).sum())
    )
    outputs.count(reasons={f"dedup.{rule}": number for rule, number in counts.items()})
