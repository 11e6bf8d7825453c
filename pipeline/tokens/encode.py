"""The step ``tokenize``: one document shard -> one training and one validation token shard.

Documents are in keyed-hash order of their doc_id, so that neighbours in a window are not pages of one site, and each
ends with the end-of-text token and may begin with another.  A shard's tokens (two or four bytes each) are held in
memory until they are ordered; its text is read batch by batch.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base.arrow import DocIds, doc_id_array, text_bytes
from pipeline.base.errors import naming
from pipeline.base.progress import count_done
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.manifest import digest_file
from pipeline.run.table_files import TableWriter
from pipeline.run.tables import tokens_table
from pipeline.tokens.documents.assign import TRAIN, VALIDATION
from pipeline.tokens.documents.kept_documents import kept_batches, shard_sources
from pipeline.tokens.documents.split import keyed_hash
from pipeline.tokens.shards.shard_facts import describe
from pipeline.tokens.shards.token_shard import TokenFormat, write_documents
from pipeline.tokens.tokenizer.engines import Encoder, check_no_special, make_encoder, shard_encoder

SPLITS = {TRAIN: "train", VALIDATION: "validation"}


@dataclass
class _Encoded:
    """The kept documents of a shard, in its order; document d of a batch is ``tokens[offsets[d]:offsets[d + 1]]``."""

    tokens: list[NDArray[Any]] = field(default_factory=list)  # flat, one array per batch
    offsets: list[NDArray[np.int64]] = field(default_factory=list)
    doc_ids: list[DocIds] = field(default_factory=list)
    sides: list[NDArray[np.uint8]] = field(default_factory=list)
    text_bytes: int = 0


@dataclass(frozen=True)
class RunTokenizer:
    """The tokenizer of a run, as every job that encodes reads it; ``encoding`` is ``tokenizer/encoding.json``."""

    definition: str
    encoding: dict[str, Any]
    format: TokenFormat

    @classmethod
    def read(cls, outputs: Outputs) -> "RunTokenizer":
        """Of the run that the outputs belong to."""
        path, ids = outputs.run_path(layout.TOKENIZER), outputs.run_path(layout.ENCODING)
        with naming(str(ids)):
            encoding = orjson.loads(ids.read_bytes())
        sizes = encoding["vocabulary_size"], encoding["end_of_text_id"], encoding.get("begin_of_text_id")
        with naming(str(path)):
            return cls(path.read_text(encoding="utf-8"), encoding, TokenFormat(digest_file(path), *sizes))

    def encoder(self) -> Encoder:
        """A new encoder."""
        encoding = self.encoding
        return make_encoder(encoding["engine"], self.definition, cut_long_texts=encoding["cut_long_texts"])

    def encode(self, encoder: Encoder, texts: pa.LargeStringArray) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Tokens of documents, each with the tokens around it, and offsets; no text may give a special token."""
        ids, offsets = encoder(texts)
        check_no_special(ids, self.encoding["special_tokens"])
        return delimited(ids, offsets, self.format)


def encode_shard(job: Job, outputs: Outputs) -> None:
    """Makes the token shards of one document shard; ``job.config`` holds ``seed``."""
    tokenizer = RunTokenizer.read(outputs)
    encoded = _encode(job, outputs, tokenizer)
    source = shard_sources(outputs, [job.shard])[job.shard]
    for side, split in SPLITS.items():
        table = tokens_table(tokenizer.format.vocabulary_size)
        path = layout.tokens(split, job.shard)
        with outputs.table(path, table, tokenizer.format.metadata(source)) as writer:
            batches = _write_ordered(writer, encoded, side, job.config["seed"])
        documents, tokens = (sum(sizes) for sizes in zip(*batches, strict=True)) if batches else (0, 0)
        outputs.read[path] = describe(source, tokenizer.format, batches)
        outputs.count(**{f"{split}_documents": documents, f"{split}_tokens": tokens})
        outputs.count(documents=documents, tokens=tokens)
    outputs.count(text_bytes=encoded.text_bytes)


def _encode(job: Job, outputs: Outputs, tokenizer: RunTokenizer) -> _Encoded:
    """Encodes the shard's kept documents."""
    encoding = tokenizer.encoding
    encoder = shard_encoder(encoding["engine"], tokenizer.definition, cut_long_texts=encoding["cut_long_texts"])
    encoded = _Encoded()
    for batch, sides, _ in kept_batches(outputs, job.shard, ["doc_id", "text"]):
        if not len(sides):
            continue
        texts = batch.column("text")
        encoded.text_bytes += text_bytes(texts)
        tokens, offsets = tokenizer.encode(encoder, texts)
        count_done(len(texts))
        encoded.tokens.append(tokens)
        encoded.offsets.append(offsets)
        # a copy: the array below would keep the whole batch, text and all, in memory
        encoded.doc_ids.append(doc_id_array(batch.column("doc_id")).copy())
        encoded.sides.append(sides)
    return encoded


def delimited(
    ids: NDArray[np.uint32], offsets: NDArray[np.int64], token_format: TokenFormat
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The documents with the token that ends each, and the one that begins it if there is such a token.

    Returns:
        Flat tokens in the shards' integer type, and offsets.
    """
    begin, documents = token_format.begin_of_text, np.arange(len(offsets))
    added = 1 if begin is None else 2
    places = offsets + added * documents
    text = np.ones(len(ids) + added * (len(offsets) - 1), bool)
    text[places[1:] - 1] = False
    if begin is not None:
        text[places[:-1]] = False
    values = np.full(len(text), token_format.end_of_text, token_format.dtype)
    values[text] = ids
    if begin is not None:
        values[places[:-1]] = begin
    return values, places


def _write_ordered(writer: TableWriter, encoded: _Encoded, side: int, seed: int) -> list[tuple[int, int]]:
    """Writes the documents of one side in keyed-hash order; returns the documents and tokens of each record batch."""
    rows = [np.flatnonzero(sides == side) for sides in encoded.sides]
    doc_ids = np.concatenate([np.empty((0, 16), np.uint8), *(i[r] for i, r in zip(encoded.doc_ids, rows, strict=True))])
    starts, ends = (
        np.concatenate([np.empty(0, np.int64), *(o[r + n] for o, r in zip(encoded.offsets, rows, strict=True))])
        for n in (0, 1)
    )
    batch = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
    halves = doc_ids.view("<u8").reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0], keyed_hash(doc_ids, f"order {seed}")))
    offsets = np.concatenate([[0], np.cumsum((ends - starts)[order])]).astype(np.int64)
    # as Python numbers: a slice costs a tenth of a microsecond, an Arrow take of a list ten times that; and in lists of
    # their own: a tuple for each document is work for the garbage collector, a tenth of the whole job
    batch, starts, ends = batch[order], starts[order], ends[order]

    def tokens_of(first: int, end: int) -> NDArray[Any]:
        places = zip(*(column[first:end].tolist() for column in (batch, starts, ends)), strict=True)
        return np.concatenate([encoded.tokens[b][start:stop] for b, start, stop in places])

    return write_documents(writer, tokens_of, offsets, doc_ids[order])
