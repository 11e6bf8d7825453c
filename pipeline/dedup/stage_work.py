"""What the dedup stage's workers do: sign a shard, find the clusters, judge a shard."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.dedup.deduplicate import Facts, Outcome, deduplicate
from pipeline.dedup.earlier import earlier_id
from pipeline.dedup.index_format import Definition
from pipeline.dedup.index_runs import opened_against
from pipeline.dedup.planning import JOIN_SHARE
from pipeline.dedup.priority import (
    FIRST,
    LICENCE,
    LONGEST,
    SOURCE,
    Criterion,
    by_column,
    by_length,
    by_pattern,
    parse_memory,
)
from pipeline.dedup.selection import Rule
from pipeline.dedup.sets import Ints, SetWriter, SpilledSets
from pipeline.dedup.signing import Signer, array_hashes, band_keys, url_hashes
from pipeline.dedup.stage import EVIDENCE
from pipeline.dedup.survivors import write_survivors
from pipeline.engine import Job, Outputs
from pipeline.errors import UserError
from pipeline.lineage.evidence import Remembered
from pipeline.tables import CLUSTERS, DOCUMENTS, SIGNALS, SIGNATURES, VERDICTS, TableWriter, batches, open_table

EVIDENCE_ROWS = 65_536


def sign_shard(job: Job, outputs: Outputs) -> None:
    """Writes signatures/NNNNN.arrow of one document shard."""
    signer = make_signer(job.config)
    (source,) = job.inputs
    shard = Path(source).name
    with outputs.table(f"signatures/{shard}", SIGNATURES, signature_metadata(job.config)) as writer:
        for batch in batches(outputs.run_path(source), DOCUMENTS, ["doc_id", "text"]):
            writer.write(signature_batch(signer, batch))
    outputs.count(documents=writer.rows)


def make_signer(config: Mapping[str, int]) -> Signer:
    """The signer of a ``signature_config``."""
    return Signer(config["ngram"], config["bands"] * config["rows"], config["seed"])


def signature_metadata(config: Mapping[str, int]) -> dict[str, str]:
    """Schema metadata of signatures made by a ``signature_config``."""
    return {name: str(config[name]) for name in ("ngram", "bands", "rows", "seed")} | {"scheme": "affine32"}


def signature_batch(signer: Signer, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows of the signatures table for a batch of ``doc_id`` and ``text``."""
    texts = batch.column("text")
    signatures_NP, sets = signer.sign_and_hash(texts)
    width = signatures_NP.shape[1]
    offsets = pa.array(np.arange(len(signatures_NP) + 1, dtype=np.int32) * width)
    columns = [
        batch.column("doc_id"),
        pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(texts), [None, pa.py_buffer(array_hashes(texts))]),
        pa.array(np.diff(sets.offsets).astype(np.int32)),
        pc.utf8_length(texts).cast(pa.int64()),
        pa.ListArray.from_arrays(offsets, pa.array(signatures_NP.reshape(-1))),
    ]
    return pa.record_batch([column.cast(field.type) for column, field in zip(columns, SIGNATURES.schema, strict=True)],
                           schema=SIGNATURES.schema)  # fmt: skip


def find_clusters(job: Job, outputs: Outputs) -> None:
    """Writes the evidence of every removed document."""
    config = job.config
    corpus = _Corpus(job, outputs)
    remembered = Remembered(job.arguments.get("remembered"), corpus.doc_ids)
    alive = np.flatnonzero(corpus.alive & ~remembered.left_out)
    facts = Facts(
        corpus.text_hash[alive],
        corpus.num_shingles[alive],
        corpus.criteria(alive),
        corpus.url_hashes(alive) if config["same_url"] else None,
    )
    memory_bytes = int(parse_memory(job.arguments["memory"]) * JOIN_SHARE)
    scratch = job.arguments.get("scratch")
    if scratch:
        Path(scratch).mkdir(parents=True, exist_ok=True)  # nothing else of this run may have been written yet
    with tempfile.TemporaryDirectory(prefix="dedup-", dir=scratch) as folder:
        sets = _DocumentSets(corpus, alive, config["ngram"], Path(folder) / "sets")
        definition = Definition(config["ngram"], config["bands"], config["rows"], job.arguments["seed"])
        with opened_against(job.arguments["against"], definition, Path(folder)) as indexes:
            found = deduplicate(
                facts,
                Rule(config["threshold"], config["copies"]),
                sets,
                lambda band: corpus.keys(band, config["rows"])[alive],
                config["bands"],
                memory_bytes=memory_bytes,
                indexes=indexes,
                exclude_root=job.arguments["root"],
            )
            with outputs.table(EVIDENCE, CLUSTERS) as writer:
                _write_evidence(writer, found, corpus.doc_ids.take(alive), remembered)
    write_survivors(outputs, corpus.doc_ids.take(alive), found.clusters, found.removed)
    counts = {**found.counts(), "documents_in": int(corpus.alive.sum())}
    if indexes:
        counts["removed_earlier"] = int(found.is_earlier.sum())
    outputs.count(**(remembered.counts(counts) if remembered else counts))


def _write_evidence(writer: TableWriter, found: Outcome, doc_ids: pa.ChunkedArray, remembered: Remembered) -> None:
    parts = list(_evidence(found, doc_ids))
    if remembered:
        whole = remembered.merged(pa.concat_tables([CLUSTERS.schema.empty_table(), *parts])).combine_chunks()
        parts = [
            whole.take(pa.array(np.arange(start, min(start + EVIDENCE_ROWS, len(whole)))))
            for start in range(0, len(whole), EVIDENCE_ROWS)
        ]
    for part in parts:
        writer.write(part)


def _evidence(found: Outcome, doc_ids: pa.ChunkedArray) -> Iterator[pa.Table]:
    """Rows of clusters/ in the order of the removed documents, a record batch's worth at a time."""
    rules, sizes = found.rule_names(), found.cluster_sizes()
    for start in range(0, len(found.removed), EVIDENCE_ROWS):
        part = slice(start, start + EVIDENCE_ROWS)
        kept_id, kept_corpus, kept_name = _kept_columns(found, found.keepers[part], doc_ids)
        columns = [
            doc_ids.take(found.removed[part]),
            kept_id,
            pa.array(found.similarities[part]),
            pa.array(found.intersections[part]),
            pa.array(found.unions[part]),
            rules[part],
            doc_ids.take(found.clusters[found.removed[part]]),
            kept_corpus,
            kept_name,
            pa.array(sizes[found.removed[part]]),
            found.chosen_by[part].cast(pa.string()),
        ]
        yield pa.Table.from_arrays(columns, schema=CLUSTERS.schema).combine_chunks()


def _kept_columns(found: Outcome, keepers: Ints, doc_ids: pa.ChunkedArray) -> tuple[pa.Array, pa.Array, pa.Array]:
    """kept_id, kept_corpus and kept_name of some removed documents."""
    kept_ids: list[bytes] = doc_ids.take(np.where(keepers < found.count, keepers, 0)).to_pylist()
    corpora: list[str | None] = [None] * len(keepers)
    names: list[str | None] = [None] * len(keepers)
    places = np.flatnonzero(keepers >= found.count)
    for place, (name, corpus) in zip(places.tolist(), found.earlier_names(keepers[places]), strict=True):
        kept_ids[place] = earlier_id(name, corpus)
        corpora[place], names[place] = corpus.name, name.decode("utf-8", "replace")
    return pa.array(kept_ids, pa.binary(16)), pa.array(corpora, pa.string()), pa.array(names, pa.string())


class _Corpus:
    """The columns of all document shards that clustering needs, in shard order."""

    def __init__(self, job: Job, outputs: Outputs) -> None:
        self._job, self._outputs = job, outputs
        self.shards: list[str] = job.config["shards"]
        hashes, counts, lengths, ids, alive = [], [], [], [], []
        for shard in self.shards:
            reader = open_table(outputs.run_path(f"signatures/{shard}.arrow"), SIGNATURES)
            table = reader.read_all()
            hashes.append(_fixed_bytes(table.column("text_hash")).view("<u8").reshape(-1, 2))
            counts.append(table.column("num_shingles").to_numpy())
            lengths.append(table.column("text_length").to_numpy())
            ids += table.column("doc_id").chunks
            alive.append(self._alive(shard, table.num_rows))
        self.text_hash = np.concatenate([*hashes, np.zeros((0, 2), np.uint64)])
        self.num_shingles = np.concatenate([*counts, np.zeros(0, np.int32)])
        self.lengths = np.concatenate([*lengths, np.zeros(0, np.int64)])
        self.alive = np.concatenate([*alive, np.zeros(0, bool)])
        self.doc_ids = pa.chunked_array(ids, pa.binary(16))

    def _alive(self, shard: str, rows: int) -> NDArray[np.bool_]:
        alive = np.ones(rows, bool)
        for stage in self._job.config["stages_before"]:
            alive &= read_alive(self._outputs.run_path(f"verdicts/{stage}/{shard}.arrow"))
        return alive

    def keys(self, band: int, rows: int) -> NDArray[np.uint64]:
        """Band keys of every document in one band."""
        found = []
        for shard in self.shards:
            for batch in batches(self._outputs.run_path(f"signatures/{shard}.arrow"), SIGNATURES, ["signature"]):
                column = batch.column("signature")
                signatures_NP = column.flatten().to_numpy().reshape(len(column), -1)
                part = np.ascontiguousarray(signatures_NP[:, band * rows : (band + 1) * rows])
                found.append(band_keys(part, 1)[0])
        return np.concatenate([*found, np.zeros(0, np.uint64)])

    def criteria(self, alive: Ints) -> list[Criterion]:
        """The survivor policy over the alive documents."""
        config, found = self._job.config, []
        for name, patterns in ((SOURCE, config["prefer_sources"]), (LICENCE, config["prefer_licences"])):
            if patterns:
                found.append(by_pattern(name, self._column(name).take(alive), patterns))
        if config["keep"] == LONGEST:
            found.append(by_length(self.lengths[alive]))
        elif config["keep"] != FIRST:
            found.append(by_column(config["keep"], self._values(config["keep"]).take(alive).chunks))
        return found

    def url_hashes(self, alive: Ints) -> NDArray[np.uint64]:
        """Hashes of the canonical URLs of the alive documents, else of their URLs; zeros for none."""
        urls = pc.coalesce(self._column("canonical_url"), self._column("url")).take(alive)
        return url_hashes(urls)

    def _column(self, name: str) -> pa.ChunkedArray:
        paths = [self._outputs.run_path(f"documents/{shard}.arrow") for shard in self.shards]
        pieces = [batch.column(name) for path in paths for batch in batches(path, DOCUMENTS, [name])]
        return pa.chunked_array(pieces, pa.string())

    def _values(self, name: str) -> pa.ChunkedArray:
        """The column that ``keep`` names.

        Raises:
            UserError: If no document has it.
        """
        pieces = [piece for shard in self.shards for piece in self._shard_values(name, shard)]
        column = pa.chunked_array([piece.cast(_common_type(pieces)) for piece in pieces], _common_type(pieces))
        if column.null_count == len(column) and len(column):
            raise UserError(
                f"dedup.keep = {name!r}: no document has it; give first, longest, a column of documents, a field of "
                "the records, or a signal where filter runs before dedup"
            )
        return column

    def _shard_values(self, name: str, shard: str) -> list[pa.Array]:
        signals = f"signals/{shard}.arrow"
        if signals in self._job.inputs:
            reader = open_table(self._outputs.run_path(signals), SIGNALS)
            if name in reader.schema.names:
                return reader.read_all().column(name).chunks  # type: ignore[no-any-return]
        path = self._outputs.run_path(f"documents/{shard}.arrow")
        if name in DOCUMENTS.schema.names:
            return [batch.column(name) for batch in batches(path, DOCUMENTS)]
        return [_metadata_values(batch.column("metadata"), name) for batch in batches(path, DOCUMENTS, ["metadata"])]

    def texts(self, shard: str) -> Any:
        """The batches of texts of one document shard."""
        for batch in batches(self._outputs.run_path(f"documents/{shard}.arrow"), DOCUMENTS, ["text"]):
            yield batch.column("text")


def _common_type(pieces: list[pa.Array]) -> pa.DataType:
    types = [piece.type for piece in pieces if not pa.types.is_null(piece.type)]
    if not types:
        return pa.null()
    return types[0] if all(kind == types[0] for kind in types) else pa.string()


def _metadata_values(column: pa.Array, name: str) -> pa.Array:
    """One key of the records' metadata: numbers where all are, else text."""
    values = [orjson.loads(item).get(name) if item else None for item in column.to_pylist()]
    if all(value is None or isinstance(value, int | float) for value in values):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array([value if value is None or isinstance(value, str) else str(value) for value in values], pa.string())


def _fixed_bytes(column: pa.ChunkedArray) -> NDArray[np.uint8]:
    parts = [
        np.frombuffer(chunk.buffers()[1], np.uint8)[
            chunk.offset * chunk.type.byte_width : (chunk.offset + len(chunk)) * chunk.type.byte_width
        ]
        for chunk in column.chunks
    ]
    return np.concatenate([*parts, np.zeros(0, np.uint8)])


def read_alive(path: Path) -> NDArray[np.bool_]:
    """Documents that a verdict shard keeps; what an earlier stage dropped (null) is not kept."""
    pieces = [batch.column("keep").fill_null(False) for batch in batches(path, VERDICTS, ["keep"])]
    alive: NDArray[np.bool_] = np.concatenate([*(p.to_numpy(zero_copy_only=False) for p in pieces), np.zeros(0, bool)])
    return alive


class _DocumentSets(SpilledSets):
    """Shingle sets of candidates, hashed again from their documents when it is known which they are."""

    def __init__(self, corpus: _Corpus, alive: Ints, ngram: int, path: Path) -> None:
        self._corpus, self._alive, self._path = corpus, alive, path
        self._signer = Signer(ngram, 1)

    def prepare(self, records: Ints) -> None:
        """Reads the shards once, in order, and writes the sets of the wanted documents."""
        starts = np.full(len(self._alive), -1, np.int64)
        wanted = np.sort(self._alive[records])
        writer, base = SetWriter(self._path), 0
        for shard in self._corpus.shards:
            for texts in self._corpus.texts(shard):
                low, high = np.searchsorted(wanted, [base, base + len(texts)])
                if high > low:
                    sets = self._signer.hash(texts.take(pa.array(wanted[low:high] - base)))
                    numbers = np.searchsorted(self._alive, wanted[low:high])
                    starts[numbers] = writer.written + sets.offsets[:-1]
                    writer.write(sets)
                base += len(texts)
        writer.close()
        sizes = self._corpus.num_shingles[self._alive]
        super().__init__([self._path], np.array([0, len(self._alive)]), starts, sizes)


def judge_shard(job: Job, outputs: Outputs) -> None:
    """Writes verdicts/dedup/NNNNN.arrow: dropped where there is a row of evidence, null where dropped before."""
    shard = job.config["shard"]
    doc_ids = pa.concat_arrays(
        [batch.column("doc_id") for batch in batches(outputs.run_path(f"signatures/{shard}.arrow"), SIGNATURES)]
        or [pa.array([], pa.binary(16))]
    )
    alive = np.ones(len(doc_ids), bool)
    for stage in job.config["stages_before"]:
        alive &= read_alive(outputs.run_path(f"verdicts/{stage}/{shard}.arrow"))
    evidence = open_table(outputs.run_path(EVIDENCE), CLUSTERS).read_all()
    place = pc.index_in(doc_ids, value_set=evidence.column("doc_id"))
    removed = pc.is_valid(place).to_numpy(zero_copy_only=False)
    rules = evidence.column("rule").take(place).to_pylist()
    keep = pa.array(~removed, pa.bool_(), mask=~alive)
    reasons = pa.array([[f"dedup.{rule}"] if rule else [] for rule in rules], pa.list_(pa.string()))
    with outputs.table(f"verdicts/dedup/{shard}.arrow", VERDICTS) as writer:
        table = pa.Table.from_arrays([doc_ids, keep, reasons], schema=VERDICTS.schema)
        for batch in table.to_batches(max_chunksize=EVIDENCE_ROWS):
            writer.write(batch)
    counts = {rule: rules.count(rule) for rule in ("exact", "near") if rule in rules}
    outputs.count(
        documents_in=int(alive.sum()), kept=int((alive & ~removed).sum()), dropped=int((alive & removed).sum())
    )
    outputs.count(reasons={f"dedup.{rule}": number for rule, number in counts.items()})
