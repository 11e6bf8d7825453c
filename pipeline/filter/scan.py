"""An evaluation set against a finished run: the documents that it touches, and their token ranges."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from pipeline import storage
from pipeline.engine import Context
from pipeline.errors import UserError
from pipeline.filter.columns import column_batches
from pipeline.filter.decontaminate import Index, build_index, byte_spans
from pipeline.filter.evaluation_sets import data_files
from pipeline.run import Run
from pipeline.tables import DOCUMENTS, TOKENS


def scan(root: str, sets: dict[str, str], fields: Sequence[str], ngram: int) -> dict[str, Any]:
    """Every overlap of a run's documents with evaluation sets.

    Returns:
        ``documents``, ``documents_touched``, ``items``, and ``hits``: doc_id, source, url, set, item, overlap, byte
        range in the text, and where the document was tokenized its token shard, row and token range in it.

    Raises:
        UserError: If there is no such run or set, or an item lacks a named field.
    """
    run = Run.open(root)
    for name, path in sets.items():
        if not data_files(path):
            raise UserError(f"evaluation set {name}: {path}: no such file")
    described = [{"name": name, "fields": list(fields), "id_field": None} for name in sets]
    index = build_index(described, sets, ngram)
    documents, hits = 0, []
    for shard in Context(run, dry=True).document_shards():
        local = run.local(f"documents/{shard}.arrow")
        for batch in column_batches(local, DOCUMENTS, ["doc_id", "text", "source", "url"]):
            documents += batch.num_rows
            hits += [{**hit, "shard": shard} for hit in _batch_hits(batch, index)]
    _add_token_ranges(run, hits)
    for hit in hits:
        del hit["text"]
    touched = len({hit["doc_id"] for hit in hits})
    return {"root": root, "documents": documents, "documents_touched": touched, "items": index.num_items, "hits": hits}


def _batch_hits(batch: pa.RecordBatch, index: Index) -> Iterator[dict[str, Any]]:
    names, ids = index.items["set"], index.items["id"]
    for hit in index.hits(batch["text"]):
        text = batch["text"][hit.row].as_py()
        for start, end in byte_spans(text, hit.words):
            yield {
                "doc_id": batch["doc_id"][hit.row].as_py().hex(),
                "source": batch["source"][hit.row].as_py(),
                "url": batch["url"][hit.row].as_py(),
                "set": names[hit.item].as_py(),
                "item": ids[hit.item].as_py(),
                "overlap": round(hit.overlap, 6),
                "start": start,
                "end": end,
                "text": text,
            }


def _add_token_ranges(run: Run, hits: list[dict[str, Any]]) -> None:
    """Adds ``token_shard``, ``token_row``, ``token_start``, ``token_end`` where the document was tokenized."""
    url = run.url("tokenizer", "tokenizer.json")
    if not hits or not storage.exists(url):
        return
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(storage.open_local(url)))
    for shard in sorted({hit["shard"] for hit in hits}):
        rows = _token_rows(run, shard)
        for hit in hits:
            if hit["shard"] != shard or hit["doc_id"] not in rows:
                continue
            hit["token_shard"], hit["token_row"] = rows[hit["doc_id"]]
            raw = hit["text"].encode()
            start, end = (len(raw[:edge].decode("utf-8", "ignore")) for edge in (hit["start"], hit["end"]))
            offsets = tokenizer.encode(hit["text"], add_special_tokens=False).offsets
            inside = [k for k, (first, last) in enumerate(offsets) if first < end and last > start]
            hit["token_start"], hit["token_end"] = (inside[0], inside[-1] + 1) if inside else (0, 0)


def _token_rows(run: Run, shard: str) -> dict[str, tuple[str, int]]:
    """Token shard and row of each document of a document shard."""
    rows: dict[str, tuple[str, int]] = {}
    for split in ("train", "validation"):
        path = f"tokens/{split}/{shard}.arrow"
        if not storage.exists(run.url(path)):
            continue
        number = 0
        for batch in column_batches(run.local(path), TOKENS, ["doc_id"]):
            for doc_id in batch["doc_id"].to_pylist():
                rows[doc_id.hex()] = (path, number)
                number += 1
    return rows
