"""Signals and document columns to verdicts: the whole of the filter stage's judgement, without any text."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.clean.urls import UrlList
from pipeline.filter.rules.cuts import CUT_FIELD, CUT_SPANS, MOST_CUT, chosen_spans
from pipeline.filter.rules.document_rules import document_failures
from pipeline.filter.rules.predicates import Failures, Mask, judge_columns
from pipeline.recipe.filter_options import Filter
from pipeline.run.tables import VERDICTS

DATATROVE_REASONS = "datatrove_reasons"
OVERLAP_SPANS = "overlap_spans"  # byte ranges shared with items of evaluation sets: start, end, start, end, ...
OVERLAP_SHARES = "overlap_shares"  # for each range, the share of its item that the document holds


def score_column(classifier: str) -> str:
    """The signal of a classifier: ``quality_score`` for the one named quality."""
    return f"{classifier}_score"


def overlap_column(evaluation_set: str) -> str:
    """Largest share of an item of the evaluation set that the document contains."""
    return f"{evaluation_set}_overlap"


def item_column(evaluation_set: str) -> str:
    """The item with that share."""
    return f"{evaluation_set}_item"


def all_failures(signals: pa.Table, documents: pa.Table, options: Filter, blocked: UrlList | None = None) -> Failures:
    """Every rule of the recipe that each document fails: document rules first, then rule sets in recipe order."""
    failures = document_failures(documents, signals, options, blocked)
    judged = judge_columns(signals, options.rules, options.thresholds(), options.by_language(), documents["language"])
    failures = failures.joined(judged)
    if DATATROVE_REASONS in signals.column_names:
        failures = failures.joined(_listed(signals[DATATROVE_REASONS]))
    for name, classifier in options.classifiers.items():
        scores = signals[score_column(name)].to_numpy()
        failures.reasons.append(f"classifier.{name}")
        failures.masks.append(scores < np.float32(classifier.min_score))
    return failures.joined(_contaminated(signals, options))


def _contaminated(signals: pa.Table, options: Filter) -> Failures:
    """Documents dropped for an evaluation set: that share too much, or of which cutting would leave little."""
    failures = Failures([], [], signals.num_rows)
    decontamination = options.decontamination
    if not decontamination.sets or decontamination.action == "report":
        return failures
    dropped: Mask = np.ones(signals.num_rows, dtype=bool)
    if decontamination.action == "cut":
        taken = cut_bytes(wanted_cuts(signals, options), signals.num_rows)
        dropped = taken > MOST_CUT * signals["byte_count"].to_numpy()
    for evaluation in decontamination.sets:
        overlaps = signals[overlap_column(evaluation.name)].to_numpy()
        failures.reasons.append(f"decontamination.{evaluation.name}")
        failures.masks.append((overlaps > np.float32(decontamination.max_overlap)) & dropped)
    return failures


def wanted_cuts(signals: pa.Table, options: Filter) -> dict[int, list[int]]:
    """The byte ranges to cut, by row; none unless the recipe says ``action = "cut"``."""
    decontamination = options.decontamination
    if decontamination.action != "cut" or not decontamination.sets:
        return {}
    return chosen_spans(signals[OVERLAP_SPANS], signals[OVERLAP_SHARES], decontamination.max_overlap)


def cut_bytes(cuts: Mapping[int, list[int]], rows: int) -> NDArray[np.int64]:
    """Bytes to cut out of each document."""
    taken = np.zeros(rows, np.int64)
    for row, spans in cuts.items():
        taken[row] = sum(spans[1::2]) - sum(spans[::2])
    return taken


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


def verdict_schema(options: Filter) -> pa.Schema:
    """The verdict table's schema, with the column of the cuts where the recipe asks for cuts."""
    decontamination = options.decontamination
    cuts = decontamination.action == "cut" and decontamination.sets
    return VERDICTS.schema.append(CUT_FIELD) if cuts else VERDICTS.schema


def verdict_batch(
    doc_ids: pa.Array, failures: Failures, alive: Mask, schema: pa.Schema, cuts: Mapping[int, list[int]]
) -> pa.Table:
    """The verdict rows: keep is null, and reasons empty, where an earlier stage dropped the document."""
    kept = alive & ~failures.any()
    columns = [doc_ids, pa.array(kept, mask=~alive), failures.lists(alive)]
    if CUT_SPANS in schema.names:
        spans = [cuts.get(row) if keep else None for row, keep in enumerate(kept.tolist())]
        columns.append(pa.array(spans, CUT_FIELD.type))
    return pa.table(columns, schema=schema)


def counts(failures: Failures, alive: Mask, cuts: Mapping[int, list[int]]) -> Mapping[str, Any]:
    """What the stage reports: documents_in, kept (of these, cut), dropped, documents by reason and by a lone reason."""
    kept = alive & ~failures.any()
    total, left = int(np.count_nonzero(alive)), int(np.count_nonzero(kept))
    return {
        "documents_in": total,
        "kept": left,
        "cut": sum(bool(kept[row]) for row in cuts),
        "dropped": total - left,
        "reasons": failures.counts(alive),
        "alone": failures.alone(alive),
    }
