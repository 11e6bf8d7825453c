"""The step ``tokenize.restored``: the token shard of documents that came back after a takedown (restored.py)."""

from collections.abc import Sequence

import pyarrow as pa

from pipeline.base.arrow import doc_id_array
from pipeline.filter.rules.cuts import CUT_FIELD, cut_texts
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.rows import read_rows
from pipeline.run.tables import DOCUMENTS, VERDICTS, tokens_table
from pipeline.tokens.documents.kept_documents import shard_sources
from pipeline.tokens.encode import RunTokenizer
from pipeline.tokens.shards.shard_facts import describe
from pipeline.tokens.shards.token_shard import write_documents


def encode_restored(job: Job, outputs: Outputs) -> None:
    """One restored shard: its documents in the order of their rows, unless they are in the split by now anyway."""
    shard = job.config["shard"]
    rows = _rows_to_encode(job, outputs, shard)
    tokenizer = RunTokenizer.read(outputs)
    columns = ["doc_id", "text", "source"]
    table = read_rows(outputs.run_path(layout.documents(shard)), DOCUMENTS, rows, columns).combine_chunks()
    source = shard_sources(outputs, [shard])[shard]
    target = layout.restored_tokens(job.config["number"], shard)
    tokens_of_run = tokens_table(tokenizer.format.vocabulary_size)
    batches: list[tuple[int, int]] = []
    with outputs.table(target, tokens_of_run, tokenizer.format.metadata(source)) as writer:
        if rows:
            texts = _without_cuts(table["text"].chunk(0), rows, job.config.get("cuts", {}))
            flat, ends = tokenizer.encode(tokenizer.encoder(), texts)
            doc_ids = doc_id_array(table["doc_id"].chunk(0))
            batches = write_documents(writer, lambda first, end: flat[ends[first] : ends[end]], ends, doc_ids)
    outputs.read[target] = describe(source, tokenizer.format, batches)
    outputs.count(documents=len(rows), tokens=sum(tokens for _, tokens in batches))


def _without_cuts(texts: pa.Array, rows: Sequence[int], cuts: dict[str, list[int]]) -> pa.Array:
    if not cuts:
        return texts
    return cut_texts(texts, pa.array([cuts.get(str(row)) for row in rows], CUT_FIELD.type))


def _rows_to_encode(job: Job, outputs: Outputs, shard: str) -> list[int]:
    rows = sorted(int(row) for _, row in job.config["documents"])
    path = outputs.run_path(layout.verdicts("tokenize", shard))
    sides: Sequence[str | None] = read_rows(path, VERDICTS, rows, ["doc_id", "split"])["split"].to_pylist()
    return [row for row, side in zip(rows, sides, strict=True) if side is None]
