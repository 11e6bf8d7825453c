"""Signals and document columns to verdicts: the whole of the filter stage's judgement, without any text."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.filter.document_rules import document_failures
from pipeline.filter.rules import Failures, Mask, judge_columns
from pipeline.options import Filter

DATATROVE_REASONS = "datatrove_reasons"
OVERLAP_SPANS = "overlap_spans"  # byte ranges shared with evaluation sets: start, end, start, end, ...


def score_column(classifier: str) -> str:
    """The signal of a classifier: ``quality_score`` for the one named quality."""
    return f"{classifier}_score"


def overlap_column(evaluation_set: str) -> str:
    """Largest share of an item of the evaluation set that the document contains."""
    return f"{evaluation_set}_overlap"


def item_column(evaluation_set: str) -> str:
    """The item with that share."""
    return f"{evaluation_set}_item"


def all_failures(
    signals: pa.Table, documents: pa.Table, options: Filter, blocked: frozenset[str] = frozenset()
) -> Failures:
    """Every rule of the recipe that each document fails: document rules first, then rule sets in recipe order."""
    failures = document_failures(documents, signals, options, blocked)
    judged = judge_columns(signals, options.rules, options.thresholds(), options.per_language, documents["language"])
    failures = failures.joined(judged)
    if DATATROVE_REASONS in signals.column_names:
        failures = failures.joined(_listed(signals[DATATROVE_REASONS]))
    for name, classifier in options.classifiers.items():
        scores = signals[score_column(name)].to_numpy()
        failures.reasons.append(f"classifier.{name}")
        failures.masks.append(scores < np.float32(classifier.min_score))
    decontamination = options.decontamination
    for evaluation in decontamination.sets if decontamination.action == "drop" else ():
        failures.reasons.append(f"decontamination.{evaluation.name}")
        overlaps = signals[overlap_column(evaluation.name)].to_numpy()
        failures.masks.append(overlaps > np.float32(decontamination.max_overlap))
    return failures


def _listed(column: pa.ChunkedArray) -> Failures:
    """Failures from a list<string> column."""
    lists = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    reasons = sorted(set(lists.flatten().to_pylist()))
    rows = np.repeat(np.arange(len(lists)), np.asarray(lists.value_lengths().fill_null(0)))
    codes = {reason: number for number, reason in enumerate(reasons)}
    masks: list[Mask] = [np.zeros(len(lists), dtype=bool) for _ in reasons]
    for row, reason in zip(rows.tolist(), lists.flatten().to_pylist(), strict=True):
        masks[codes[reason]][row] = True
    return Failures(reasons, masks, len(lists))


def verdict_batch(doc_ids: pa.Array, failures: Failures, alive: Mask, schema: pa.Schema) -> pa.Table:
    """The verdict rows: keep is null, and reasons empty, where an earlier stage dropped the document."""
    keep = pa.array(~failures.any(), mask=~alive)
    return pa.table([doc_ids, keep, failures.lists(alive)], schema=schema)


def counts(failures: Failures, alive: Mask) -> Mapping[str, Any]:
    """What the stage reports: documents_in, kept, dropped, and documents a reason."""
    failed = failures.any() & alive
    total, dropped = int(np.count_nonzero(alive)), int(np.count_nonzero(failed))
    return {
        "documents_in": total,
        "kept": total - dropped,
        "dropped": dropped,
        "reasons": failures.counts(alive),
    }
