"""An evaluation set against a finished run: the documents that it touches, and their token ranges."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from pipeline.base import storage
from pipeline.base.console import say
from pipeline.base.errors import UserError
from pipeline.base.progress import each
from pipeline.filter.decontamination.build import build_index
from pipeline.filter.decontamination.evaluation_sets import data_files
from pipeline.filter.decontamination.index import Index
from pipeline.filter.decontamination.reach import out_of_reach
from pipeline.filter.decontamination.text_words import byte_spans
from pipeline.filter.rules.cuts import CUT_SPANS, cut_text, moved
from pipeline.run import layout
from pipeline.run.context import Context
from pipeline.run.folder import Run
from pipeline.run.table_files import batches
from pipeline.run.tables import DOCUMENTS, TOKENS, VERDICTS
from pipeline.run.tokenizer import Tokenizer


def scan(root: str, sets: dict[str, str], fields: Sequence[str], ngram: int) -> dict[str, Any]:
    """Every overlap of a run's documents with evaluation sets.

    Returns:
        ``documents``, ``documents_touched``, ``items``, and ``hits``: doc_id, source, path, offset, url, set, item,
        overlap, byte range in the text, and where the document was tokenized its token shard, row and token range in
        it (an empty one where the run has cut the range out before it made tokens).

    Raises:
        UserError: If there is no such run or set, an item lacks a named field, or ``ngram`` is not from 4 to 50.
    """
    run = Run.open(root)
    if not 4 <= ngram <= 50:
        raise UserError(f"--ngram {ngram}: expected 4 to 50 words, as filter.decontamination.ngram")
    for name, path in sets.items():
        if not data_files(path):
            raise UserError(f"evaluation set {name}: {path}: no such file")
    described = [{"name": name, "fields": list(fields), "id_field": None} for name in sets]
    index = build_index(described, sets, ngram)
    for note in out_of_reach(index.reach(), ngram):
        say(note)
    documents, hits = 0, []
    for shard in each(Context(run, dry=True).document_shards(), "decontaminate", "shard"):
        local, first = run.local(layout.documents(shard)), 0
        for batch in batches(local, DOCUMENTS, ["doc_id", "text", "source", "path", "offset", "url"]):
            hits += [{**hit, "shard": shard, "row": first + hit["row"]} for hit in _batch_hits(batch, index)]
            first += batch.num_rows
        documents += first
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
                "row": hit.row,
                "source": batch["source"][hit.row].as_py(),
                "path": batch["path"][hit.row].as_py(),
                "offset": batch["offset"][hit.row].as_py(),
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
    url = run.url(layout.TOKENIZER)
    if not hits or not storage.exists(url):
        return
    tokenizer = Tokenizer.open(storage.open_local(url))
    for shard in sorted({hit["shard"] for hit in hits}):
        rows, cuts = _token_rows(run, shard), _cuts(run, shard)
        for hit in hits:
            if hit["shard"] != shard or hit["doc_id"] not in rows:
                continue
            hit["token_shard"], hit["token_row"] = rows[hit["doc_id"]]
            hit["token_start"], hit["token_end"] = _token_range(tokenizer, hit, cuts.get(hit["row"], []))


def _token_range(tokenizer: Tokenizer, hit: dict[str, Any], cut: list[int]) -> tuple[int, int]:
    """Tokens of the document that stand for the hit's bytes."""
    text = cut_text(hit["text"], cut)
    start, end = (_characters(text, moved(hit[edge], cut)) for edge in ("start", "end"))
    _, offsets = tokenizer.offsets(text)
    inside = [k for k, (first, last) in enumerate(offsets) if first < end and last > start] if start < end else []
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


def _characters(text: str, size: int) -> int:
    """Characters in the first bytes of a text."""
    return len(text.encode()[:size].decode("utf-8", "ignore"))


def _cuts(run: Run, shard: str) -> dict[int, list[int]]:
    """Byte ranges that the run cut out before it made tokens, by row of the document shard."""
    path = layout.verdicts("tokenize", shard)
    if not storage.exists(run.url(path)):
        return {}
    found: dict[int, list[int]] = {}
    first = 0
    for batch in batches(run.local(path), VERDICTS, [CUT_SPANS]):
        if CUT_SPANS not in batch.schema.names:
            return {}
        spans = batch[CUT_SPANS].to_pylist()
        found |= {first + row: cut for row, cut in enumerate(spans) if cut}
        first += batch.num_rows
    return found


def _token_rows(run: Run, shard: str) -> dict[str, tuple[str, int]]:
    """Token shard and row of each document of a document shard."""
    rows: dict[str, tuple[str, int]] = {}
    for split in ("train", "validation"):
        path = layout.tokens(split, shard)
        if not storage.exists(run.url(path)):
            continue
        number = 0
        for batch in batches(run.local(path), TOKENS, ["doc_id"]):
            for doc_id in batch["doc_id"].to_pylist():
                rows[doc_id.hex()] = (path, number)
                number += 1
    return rows
