"""What the steps of validation.py do in a worker."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base.arrow import DocIds, doc_id_array, text_bytes
from pipeline.dedup.stage.signatures import write_signatures
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.table_files import batches
from pipeline.run.tables import DOCUMENTS, tokens_table
from pipeline.tokens.documents.assign import VALIDATION
from pipeline.tokens.documents.kept_documents import kept_batches
from pipeline.tokens.documents.split import below_share, keyed_hash
from pipeline.tokens.encode import RunTokenizer, delimited
from pipeline.tokens.shards.token_shard import WITHDRAWN_KEY, write_documents

PADDING_ID = np.zeros((1, 16), np.uint8)


def hold_out(job: Job, outputs: Outputs) -> None:
    """Job of one document shard: its rows that are held out."""
    size = 0
    with outputs.table(layout.shard_table(layout.HELD_OUT_DOCUMENTS, job.shard), DOCUMENTS) as writer:
        for batch, sides, _ in kept_batches(outputs, job.shard, DOCUMENTS.schema.names):
            held = _chosen(batch, job.config) & (sides == VALIDATION)
            if held.any():
                taken = batch.filter(pa.array(held))
                writer.write(taken)
                size += text_bytes(taken.column("text"))
    outputs.count(documents=writer.rows, text_bytes=size)


def _chosen(batch: pa.RecordBatch, config: dict[str, Any]) -> NDArray[np.bool_]:
    """Documents of the wanted sources, as many as the limit of bytes lets in."""
    hashes = keyed_hash(doc_id_array(batch.column("doc_id")), f"ablation {config['seed']}")
    chosen = below_share(hashes, config["share"])
    if config["sources"]:
        chosen = chosen & np.isin(np.array(batch.column("source").to_pylist()), config["sources"])
    return chosen


def sign(job: Job, outputs: Outputs) -> None:
    """Job "all": one signature table over all held-out documents."""
    write_signatures(job, outputs, layout.HELD_OUT_SIGNATURES)


def encode(job: Job, outputs: Outputs) -> None:
    """Job of one shard of held-out documents; ``job.config``: tokens of padding ``before`` and ``after`` them."""
    tokenizer = RunTokenizer.read(outputs)
    token_format, encoder = tokenizer.format, tokenizer.encoder()
    parts: list[tuple[NDArray[Any], DocIds]] = []
    source = ""
    for batch in batches(outputs.run_path(layout.shard_table(layout.HELD_OUT_DOCUMENTS, job.shard)), DOCUMENTS):
        tokens, ends = delimited(*encoder(batch.column("text")), token_format)
        ids = doc_id_array(batch.column("doc_id"))
        parts += [(tokens[ends[row] : ends[row + 1]], ids[row : row + 1]) for row in range(len(ids))]
        source = batch.column("source")[0].as_py()
    before, after = job.config["before"], job.config["after"]
    padded = [*_padding(before, token_format.end_of_text), *parts, *_padding(after, token_format.end_of_text)]
    blank = [row for row, (_, doc_id) in enumerate(padded) if doc_id is PADDING_ID]
    metadata = token_format.metadata(source) | {WITHDRAWN_KEY: ",".join(map(str, blank))}
    offsets = np.cumsum([0, *(len(tokens) for tokens, _ in padded)]).astype(np.int64)
    tokens = np.concatenate([tokens for tokens, _ in padded]).astype(token_format.dtype)
    table = tokens_table(token_format.vocabulary_size)
    with outputs.table(layout.shard_table(layout.HELD_OUT_TOKENS, job.shard), table, metadata) as writer:
        doc_ids = np.concatenate([doc_id for _, doc_id in padded])
        write_documents(writer, lambda first, end: tokens[offsets[first] : offsets[end]], offsets, doc_ids)
    outputs.count(documents=len(parts), tokens=int(len(tokens) - before - after))


def _padding(tokens: int, end_of_text: int) -> list[tuple[NDArray[Any], DocIds]]:
    return [(np.full(tokens, end_of_text), PADDING_ID)] if tokens else []
