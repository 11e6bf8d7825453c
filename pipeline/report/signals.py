"""Values of the signals that the recipe's rules look at, with the thresholds: what the histograms are drawn from.

At most ``SAMPLE`` documents are taken, those of the smallest doc_ids: a uniform draw, the same every time.  How many
failed each rule is not drawn but counted.
"""

from collections import Counter

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.base import storage
from pipeline.recipe.rule_sets import RULE_SETS
from pipeline.report.documents import document_shards, keys_of
from pipeline.report.figures import Figures, Signal, Threshold, threshold_of
from pipeline.run import layout
from pipeline.run import manifest as manifests
from pipeline.run.folder import Run
from pipeline.run.table_files import read_table
from pipeline.run.tables import SIGNALS, VERDICTS

SAMPLE = 100_000


def collect_signals(run: Run, figures: Figures) -> None:
    """Fills ``signals``: one entry for each signal that a rule of the recipe looks at."""
    if not manifests.load_manifests(run.root, "filter"):
        return
    failed = Counter({reason.name: reason.documents for reason in figures.reasons.get("filter", [])})
    by_signal: dict[str, list[Threshold]] = {}
    for rule_set in run.recipe.filter.rules:
        for rule in RULE_SETS.get(rule_set, ()):
            reason = f"{rule_set}.{rule.name}"
            limit = Threshold(reason, rule.bound, threshold_of(run.recipe, reason), failed[reason])
            by_signal.setdefault(rule.signal, []).append(limit)
    values = _values(run, figures, list(by_signal))
    described = {column.name: column.description for column in SIGNALS.columns}
    for name, thresholds in by_signal.items():
        figures.signals.append(Signal(name, described.get(name, ""), values[name], thresholds))


def _values(run: Run, figures: Figures, names: list[str]) -> dict[str, NDArray[np.float32]]:
    """Values of the sampled documents that the filter judged (those alive before it)."""
    shards = [shard for shard in document_shards(run) if storage.exists(run.url(layout.signals(shard)))]
    parts: dict[str, list[NDArray[np.float32]]] = {name: [np.empty(0, np.float32)] for name in names}
    total = sum(row.count for row in figures.funnel if row.name == "documents") or 1
    limit = np.uint64(min(1.0, SAMPLE / total) * (2.0**64 - 2048))
    for shard in shards:
        table = read_table(run.local(layout.signals(shard)), SIGNALS, ["doc_id", *names])
        verdicts = read_table(run.local(layout.verdicts("filter", shard)), VERDICTS, ["keep"])
        judged = pc.is_valid(verdicts["keep"]).to_numpy(zero_copy_only=False).astype(bool)
        chosen = judged & (keys_of(table["doc_id"]) <= limit)
        figures.judged += int(judged.sum())
        figures.sampled += int(chosen.sum())
        for name in names:
            column = pc.cast(table[name], "float32").to_numpy(zero_copy_only=False)[chosen]
            parts[name].append(column[np.isfinite(column)])
    return {name: np.concatenate(found) for name, found in parts.items()}
