"""The step ``tokenize``: one document shard -> one training and one validation token shard.

Documents stand in keyed-hash order of their doc_id, so that neighbours in a window are not pages of one site, and each
ends with the end-of-text token.  A shard's tokens (two or four bytes each) are held in memory until they are ordered;
its text is read batch by batch.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.engine import Job, Outputs
from pipeline.manifest import digest_file
from pipeline.tables import tokens_table
from pipeline.tokens.assign import TRAIN, VALIDATION
from pipeline.tokens.corpus import kept_batches, shard_sources, text_buffers
from pipeline.tokens.engines import check_no_special, make_encoder
from pipeline.tokens.layout import describe
from pipeline.tokens.shards import TokenFormat, write_documents
from pipeline.tokens.split import DocIds, doc_id_array, keyed_hash
from pipeline.tokens.training import ENCODING, TOKENIZER

FOLDERS = {TRAIN: "tokens/train", VALIDATION: "tokens/validation"}


@dataclass
class _Side:
    """What one output shard will hold, in document order."""

    tokens: list[pa.LargeListArray] = field(default_factory=list)
    doc_ids: list[DocIds] = field(default_factory=list)


def encode_shard(job: Job, outputs: Outputs) -> None:
    """Makes the token shards of one document shard; ``job.config`` holds ``seed``."""
    definition = outputs.run_path(TOKENIZER).read_text(encoding="utf-8")
    encoding = json.loads(outputs.run_path(ENCODING).read_bytes())
    token_format = TokenFormat(
        digest_file(outputs.run_path(TOKENIZER)), encoding["vocabulary_size"], encoding["end_of_text_id"]
    )
    sides = {TRAIN: _Side(), VALIDATION: _Side()}
    text_bytes = _encode(job, outputs, definition, encoding, token_format, sides)
    source = shard_sources(outputs, [job.shard])[job.shard]
    for side, found in sides.items():
        path = f"{FOLDERS[side]}/{job.shard}.arrow"
        table = tokens_table(token_format.vocabulary_size)
        with outputs.table(path, table, token_format.metadata(source)) as writer:
            batches = _write_ordered(writer, found, job.config["seed"], token_format)
        documents, tokens = (sum(sizes) for sizes in zip(*batches, strict=True)) if batches else (0, 0)
        outputs.read[path] = describe(source, token_format, batches)
        name = FOLDERS[side].rpartition("/")[2]
        outputs.count(**{f"{name}_documents": documents, f"{name}_tokens": tokens})
        outputs.count(documents=documents, tokens=tokens)
    outputs.count(text_bytes=text_bytes)


def _encode(
    job: Job,
    outputs: Outputs,
    definition: str,
    encoding: dict[str, Any],
    token_format: TokenFormat,
    sides: dict[int, _Side],
) -> int:
    """Encodes the shard's kept documents into ``sides``; returns the bytes of their text."""
    encode = make_encoder(encoding["engine"], definition, cut_long_texts=encoding["cut_long_texts"])
    parsed = json.loads(definition)
    text_bytes = 0
    for batch, found, _ in kept_batches(outputs, job.shard, ["doc_id", "text"]):
        if not len(found):
            continue
        texts = batch.column("text")
        text_bytes += int(text_buffers(texts)[0][-1])
        ids, offsets = encode(texts)
        check_no_special(ids, parsed)
        ended = end_documents(ids, offsets, token_format)
        doc_ids = doc_id_array(batch.column("doc_id"))
        for side, output in sides.items():
            rows = np.flatnonzero(found == side)
            if len(rows):
                output.tokens.append(ended if len(rows) == len(found) else ended.take(pa.array(rows)))
                output.doc_ids.append(doc_ids[rows])
    return text_bytes


def end_documents(ids: NDArray[np.uint32], offsets: NDArray[np.int64], token_format: TokenFormat) -> pa.LargeListArray:
    """The documents with the end-of-text token after each, in the shards' integer type."""
    documents = len(offsets) - 1
    ends = offsets[1:] + np.arange(documents)
    text = np.ones(len(ids) + documents, bool)
    text[ends] = False
    values = np.empty(len(text), token_format.dtype)
    values[text] = ids
    values[ends] = token_format.end_of_text
    return pa.LargeListArray.from_arrays(pa.array(offsets + np.arange(documents + 1)), pa.array(values))


def _write_ordered(writer: Any, found: _Side, seed: int, token_format: TokenFormat) -> list[tuple[int, int]]:
    """Writes a side in keyed-hash order; returns the documents and tokens of each record batch."""
    if not found.doc_ids:
        return []
    doc_ids = np.concatenate(found.doc_ids)
    hashes = keyed_hash(doc_ids, f"order {seed}")
    halves = doc_ids.view("<u8").reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0], hashes))
    tokens = pa.concat_arrays(found.tokens).take(pa.array(order))
    found.tokens.clear()
    offsets = tokens.offsets.to_numpy()
    values = tokens.values.to_numpy()
    return write_documents(writer, values.astype(token_format.dtype, copy=False), offsets, doc_ids[order])
