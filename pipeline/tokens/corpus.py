"""What the step ``tokenize.tokenizer`` reads: proof documents, a survey of all kept documents, and the training sample.

1. Proof documents: of each source those with the smallest keyed hashes.  Engines are compared on them.
2. The survey reads every kept document once: bytes by source, and, for the proof too, the first documents of each
   source that hold code points which no proof document before them holds.

All draws are by keyed hash of the doc_id, so they do not depend on the order of anything.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.engine import Outputs
from pipeline.filter.cuts import cut_texts
from pipeline.tables import DOCUMENTS, batches, open_table
from pipeline.tokens.assign import DROPPED, TRAIN, read_cuts, read_split
from pipeline.tokens.shards import SOURCE_KEY
from pipeline.tokens.split import below_share, doc_id_array, keyed_hash

CODE_POINT_DOCUMENTS = 200  # documents proven besides the sample, for code points that it lacks
PROOF_DOCUMENTS = 100  # of each source
PROOF_BYTES = 256 << 10  # a longer document is proven by its beginning
DOCUMENT_SAMPLE_BYTES = 1 << 20  # a longer document trains the tokenizer with its beginning only


@dataclass(frozen=True)
class Sample:
    """A document on which engines are compared, and which the tokenizer report describes."""

    source: str
    language: str
    text: str


@dataclass
class Survey:
    """What the kept documents hold."""

    sources: dict[str, str]  # shard -> source
    train_bytes: dict[str, int]  # source -> bytes of training text
    proof: list[Sample]


def shard_sources(outputs: Outputs, shards: list[str]) -> dict[str, str]:
    """The source of each document shard, from its schema metadata."""
    found = {}
    for name in shards:
        metadata = open_table(outputs.run_path(f"documents/{name}.arrow"), DOCUMENTS).schema.metadata
        found[name] = metadata[SOURCE_KEY.encode()].decode()
    return found


def kept_batches(
    outputs: Outputs, name: str, columns: list[str]
) -> Iterator[tuple[pa.RecordBatch, NDArray[np.uint8], NDArray[np.intp]]]:
    """Kept documents of a shard: batch of ``columns``, their sides, and their rows in the shard.

    A text is without what the filter stage cuts out of it.
    """
    sides = read_split(outputs, name)
    cuts = read_cuts(outputs, name) if "text" in columns else None
    first = 0
    for batch in batches(outputs.run_path(f"documents/{name}.arrow"), DOCUMENTS, columns):
        rows = np.flatnonzero(sides[first : first + batch.num_rows] != DROPPED)
        kept = batch if len(rows) == batch.num_rows else batch.take(pa.array(rows))
        rows = rows + first
        if cuts is not None:
            texts = cut_texts(kept.column("text"), cuts.take(pa.array(rows)))
            kept = kept.set_column(kept.schema.get_field_index("text"), kept.schema.field("text"), texts)
        yield kept, sides[rows], rows
        first += batch.num_rows


def survey(outputs: Outputs, shards: list[str], seed: int) -> Survey:
    """Reads every kept document once, and the proof documents before."""
    sources = shard_sources(outputs, shards)
    proof = [
        _sample(sources[name], row)
        for name, rows in _smallest_hashes(outputs, sources, seed).items()
        for row in _rows(outputs, name, rows)
    ]
    seen = np.zeros(0x110000, bool)
    offsets, data = text_buffers(pa.array([sample.text for sample in proof], pa.large_string()))
    documents_with_new_code_points(offsets, data, seen)
    left = dict.fromkeys(sources.values(), CODE_POINT_DOCUMENTS // max(1, len(set(sources.values()))))
    train_bytes: dict[str, int] = {}
    for name, source in sources.items():
        for batch, sides, _ in kept_batches(outputs, name, ["text", "language"]):
            offsets, data = text_buffers(batch.column("text"))
            train_bytes[source] = train_bytes.get(source, 0) + int(np.diff(offsets)[sides == TRAIN].sum())
            if left[source]:
                fresh = documents_with_new_code_points(offsets, data, seen)[: left[source]]
                left[source] -= len(fresh)
                proof += [_sample(source, row) for row in batch.take(pa.array(fresh, pa.int64())).to_pylist()]
    return Survey(sources, train_bytes, proof)


def _smallest_hashes(outputs: Outputs, sources: Mapping[str, str], seed: int) -> dict[str, list[int]]:
    """Rows by shard: of each source the ``PROOF_DOCUMENTS`` kept documents with the smallest keyed hashes."""
    best: dict[str, list[tuple[int, str, int]]] = {}
    for name, source in sources.items():
        for batch, _, rows in kept_batches(outputs, name, ["doc_id"]):
            hashes = keyed_hash(doc_id_array(batch.column("doc_id")), f"proof {seed}")
            order = np.argsort(hashes, kind="stable")[:PROOF_DOCUMENTS]
            found = [(int(hashes[n]), name, int(rows[n])) for n in order]
            best[source] = sorted(best.get(source, []) + found)[:PROOF_DOCUMENTS]
    chosen: dict[str, list[int]] = {}
    for _, name, row in sorted(place for places in best.values() for place in places):
        chosen.setdefault(name, []).append(row)
    return {name: sorted(chosen[name]) for name in sorted(chosen)}


def _rows(outputs: Outputs, name: str, wanted: list[int]) -> Iterator[dict[str, Any]]:
    """Text and language of some kept rows of a shard, in order."""
    for batch, _, rows in kept_batches(outputs, name, ["text", "language"]):
        yield from batch.take(pa.array(np.flatnonzero(np.isin(rows, wanted)))).to_pylist()


def _sample(source: str, row: Mapping[str, Any]) -> Sample:
    return Sample(source, row["language"] or "unknown", shortened(row["text"], PROOF_BYTES))


def text_buffers(texts: pa.LargeStringArray) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Offsets (N + 1, from 0) and UTF-8 bytes of a text column, without a copy of the bytes."""
    _, offset_buffer, data_buffer = texts.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64, len(texts) + 1, texts.offset * 8)
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None else np.empty(0, np.uint8)
    return offsets - offsets[0], data[offsets[0] : offsets[-1]]


def documents_with_new_code_points(
    offsets: NDArray[np.int64], data: NDArray[np.uint8], seen: NDArray[np.bool_]
) -> list[int]:
    """Documents that hold a code point above U+007F not in ``seen``, which is updated; the first of each.

    Args:
        offsets: int64 (N + 1,) into ``data``.
        data: Valid UTF-8.
        seen: One flag a code point.
    """
    leads = np.flatnonzero(data >= 0xC0)
    if not len(leads):
        return []
    code_points = _decode(data, leads)
    fresh, first = np.unique(code_points, return_index=True)
    first = first[~seen[fresh]]
    seen[fresh] = True
    documents = np.searchsorted(offsets, leads[first], side="right") - 1
    return [int(number) for number in np.unique(documents)]


def _decode(data: NDArray[np.uint8], leads: NDArray[np.intp]) -> NDArray[np.int32]:
    """Code points that begin at ``leads`` (lead bytes of two to four)."""
    padded = np.concatenate([data, np.zeros(3, np.uint8)])
    lead = padded[leads].astype(np.int32)
    following = [(padded[leads + n] & 0x3F).astype(np.int32) for n in (1, 2, 3)]
    two = (lead & 0x1F) << 6 | following[0]
    three = (lead & 0x0F) << 12 | following[0] << 6 | following[1]
    four = (lead & 0x07) << 18 | following[0] << 12 | following[1] << 6 | following[2]
    return np.where(lead < 0xE0, two, np.where(lead < 0xF0, three, four))


def sample_shares(train_bytes: Mapping[str, int], weights: Mapping[str, float], budget: int) -> dict[str, float]:
    """Share of each source's documents that trains the tokenizer: in proportion to its weight, within the budget.

    A source cannot give more than all its documents; what it lacks is not made up by repeating them.
    """
    usable = {source: size for source, size in train_bytes.items() if size and weights.get(source, 1.0) > 0}
    if not usable:
        return {}
    largest = max(weights.get(source, 1.0) for source in usable)
    full = {source: weights.get(source, 1.0) / largest for source in usable}
    wanted = sum(size * full[source] for source, size in usable.items())
    factor = min(1.0, budget / wanted)
    return {source: full[source] * factor for source in usable}


def training_texts(outputs: Outputs, found: Survey, shares: Mapping[str, float], seed: int) -> Iterator[list[str]]:
    """The sample of training documents, a list for each record batch; long ones cut at ``DOCUMENT_SAMPLE_BYTES``."""
    for name, source in found.sources.items():
        share = shares.get(source, 0.0)
        if share == 0.0:
            continue
        for batch, sides, _ in kept_batches(outputs, name, ["doc_id", "text"]):
            hashes = keyed_hash(doc_id_array(batch.column("doc_id")), f"sample {seed}")
            chosen = np.flatnonzero((sides == TRAIN) & below_share(hashes, share))
            if len(chosen):
                texts = batch.column("text").take(pa.array(chosen))
                yield [shortened(text, DOCUMENT_SAMPLE_BYTES) for text in texts.to_pylist()]


def shortened(text: str, size: int) -> str:
    """The beginning of a text, at most ``size`` bytes of UTF-8."""
    if len(text) * 4 <= size or len(text.encode()) <= size:
        return text
    return text.encode()[:size].decode(errors="ignore")
