"""What the stage reads of the corpus: kept documents batch by batch, and the training sample of the tokenizer.

All draws are by keyed hash of the doc_id, so they do not depend on the order of anything.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base.arrow import doc_id_array
from pipeline.filter.rules.cuts import cut_texts
from pipeline.run import layout
from pipeline.run.engine import Outputs
from pipeline.run.tables import DOCUMENTS, batches, open_table
from pipeline.tokens.documents.assign import DROPPED, TRAIN, read_cuts, read_split
from pipeline.tokens.documents.split import below_share, keyed_hash
from pipeline.tokens.shards.token_shard import SOURCE_KEY

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
        metadata = open_table(outputs.run_path(layout.documents(name)), DOCUMENTS).schema.metadata
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
    for batch in batches(outputs.run_path(layout.documents(name)), DOCUMENTS, columns):
        rows = np.flatnonzero(sides[first : first + batch.num_rows] != DROPPED)
        kept = batch if len(rows) == batch.num_rows else batch.take(pa.array(rows))
        rows = rows + first
        if cuts is not None:
            texts = cut_texts(kept.column("text"), cuts.take(pa.array(rows)))
            kept = kept.set_column(kept.schema.get_field_index("text"), kept.schema.field("text"), texts)
        yield kept, sides[rows], rows
        first += batch.num_rows


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
