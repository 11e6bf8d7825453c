"""The step ``tokenize.leakage``: how near the validation documents still are to training text, by brute force.

The split and the exclusion work with hashes and estimates; this measures what they leave.  A sample of validation
documents is compared with every training document of whole shards, drawn until ``TRAINING_BYTES`` of text: the exact
Jaccard similarity of their shingle sets, no candidates and no signatures between.  Writes ``tokens/leakage.json``.

Shape letters: V sampled validation documents, H shingle hashes of theirs.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.base.arrow import DocIds, doc_id_array, text_bytes
from pipeline.dedup.rule.signing import ShingleSets, Signer
from pipeline.kernels import overlap
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.manifest import canonical_json
from pipeline.tokens.documents.assign import TRAIN, VALIDATION
from pipeline.tokens.documents.kept_documents import kept_batches
from pipeline.tokens.documents.split import keyed_hash

VALIDATION_DOCUMENTS = 500
TRAINING_BYTES = 256 << 20
LEVELS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.3)
PAIRS_SHOWN = 20
_FLAGS = 24  # the highest bits of a hash: a table of 2 MB says which hashes cannot be in the sample


class Nearest:
    """The most similar training document of each of V validation documents.

    Args:
        sets: Distinct shingle hashes of the validation documents.
    """

    def __init__(self, sets: ShingleSets) -> None:
        self._sizes_V = np.diff(sets.offsets)
        order = np.argsort(sets.hashes, kind="stable")
        self._known, starts = np.unique(sets.hashes[order], return_index=True)
        self._starts = np.append(starts, len(order))
        self._owners_H = np.repeat(np.arange(len(self._sizes_V)), self._sizes_V)[order]
        self._table = np.full(1 << (2 * len(self._known)).bit_length(), -1, np.int64)
        overlap.number_hashes(self._known, self._table)
        flags = np.zeros(1 << _FLAGS, bool)
        flags[self._known >> np.uint64(64 - _FLAGS)] = True
        self._bits = np.packbits(flags, bitorder="little")
        self._scratch = np.zeros((2, len(self._sizes_V)), np.int64)
        self.similarity_V = np.zeros(len(self._sizes_V))
        self.contained_V = np.zeros(len(self._sizes_V))  # largest share of its shingles in one training document
        self.doc_id_V: DocIds = np.zeros((len(self._sizes_V), 16), np.uint8)

    def add(self, sets: ShingleSets, doc_ids: DocIds) -> None:
        """Compares training documents with all validation documents."""
        nearest_V = np.full(len(self._sizes_V), -1)
        overlap.most_alike(
            sets.hashes,
            sets.offsets,
            self._bits,
            self._table,
            self._known,
            self._starts,
            self._owners_H,
            self._sizes_V,
            *self._scratch,
            self.similarity_V,
            self.contained_V,
            nearest_V,
        )
        found = np.flatnonzero(nearest_V >= 0)
        self.doc_id_V[found] = doc_ids[nearest_V[found]]


def measure(job: Job, outputs: Outputs) -> None:
    """Job "all" of the step; ``job.config``: ``seed``, ``ngram``, ``shards``."""
    seed, signer = job.config["seed"], Signer(job.config["ngram"], 1)
    held_out, texts = _validation_sample(job, outputs)
    nearest = Nearest(signer.hash(texts))
    documents, size, shards = 0, 0, 0
    for name in _drawn(job.config["shards"], seed) if len(texts) else ():
        if size >= TRAINING_BYTES:
            break
        shards += 1
        for ids, part in _texts(outputs, name, TRAIN):
            nearest.add(signer.hash(part), ids)
            documents += len(part)
            size += text_bytes(part)
    found = _report(nearest, held_out) | {
        "training_documents": documents,
        "training_bytes": size,
        "training_shards": shards,
        "all_shards": shards == len(job.config["shards"]),
        "ngram": job.config["ngram"],
    }
    outputs.file(layout.LEAKAGE).write_text(canonical_json(found), encoding="utf-8")
    outputs.count(leakage_sample=len(held_out), leakage_at_0_8=found["validation_documents_at"]["0.8"])


def _drawn(shards: list[str], seed: int) -> list[str]:
    """The shards in the order in which they are drawn."""
    ids = np.frombuffer(b"".join(name.encode().ljust(16, b"\0")[:16] for name in shards), np.uint8).reshape(-1, 16)
    return [shards[n] for n in np.argsort(keyed_hash(ids, f"leakage {seed}"), kind="stable")]


def _texts(outputs: Outputs, name: str, side: int) -> Iterator[tuple[DocIds, pa.LargeStringArray]]:
    """Ids and texts of a shard's documents of one side, batch by batch."""
    for batch, sides, _ in kept_batches(outputs, name, ["doc_id", "text"]):
        rows = np.flatnonzero(sides == side)
        if len(rows):
            chosen = batch if len(rows) == len(sides) else batch.take(pa.array(rows))
            yield doc_id_array(chosen.column("doc_id")), chosen.column("text")


def _validation_sample(job: Job, outputs: Outputs) -> tuple[DocIds, pa.LargeStringArray]:
    """The validation documents with the smallest keyed hashes."""
    best: list[tuple[int, str, int]] = []
    for name in job.config["shards"]:
        for batch, sides, rows in kept_batches(outputs, name, ["doc_id"]):
            held_out = np.flatnonzero(sides == VALIDATION)
            hashes = keyed_hash(doc_id_array(batch.column("doc_id"))[held_out], f"leakage {job.config['seed']}")
            found = zip(hashes.tolist(), rows[held_out].tolist(), strict=True)
            best = sorted([*best, *((number, name, row) for number, row in found)])[:VALIDATION_DOCUMENTS]
    ids: list[DocIds] = [np.zeros((0, 16), np.uint8)]
    texts = [pa.array([], pa.large_string())]
    for name in sorted({name for _, name, _ in best}):
        wanted = [row for _, shard, row in best if shard == name]
        for batch, _, rows in kept_batches(outputs, name, ["doc_id", "text"]):
            chosen = batch.take(pa.array(np.flatnonzero(np.isin(rows, wanted))))
            ids.append(doc_id_array(chosen.column("doc_id")))
            texts.append(chosen.column("text"))
    return np.concatenate(ids), pa.concat_arrays(texts)


def _report(nearest: Nearest, held_out: DocIds) -> dict[str, Any]:
    similarity = nearest.similarity_V
    order = np.argsort(-similarity, kind="stable")[:PAIRS_SHOWN]
    return {
        "validation_documents": len(held_out),
        "validation_documents_at": {str(level): int((similarity >= level).sum()) for level in LEVELS},
        "validation_documents_contained_at_0.8": int((nearest.contained_V >= 0.8).sum()),
        "highest_similarity": round(float(similarity.max(initial=0.0)), 4),
        "mean_of_highest": round(float(similarity.mean()), 4) if len(similarity) else 0.0,
        "nearest_pairs": [
            {
                "validation": held_out[n].tobytes().hex(),
                "training": nearest.doc_id_V[n].tobytes().hex(),
                "similarity": round(float(similarity[n]), 4),
            }
            for n in order
            if similarity[n] > 0
        ],
    }
