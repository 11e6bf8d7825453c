"""Walks the document shards beside their verdicts: the funnel, the reasons with examples, the mixes, the lengths.

1. One pass over columns without text counts everything, and notes for each reason the rows to show: those of the
   smallest doc_ids, which are hashes, so a fair draw from all shards that is the same every time.
2. A second pass reads the text of the noted rows alone.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.base import storage
from pipeline.base.arrow import doc_id_array
from pipeline.base.words import head, visible
from pipeline.recipe.stage_names import JUDGES
from pipeline.report.figures import DOUBTFUL_SCORE, MIXES, UNKNOWN, Example, Figures, Reason, rule_of, threshold_of
from pipeline.report.hidden import is_legible
from pipeline.report.labels import BOUNDS, signal_label
from pipeline.run import layout
from pipeline.run import manifest as manifests
from pipeline.run.context import Context
from pipeline.run.folder import Run
from pipeline.run.rows import read_rows
from pipeline.run.table_files import batches, read_table
from pipeline.run.tables import DOCUMENTS, SIGNALS, VERDICTS
from pipeline.run.tables.alive import alive_in_run

HEAD_CHARACTERS = 600
PAGE_COLUMNS = ("page_type", "extraction_score")
LENGTH_DOCUMENTS = 1_000_000  # lengths kept for the histogram
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Noted:
    """A document to show under a reason; ``key`` draws it."""

    key: int
    shard: str
    row: int


@dataclass(frozen=True, order=True)
class NotedPage:
    """A page to show for its low score."""

    score: float
    key: int
    shard: str
    row: int


def document_shards(run: Run) -> list[str]:
    """The names of the document shards, in order."""
    return list(Context(run, dry=True).document_shards())


def judging_stages(run: Run) -> list[str]:
    """Stages of the recipe whose verdicts the run has, in the recipe's order."""
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
        self.noted_pages: list[NotedPage] = []

    def count(self, shard: str) -> None:
        """Counts one document shard."""
        documents = read_table(self.run.local(layout.documents(shard)), DOCUMENTS, ["doc_id", *MIXES, *PAGE_COLUMNS])
        keys = keys_of(documents["doc_id"])
        for stage in self.stages:
            verdicts = self.run.url(layout.verdicts(stage, shard))
            if storage.exists(verdicts):
                self._stage(stage, storage.open_local(verdicts), documents, keys, shard)
        alive = alive_in_run(self.run, self.stages, shard, documents.num_rows)
        self.kept += int(alive.sum())
        self._sizes(shard, documents, alive)
        if documents.column_names[-len(PAGE_COLUMNS) :] == list(PAGE_COLUMNS):  # those of an old run have none
            self._pages(shard, documents, keys, alive)

    def _pages(self, shard: str, documents: pa.Table, keys: NDArray[np.uint64], alive: Mask) -> None:
        """Adds the web pages that our own extractor has judged, and notes the most doubtful of those kept."""
        scores = pc.fill_null(documents["extraction_score"], np.nan).to_numpy()
        judged = ~np.isnan(scores)
        types = np.array(documents["page_type"].to_pylist(), object)
        for name in sorted(set(types[judged])):
            of = judged & (types == name)
            found = self.figures.page_types[name]
            found.documents += int(of.sum())
            found.kept += int((of & alive).sum())
            found.scores += float(scores[of].sum(dtype=np.float64))
            found.doubtful += int((scores[of] < DOUBTFUL_SCORE).sum())
        most = self.run.recipe.report.examples
        rows = np.flatnonzero(alive & (scores < DOUBTFUL_SCORE))
        lowest = rows[np.lexsort((keys[rows], scores[rows]))[:most]]
        noted = (NotedPage(float(scores[row]), int(keys[row]), shard, int(row)) for row in lowest)
        self.noted_pages = sorted([*self.noted_pages, *noted])[:most]

    def _stage(self, stage: str, path: Path, documents: pa.Table, keys: NDArray[np.uint64], shard: str) -> None:
        verdicts = read_table(path, VERDICTS, ["keep", "reasons"])
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
                self._reason(stage, name, rows, int((lengths[rows] == 1).sum()), documents, keys, shard)
        without = np.flatnonzero(dropped & (lengths == 0))
        if len(without):
            self._reason(stage, "no reason given", without, len(without), documents, keys, shard)

    def _reason(
        self,
        stage: str,
        name: str,
        rows: NDArray[np.int64],
        alone: int,
        documents: pa.Table,
        keys: NDArray[np.uint64],
        shard: str,
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
        noted += [Noted(int(keys[row]), shard, int(row)) for row in first]
        noted.sort(key=lambda one: (one.key, one.shard, one.row))
        del noted[most:]

    def _sizes(self, shard: str, documents: pa.Table, alive: Mask) -> None:
        """Adds to the mixes and the lengths."""
        characters, sizes = _lengths(self.run, shard)
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


def _lengths(run: Run, shard: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Characters and bytes of each document: from the signals where there are some, else from the text."""
    signals = run.url(layout.signals(shard))
    if storage.exists(signals):
        table = read_table(storage.open_local(signals), SIGNALS, ["character_count", "byte_count"])
        return tuple(table[name].to_numpy().astype(np.int64) for name in table.column_names)
    characters, sizes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for batch in batches(run.local(layout.documents(shard)), DOCUMENTS, ["text"]):
        characters.append(pc.utf8_length(batch["text"]).to_numpy().astype(np.int64))
        sizes.append(pc.binary_length(batch["text"]).to_numpy().astype(np.int64))
    return np.concatenate(characters), np.concatenate(sizes)


def collect_documents(run: Run, figures: Figures) -> dict[str, int]:
    """Fills reasons, examples, mixes and lengths; returns documents dropped by each stage, and ``kept``."""
    walk = Walk(run, figures)
    for shard in document_shards(run):
        walk.count(shard)
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
            wanted[noted.shard].add(noted.row)
    for page in walk.noted_pages:
        wanted[page.shard].add(page.row)
    loaded: dict[tuple[str, int], dict[str, Any]] = {}
    for shard, numbers in wanted.items():
        rows = sorted(numbers)
        loaded |= {(shard, row): values for row, values in zip(rows, documents_at(run, shard, rows), strict=True)}
    for key in shown:
        stage, _ = key
        walk.reasons[key].examples = [
            _example(run, stage, noted, loaded[noted.shard, noted.row]) for noted in walk.noted[key]
        ]
    walk.figures.doubtful_pages = [_page(page, loaded[page.shard, page.row]) for page in walk.noted_pages]


def documents_at(run: Run, shard: str, rows: list[int]) -> list[dict[str, Any]]:
    """What the pages show of some documents of a shard, in the order of ``rows``."""
    columns = ["doc_id", "id", "source", "path", "offset", "language", "licence", "url", "title", "text", "page_type"]
    found: list[dict[str, Any]] = read_rows(run.local(layout.documents(shard)), DOCUMENTS, rows, columns).to_pylist()
    return found


def _example(run: Run, stage: str, noted: Noted, values: dict[str, Any]) -> Example:
    verdicts = run.local(layout.verdicts(stage, noted.shard))
    reasons = read_table(verdicts, VERDICTS, ["reasons"])["reasons"][noted.row].as_py()
    found = _shown(values)
    found.reasons = [visible(reason) for reason in reasons]
    found.measured = _measured(run, noted, reasons) if stage == "filter" else []
    return found


def _page(page: NotedPage, values: dict[str, Any]) -> Example:
    found = _shown(values)
    found.measured = [f"extraction_score: {page.score:.2f}", visible(str(values["page_type"]))]
    return found


def _shown(values: dict[str, Any]) -> Example:
    legible = is_legible(values["text"][: HEAD_CHARACTERS + 1])
    return Example(
        title=values["doc_id"].hex(),
        facts=facts_of(values),
        head=head(values["text"], HEAD_CHARACTERS) if legible else "",
        note="" if legible else "Its first characters are no text that can be read.",
    )


def facts_of(values: dict[str, Any]) -> list[str]:
    """Source, file, language, licence and address of a document, in words."""
    place = f"{values['path']} at {values['offset']:,}"  # below the source's root; `tokenmill explain` finds it by this
    known = [values["language"] or "language unknown", values["licence"] or "licence unknown"]
    shown = (values["source"], place, *known, values.get("title"), values.get("url"))
    return [visible(text) for text in shown if text]


def _measured(run: Run, noted: Noted, reasons: list[str]) -> list[str]:
    """What the failed rules saw: ``words: 12 (at least 50)``."""
    url = run.url(layout.signals(noted.shard))
    rules = [(reason, rule) for reason in reasons if (rule := rule_of(reason)) is not None]
    if not rules or not storage.exists(url):
        return []
    names = sorted({rule.signal for _, rule in rules})
    row = read_table(storage.open_local(url), SIGNALS, names).slice(noted.row, 1).to_pylist()[0]
    return [
        f"{signal_label(rule.signal)}: {float(row[rule.signal]):,.4g} "
        f"({BOUNDS[rule.bound]} {threshold_of(run.recipe, reason):,.4g})"
        for reason, rule in rules
    ]
