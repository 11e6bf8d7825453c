"""Texts to train a classifier on: files, or a query over a run's columns (``RUN?source=wiki&min_word_count=200``)."""

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pyarrow.compute as pc

from pipeline.base import storage
from pipeline.base.digests import digest, hasher
from pipeline.base.errors import UserError
from pipeline.base.words import nearest
from pipeline.filter.decontamination.evaluation_sets import data_files, read_items
from pipeline.filter.rules.predicates import Mask, as_mask
from pipeline.run import layout
from pipeline.run.context import Context
from pipeline.run.engine import Outputs
from pipeline.run.folder import Run
from pipeline.run.manifest import digest_file
from pipeline.run.table_files import read_table
from pipeline.run.tables import DOCUMENTS, SIGNALS
from pipeline.run.tables.alive import alive

DOCUMENT_KEYS = ("source", "language", "licence")


@dataclass
class Texts:
    """Texts, and where they came from."""

    texts: list[str] = field(default_factory=list)
    sources: list[dict[str, Any]] = field(default_factory=list)

    def described(self, trained: int, held_out: int) -> dict[str, Any]:
        """For the model card."""
        return {"sources": self.sources, "trained": trained, "held_out": held_out}


def read_texts(specs: Sequence[str]) -> Texts:
    """All texts of the given files and queries.

    Raises:
        UserError: If one cannot be read, or has no text.
    """
    found = Texts()
    for spec in specs:
        texts, digest = _from_run(spec) if _is_query(spec) else _from_files(spec)
        if not texts:
            raise UserError(f"{spec}: no text found")
        found.texts += texts
        found.sources.append({"spec": spec, "texts": len(texts), "digest": digest})
    return found


def _is_query(spec: str) -> bool:
    return "?" in spec or storage.exists(storage.join(spec, layout.RECIPE))


def _from_files(spec: str) -> tuple[list[str], str]:
    files = data_files(spec)
    if not files:
        raise UserError(f"{spec}: no such file, or not JSONL, Parquet or text; a query is RUN?source=NAME")
    texts = ["\n".join(parts) for _, parts in read_items(spec, files, [], None)]
    found = hasher()
    for path in files.values():
        found.update(digest_file(path).encode())
    return texts, found.hexdigest()


def _from_run(spec: str) -> tuple[list[str], str]:
    """Texts of the documents of a run that fit the query; the digest is that of their doc_ids."""
    root, _, query = spec.partition("?")
    conditions = parse_qsl(query, keep_blank_values=True)
    run = Run.open(root)
    context = Context(run, dry=True)
    found = hasher()
    texts: list[str] = []
    for shard in context.document_shards():
        chosen = _rows(context, shard, conditions)
        if not chosen.any():
            continue
        wanted = np.flatnonzero(chosen)
        table = read_table(run.local(layout.documents(shard)), DOCUMENTS, ["doc_id", "text"]).take(wanted)
        texts += table["text"].to_pylist()
        for doc_id in table["doc_id"].to_pylist():
            found.update(doc_id)
    return texts, found.hexdigest()


def texts_of_shards(
    outputs: Outputs, shards: Sequence[str], stages: Sequence[str], queries: Sequence[str], most: int
) -> Texts:
    """Texts of a run's documents that fit one of the queries and that no stage so far drops; for a step of the run.

    Where there are more than ``most``, those with the smallest doc_ids (hashes) are taken.

    Raises:
        UserError: If a query has another condition than one of ``DOCUMENT_KEYS``, or nothing fits.
    """
    found = Texts()
    for query in queries:
        texts, digest = _smallest(outputs, shards, stages, document_conditions(query), most)
        if not texts:
            raise UserError(f"query {query!r}: no document of this run fits it")
        found.texts += texts
        found.sources.append({"spec": query, "texts": len(texts), "digest": digest})
    return found


def document_conditions(query: str, sources: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """Keys and values of a query over the documents of the run itself.

    Args:
        query: As in a recipe: ``source=wiki&language=en``.
        sources: The run's sources, where a name that is none of them is to be refused.

    Raises:
        UserError: If it has another condition than one of ``DOCUMENT_KEYS``, or an unknown source.
    """
    conditions = parse_qsl(query, keep_blank_values=True)
    if not conditions or not {key for key, _ in conditions} <= set(DOCUMENT_KEYS):
        raise UserError(
            f"query {query!r}: allowed are {', '.join(DOCUMENT_KEYS)}, as in source=wiki&language=en; signals are "
            "measured after the classifier is trained"
        )
    for key, value in conditions:
        if sources is not None and key == "source" and value not in sources:
            raise UserError(f"query {query!r}: no source is named {value!r}; the sources are {', '.join(sources)}")
    return conditions


def _smallest(
    outputs: Outputs, shards: Sequence[str], stages: Sequence[str], conditions: list[tuple[str, str]], most: int
) -> tuple[list[str], str]:
    """Texts of at most ``most`` documents that fit, and the digest of their doc_ids."""
    places: list[tuple[bytes, str, int]] = []
    for shard in shards:
        table = read_table(outputs.run_path(layout.documents(shard)), DOCUMENTS, ["doc_id", *DOCUMENT_KEYS])
        chosen = alive([outputs.run_path(layout.verdicts(stage, shard)) for stage in stages], table.num_rows)
        for key, value in conditions:
            chosen &= as_mask(pc.equal(table[key], value))
        rows = np.flatnonzero(chosen)
        ids = table["doc_id"].take(rows).to_pylist()
        places = heapq.nsmallest(most, [*places, *zip(ids, repeat(shard), rows.tolist(), strict=False)])
    wanted: dict[str, list[int]] = defaultdict(list)
    for _, shard, row in places:
        wanted[shard].append(row)
    texts: list[str] = []
    for shard, rows_ in sorted(wanted.items()):
        table = read_table(outputs.run_path(layout.documents(shard)), DOCUMENTS, ["text"])
        texts += table["text"].take(sorted(rows_)).to_pylist()
    return texts, digest(b"".join(doc_id for doc_id, _, _ in places)).hex()


def _rows(context: Context, shard: str, conditions: list[tuple[str, str]]) -> Mask:
    """Which documents of a shard fit all conditions."""
    run = context.run
    documents = read_table(run.local(layout.documents(shard)), DOCUMENTS, DOCUMENT_KEYS)
    chosen = np.ones(documents.num_rows, dtype=bool)
    signals = None
    for key, value in conditions:
        if key in DOCUMENT_KEYS:
            chosen &= as_mask(pc.equal(documents[key], value))
        elif key == "kept":
            verdicts = [run.local(path) for path in context.verdict_inputs("", shard)]
            chosen &= alive(verdicts, documents.num_rows) == (value == "true")
        else:
            signals = signals or read_table(run.local(layout.signals(shard)), SIGNALS)
            chosen &= _signal_condition(signals, key, value)
    return chosen


def _signal_condition(signals: Any, key: str, value: str) -> Mask:
    bound, _, name = key.partition("_")
    if bound not in ("min", "max") or name not in signals.column_names:
        known = [*DOCUMENT_KEYS, "kept", *_bounds(signals.column_names)]
        raise UserError(f"query: unknown condition {key!r}{nearest(key, known)}; min_SIGNAL and max_SIGNAL are allowed")
    try:
        limit = float(value)
    except ValueError as error:
        raise UserError(f"query: {key} = {value!r}: expected a number") from error
    values = pc.fill_null(signals[name], 0).to_numpy()
    chosen: Mask = values >= limit if bound == "min" else values <= limit
    return chosen


def _bounds(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        yield from (f"min_{name}", f"max_{name}")
