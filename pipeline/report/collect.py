"""Reads a run's manifests and tables into the figures of the report.

Whole columns are read for counts; text is read only for the lengths and examples of the first ``TEXT_SHARDS`` shards,
and the page says so when there are more.
"""

import json
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import manifest as manifests
from pipeline import storage
from pipeline.report.differences import side_by_side
from pipeline.run import Run
from pipeline.stages import stage_seconds
from pipeline.tables import CLUSTERS, DOCUMENTS, EXCLUDED, QUARANTINE, VERDICTS, batches, read_table

TEXT_SHARDS = 16
HEAD_CHARACTERS = 400
CLUSTERS_COMPARED = 5
UNKNOWN = "unknown"


@dataclass
class Example:
    """One dropped document as the page shows it."""

    doc_id: str
    source: str
    language: str
    url: str
    reasons: list[str]
    head: str


@dataclass
class Mix:
    """Documents by some property, before and after curation."""

    documents: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)

    def rows(self, most: int = 20) -> list[dict[str, Any]]:
        """The largest groups with their share of what was kept."""
        total = sum(self.kept.values()) or 1
        largest = sorted(self.documents, key=lambda name: (-self.documents[name], name))[:most]
        return [
            {"name": n, "documents": self.documents[n], "kept": self.kept[n], "share": self.kept[n] / total}
            for n in largest
        ]


@dataclass
class Figures:
    """Everything the page shows."""

    funnel: list[dict[str, Any]] = field(default_factory=list)
    reasons: list[dict[str, Any]] = field(default_factory=list)
    mixes: dict[str, Mix] = field(default_factory=lambda: defaultdict(Mix))
    examples: dict[str, list[Example]] = field(default_factory=dict)
    lengths_kept: list[int] = field(default_factory=list)
    lengths_dropped: list[int] = field(default_factory=list)
    text_shards: int = 0
    shards: int = 0
    clusters: list[dict[str, Any]] = field(default_factory=list)
    cluster_sizes: dict[int, int] = field(default_factory=dict)
    tokens: dict[str, Any] = field(default_factory=dict)
    training: list[dict[str, Any]] = field(default_factory=list)
    validation: list[dict[str, Any]] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    conservation: list[str] = field(default_factory=list)


def collect(run: Run) -> Figures:
    """Reads every figure of the report."""
    figures = Figures(seconds=stage_seconds(run))
    records = _records(run, figures)
    kept = _documents(run, figures)
    _funnel(run, figures, records, kept)
    _clusters(run, figures)
    _training(run, figures)
    figures.versions = _versions(run)
    return figures


def _records(run: Run, figures: Figures) -> dict[str, int]:
    """Counts of clean by kind, and the reasons of what never became a document."""
    found = manifests.load_manifests(run.root, "clean")
    rows = {"documents": 0, "excluded": 0, "quarantined": 0}
    kinds = {"documents/": "documents", "excluded/": "excluded", "quarantine/": "quarantined"}
    reasons: Counter[tuple[str, str]] = Counter()
    for output in (output for m in found.values() for output in m.outputs):
        kind = kinds.get(output.path.split("/")[0] + "/")
        if kind is None:
            continue
        rows[kind] += output.rows or 0
        if kind != "documents" and output.rows:
            table = read_table(run.local(output.path), EXCLUDED if kind == "excluded" else QUARANTINE, ["reason"])
            reasons.update((kind, reason) for reason in table["reason"].to_pylist())
    figures.reasons += [
        {"stage": kind, "reason": reason, "documents": count} for (kind, reason), count in sorted(reasons.items())
    ]
    total = manifests.total_counts(found.values())
    read = total.get("records_in", sum(rows.values()))
    if read != sum(rows.values()):
        figures.conservation.append(f"{read:,} records were read but {sum(rows.values()):,} are accounted for")
    return {"records_in": read, **rows}


def _documents(run: Run, figures: Figures) -> dict[str, int]:
    """Walks the document shards with their verdicts; returns documents dropped by each stage, and kept."""
    stages = [stage for stage in run.recipe.stages if stage in ("dedup", "filter")]
    stages = [stage for stage in stages if manifests.load_manifests(run.root, stage)]
    totals: Counter[str] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    clean = manifests.load_manifests(run.root, "clean")
    paths = sorted(path for m in clean.values() for path in m.digests("documents/"))
    figures.shards, figures.text_shards = len(paths), min(len(paths), TEXT_SHARDS)
    for number, path in enumerate(paths):
        columns = ["doc_id", "source", "language", "licence", "url"] + (["text"] if number < TEXT_SHARDS else [])
        documents = read_table(run.local(path), DOCUMENTS, columns)
        alive = np.ones(documents.num_rows, dtype=bool)
        for stage in stages:
            verdicts = read_table(run.local(path.replace("documents/", f"verdicts/{stage}/")), VERDICTS)
            dropped = pc.equal(verdicts["keep"], False).fill_null(False).to_numpy(zero_copy_only=False)
            totals[stage] += int(dropped.sum())
            reasons.update((stage, reason) for reason in verdicts["reasons"].combine_chunks().flatten().to_pylist())
            _examples(figures, run.recipe.report.examples, documents, verdicts, dropped, stage)
            alive &= ~dropped
        totals["kept"] += int(alive.sum())
        _mixes(figures, documents, alive)
        if "text" in columns:
            lengths = pc.utf8_length(documents["text"]).to_numpy()
            figures.lengths_kept += lengths[alive].tolist()
            figures.lengths_dropped += lengths[~alive].tolist()
    figures.reasons += [{"stage": s, "reason": r, "documents": n} for (s, r), n in reasons.most_common()]
    return dict(totals)


def _mixes(figures: Figures, documents: pa.Table, alive: np.ndarray[Any, Any]) -> None:
    kept = documents.filter(pa.array(alive))
    for name in ("source", "language", "licence"):
        for table, counter in ((documents, figures.mixes[name].documents), (kept, figures.mixes[name].kept)):
            for pair in table[name].value_counts().to_pylist():
                counter[pair["values"] or UNKNOWN] += pair["counts"]


def _examples(
    figures: Figures,
    most: int,
    documents: pa.Table,
    verdicts: pa.Table,
    dropped: np.ndarray[Any, Any],
    stage: str,
) -> None:
    if "text" not in documents.column_names:
        return
    reasons = verdicts["reasons"].to_pylist()
    for row in np.flatnonzero(dropped).tolist():
        key = f"{stage}: {reasons[row][0] if reasons[row] else 'no reason given'}"
        shown = figures.examples.setdefault(key, [])
        if len(shown) < most:
            values = {name: documents[name][row].as_py() for name in documents.column_names}
            shown.append(
                Example(
                    doc_id=values["doc_id"].hex(),
                    source=values["source"],
                    language=values["language"] or UNKNOWN,
                    url=values["url"] or "",
                    reasons=reasons[row],
                    head=values["text"][:HEAD_CHARACTERS],
                )
            )


def _funnel(run: Run, figures: Figures, records: dict[str, int], kept: dict[str, int]) -> None:
    def add(name: str, count: int, note: str = "") -> None:
        share = count / records["records_in"] if records["records_in"] else 0.0
        figures.funnel.append({"name": name, "count": count, "share": share, "note": note})

    add("records read", records["records_in"])
    add("quarantined", records["quarantined"], "damaged: quarantine/")
    add("excluded", records["excluded"], "well-formed, not wanted: excluded/")
    add("documents", records["documents"])
    for stage in run.recipe.stages:
        if stage in kept:
            add(f"dropped by {stage}", kept[stage], f"verdicts/{stage}/")
    add("documents kept", kept.get("kept", 0))
    dropped = sum(count for name, count in kept.items() if name != "kept")
    if records["documents"] != kept.get("kept", 0) + dropped:
        figures.conservation.append(
            f"{records['documents']:,} documents, but {kept.get('kept', 0):,} + {dropped:,} judged"
        )
    figures.tokens = manifests.total_counts(manifests.load_manifests(run.root, "tokenize").values())


def _clusters(run: Run, figures: Figures) -> None:
    found = manifests.load_manifests(run.root, "dedup.clusters")
    paths = [path for m in found.values() for path in m.digests("clusters/")]
    members: Counter[bytes] = Counter()
    rows: dict[bytes, dict[str, Any]] = {}
    for path in sorted(paths):
        table = read_table(run.local(path), CLUSTERS)
        members.update(table["cluster_id"].to_pylist())
        for row in table.to_pylist():
            rows.setdefault(row["cluster_id"], row)
    figures.cluster_sizes = dict(sorted(Counter(members.values()).items()))
    for cluster_id, removed in sorted(members.items(), key=lambda pair: (-pair[1], pair[0]))[:10]:
        row = rows[cluster_id]
        ids = {name: row[name].hex() for name in ("cluster_id", "doc_id", "kept_id")}
        figures.clusters.append({"removed": removed, "rule": row["rule"], "similarity": row["similarity"], **ids})
    _cluster_texts(run, figures)


def _cluster_texts(run: Run, figures: Figures) -> None:
    """Puts the two texts of each near-duplicate shown side by side."""
    shown = [row for row in figures.clusters if row["rule"] == "near"][:CLUSTERS_COMPARED]
    wanted = pa.array([bytes.fromhex(row[name]) for row in shown for name in ("doc_id", "kept_id")], pa.binary(16))
    texts: dict[str, str] = {}
    clean = manifests.load_manifests(run.root, "clean")
    for path in sorted(path for m in clean.values() for path in m.digests("documents/")):
        for batch in batches(run.local(path), DOCUMENTS, ["doc_id", "text"]) if len(wanted) else ():
            found = batch.filter(pc.is_in(batch["doc_id"], value_set=wanted))
            texts |= {row["doc_id"].hex(): row["text"] for row in found.to_pylist()}
    for row in shown:
        row["removed_text"], row["kept_text"] = side_by_side(texts[row["doc_id"]], texts[row["kept_id"]])


def _training(run: Run, figures: Figures) -> None:
    for line in _json_lines(run, "metrics/train.jsonl"):
        (figures.validation if "validation_loss" in line else figures.training).append(line)
    figures.samples = _json_lines(run, "metrics/samples.jsonl")
    train = manifests.load_manifests(run.root, "train")
    for found in train.values():
        figures.result = found.counts


def _json_lines(run: Run, path: str) -> list[dict[str, Any]]:
    url = run.url(path)
    if not storage.exists(url):
        return []
    return [json.loads(line) for line in storage.read_bytes(url).decode().splitlines() if line.strip()]


def _versions(run: Run) -> dict[str, str]:
    versions: dict[str, str] = {}
    for step in ("clean", "dedup.signatures", "filter.signals", "tokenize", "train"):
        for found in manifests.load_manifests(run.root, step).values():
            versions |= found.libraries
    return dict(sorted(versions.items()))


def finite(value: Any) -> bool:
    """True for a number that can be drawn."""
    return isinstance(value, int | float) and math.isfinite(value)
