"""Walks the document shards beside their verdicts: the funnel, the reasons with examples, the mixes, the lengths.

1. One pass over columns without text counts everything, and notes for each reason the rows to show: those of the
   smallest doc_ids, which are hashes, so a fair draw from all shards that is the same every time.
2. A second pass reads the text of the noted rows alone.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.base import storage
from pipeline.base.arrow import doc_id_array
from pipeline.base.words import head, visible
from pipeline.recipe.stage_names import JUDGES
from pipeline.report.figures import MIXES, UNKNOWN, Example, Figures, Reason
from pipeline.run import layout
from pipeline.run import manifest as manifests
from pipeline.run.alive import alive_in_run
from pipeline.run.folder import Run
from pipeline.run.tables import DOCUMENTS, SIGNALS, VERDICTS, batches, open_table, read_table

HEAD_CHARACTERS = 600
LENGTH_DOCUMENTS = 1_000_000  # lengths kept for the histogram
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Noted:
    """A row to show under a reason."""

    key: int
    path: str
    row: int


def document_paths(run: Run) -> list[str]:
    """The document shards, in order."""
    clean = manifests.load_manifests(run.root, "clean")
    return sorted(path for found in clean.values() for path in found.digests(layout.DOCUMENTS))


def judging_stages(run: Run) -> list[str]:
    """Stages of the recipe whose verdicts stand in the run, in the recipe's order."""
    steps = {"dedup": "dedup", "filter": "filter", "tokenize": "tokenize.split"}
    return [s for s in run.recipe.stages if s in JUDGES and manifests.load_manifests(run.root, steps[s])]


def keys_of(doc_ids: pa.ChunkedArray) -> NDArray[np.uint64]:
    """The first eight bytes of each doc_id as a number: a uniform draw."""
    return doc_id_array(doc_ids.combine_chunks()).view(">u8")[:, 0].astype(np.uint64)


class Walk:
    """The state of the first pass."""

    def __init__(self, run: Run, figures: Figures) -> None:
        self.run, self.figures = run, figures
        self.stages = judging_stages(run)
        self.dropped = dict.fromkeys(self.stages, 0)
        self.kept = 0
        self.reasons: dict[tuple[str, str], Reason] = {}
        self.noted: dict[tuple[str, str], list[Noted]] = defaultdict(list)

    def shard(self, path: str) -> None:
        """Counts one document shard."""
        documents = read_table(self.run.local(path), DOCUMENTS, ["doc_id", *MIXES])
        keys = keys_of(documents["doc_id"])
        for stage in self.stages:
            verdict_path = self.run.url(layout.verdicts_beside(path, stage))
            if storage.exists(verdict_path):
                self._stage(stage, storage.open_local(verdict_path), documents, keys, path)
        alive = alive_in_run(self.run, self.stages, layout.shard_of(path), documents.num_rows)
        self.kept += int(alive.sum())
        self._sizes(path, documents, alive)

    def _stage(self, stage: str, verdict_path: Any, documents: pa.Table, keys: NDArray[np.uint64], path: str) -> None:
        verdicts = read_table(verdict_path, VERDICTS, ["keep", "reasons"])
        dropped: Mask = pc.equal(verdicts["keep"], False).fill_null(False).to_numpy(zero_copy_only=False).astype(bool)
        self.dropped[stage] += int(dropped.sum())
        lists = verdicts["reasons"].combine_chunks()
        lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
        parents = pc.list_parent_indices(lists).to_numpy()
        codes = pc.list_flatten(lists).dictionary_encode()
        indices = codes.indices.to_numpy()
        for number, name in enumerate(codes.dictionary.to_pylist()):
            rows = parents[(indices == number) & dropped[parents]]
            if len(rows):
                self._reason(stage, name, rows, int((lengths[rows] == 1).sum()), documents, keys, path)
        without = np.flatnonzero(dropped & (lengths == 0))
        if len(without):
            self._reason(stage, "no reason given", without, len(without), documents, keys, path)

    def _reason(
        self,
        stage: str,
        name: str,
        rows: NDArray[np.int64],
        alone: int,
        documents: pa.Table,
        keys: NDArray[np.uint64],
        path: str,
    ) -> None:
        reason = self.reasons.setdefault((stage, name), Reason(stage, name))
        reason.documents += len(rows)
        reason.alone += alone
        chosen = pa.array(rows)
        for mix in MIXES:
            for pair in documents[mix].take(chosen).value_counts().to_pylist():
                reason.of[mix][pair["values"] or UNKNOWN] += pair["counts"]
        most = self.run.recipe.report.examples
        first = rows[np.argsort(keys[rows], kind="stable")[:most]]
        noted = self.noted[(stage, name)]
        noted += [Noted(int(keys[row]), path, int(row)) for row in first]
        noted.sort(key=lambda one: (one.key, one.path, one.row))
        del noted[most:]

    def _sizes(self, path: str, documents: pa.Table, alive: Mask) -> None:
        """Adds to the mixes and the lengths."""
        characters, sizes = _lengths(self.run, path)
        for name in MIXES:
            mix, column = self.figures.mixes[name], documents[name].fill_null(UNKNOWN)
            table = pa.table({"name": column, "bytes": sizes, "kept": alive.astype(np.int64)})
            table = table.append_column("kept_bytes", pc.multiply(table["bytes"], table["kept"]))
            grouped = table.group_by("name").aggregate(
                [("bytes", "sum"), ("kept", "sum"), ("kept_bytes", "sum"), ("bytes", "count")]
            )
            for row in grouped.to_pylist():
                group = row["name"] or UNKNOWN
                mix.documents[group] += row["bytes_count"]
                mix.bytes[group] += row["bytes_sum"]
                mix.kept[group] += row["kept_sum"]
                mix.kept_bytes[group] += row["kept_bytes_sum"]
        if self.figures.lengths_of < LENGTH_DOCUMENTS:
            self.figures.lengths_kept += characters[alive].tolist()
            self.figures.lengths_dropped += characters[~alive].tolist()
            self.figures.lengths_of += len(characters)


def _lengths(run: Run, path: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Characters and bytes of each document: from the signals where there are some, else from the text."""
    signals = run.url(path.replace(layout.DOCUMENTS, layout.SIGNALS))
    if storage.exists(signals):
        table = read_table(storage.open_local(signals), SIGNALS, ["character_count", "byte_count"])
        return tuple(table[name].to_numpy().astype(np.int64) for name in table.column_names)
    characters, sizes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for batch in batches(run.local(path), DOCUMENTS, ["text"]):
        characters.append(pc.utf8_length(batch["text"]).to_numpy().astype(np.int64))
        sizes.append(pc.binary_length(batch["text"]).to_numpy().astype(np.int64))
    return np.concatenate(characters), np.concatenate(sizes)


def collect_documents(run: Run, figures: Figures) -> dict[str, int]:
    """Fills reasons, examples, mixes and lengths; returns documents dropped by each stage, and ``kept``."""
    walk = Walk(run, figures)
    for path in document_paths(run):
        walk.shard(path)
    for stage in walk.stages:
        reasons = [reason for (of, _), reason in walk.reasons.items() if of == stage]
        figures.reasons[stage] = sorted(reasons, key=lambda reason: (-reason.documents, reason.name))
    shown = {(stage, name) for stage in walk.stages for name in (r.name for r in figures.reasons[stage])}
    _examples(run, walk, shown)
    return {**walk.dropped, "kept": walk.kept}


def _examples(run: Run, walk: Walk, shown: set[tuple[str, str]]) -> None:
    """Reads the noted rows, shard by shard."""
    wanted: dict[str, set[int]] = defaultdict(set)
    for key in shown:
        for noted in walk.noted[key]:
            wanted[noted.path].add(noted.row)
    loaded: dict[tuple[str, int], dict[str, Any]] = {}
    for path, rows in wanted.items():
        for row, values in read_rows(run, path, sorted(rows)).items():
            loaded[path, row] = values
    for key in shown:
        stage, _ = key
        walk.reasons[key].examples = [
            _example(run, stage, noted, loaded[noted.path, noted.row]) for noted in walk.noted[key]
        ]


def read_rows(run: Run, path: str, rows: list[int]) -> dict[int, dict[str, Any]]:
    """Some rows of a document shard, reading only the record batches that they lie in."""
    columns = ["doc_id", "id", "source", "language", "licence", "url", "title", "text"]
    reader = open_table(run.local(path), DOCUMENTS, columns)
    found: dict[int, dict[str, Any]] = {}
    start, number = 0, 0
    while number < reader.num_record_batches and len(found) < len(rows):
        batch = reader.get_batch(number)
        inside = [row for row in rows if start <= row < start + batch.num_rows]
        if inside:
            taken = batch.take(pa.array([row - start for row in inside]))
            found |= dict(zip(inside, taken.to_pylist(), strict=True))
        start, number = start + batch.num_rows, number + 1
    return found


def _example(run: Run, stage: str, noted: Noted, values: dict[str, Any]) -> Example:
    verdicts = run.local(layout.verdicts_beside(noted.path, stage))
    reasons = read_table(verdicts, VERDICTS, ["reasons"])["reasons"][noted.row].as_py()
    return Example(
        title=values["doc_id"].hex(),
        facts=facts_of(values),
        head=head(values["text"], HEAD_CHARACTERS),
        reasons=[visible(reason) for reason in reasons],
        measured=_measured(run, noted, reasons) if stage == "filter" else [],
    )


def facts_of(values: dict[str, Any]) -> list[str]:
    """Source, language, licence and address of a document, in words."""
    known = [values["source"], values["language"] or "language unknown", values["licence"] or "licence unknown"]
    return [visible(text) for text in (*known, values.get("title"), values.get("url")) if text]


def _measured(run: Run, noted: Noted, reasons: list[str]) -> list[str]:
    """What the failed rules saw: ``word_count 12 (at least 50)``."""
    from pipeline.report.figures import rule_of, threshold_of

    url = run.url(noted.path.replace(layout.DOCUMENTS, layout.SIGNALS))
    rules = [(reason, rule) for reason in reasons if (rule := rule_of(reason)) is not None]
    if not rules or not storage.exists(url):
        return []
    names = sorted({rule.signal for _, rule in rules})
    row = read_table(storage.open_local(url), SIGNALS, names).slice(noted.row, 1).to_pylist()[0]
    words = {"min": "at least", "max": "at most"}
    return [
        f"{rule.signal} {float(row[rule.signal]):.4g} ({words[rule.bound]} {threshold_of(run.recipe, reason):.4g})"
        for reason, rule in rules
    ]
