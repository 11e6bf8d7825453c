"""Rules over signals: every rule that a document fails, as whole columns.

A rule is a comparison of one signal column with one threshold, so a million rows are judged without looking at a
document.  float32 signals are compared with the float32 threshold: a ratio that is exactly the threshold (1 of 10
against 0.1) then compares as it does in exact arithmetic.

Source of the rules: pipeline/recipe/rule_sets.py.  Parity: tests/parity/test_datatrove_filters.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.base.errors import UserError
from pipeline.base.words import nearest
from pipeline.recipe.rule_sets import RULE_SETS, Rule, check_rule_names, check_thresholds, is_class_path

Mask = NDArray[np.bool_]
Thresholds = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Failures:
    """Which documents failed which rule: ``masks[i]`` belongs to ``reasons[i]``; each has one flag per document."""

    reasons: list[str]
    masks: list[Mask]
    rows: int

    def any(self) -> Mask:
        """True where a document failed at least one rule."""
        failed = np.zeros(self.rows, dtype=bool)
        for mask in self.masks:
            failed |= mask
        return failed

    def counts(self, where: Mask | None = None) -> dict[str, int]:
        """Documents by reason, without the reasons that none failed; only documents in ``where`` when given."""
        totals = {
            reason: int(np.count_nonzero(mask if where is None else mask & where))
            for reason, mask in zip(self.reasons, self.masks, strict=True)
        }
        return {reason: total for reason, total in sorted(totals.items()) if total}

    def alone(self, where: Mask) -> dict[str, int]:
        """Documents in ``where`` that failed this reason and no other, by reason, without those that none has."""
        failed_once = np.sum(self.masks, axis=0, dtype=np.int32) == 1 if self.masks else np.zeros(self.rows, dtype=bool)
        return self.counts(where & failed_once)

    def lists(self, where: Mask | None = None) -> pa.ListArray:
        """The reasons of each document, in rule order, as list<string>; empty outside ``where``."""
        if not self.masks:
            empty = np.zeros(self.rows + 1, dtype=np.int32)
            return pa.ListArray.from_arrays(pa.array(empty), pa.array([], pa.string()))
        matrix = np.stack(self.masks, axis=1)  # (rows, reasons): nonzero walks a row's reasons in rule order
        if where is not None:
            matrix &= where[:, None]
        offsets = np.zeros(self.rows + 1, dtype=np.int32)
        np.cumsum(np.count_nonzero(matrix, axis=1), out=offsets[1:])
        codes = pa.array(np.nonzero(matrix)[1].astype(np.int32))
        values = pa.DictionaryArray.from_arrays(codes, pa.array(self.reasons)).cast(pa.string())
        return pa.ListArray.from_arrays(pa.array(offsets), values)

    def joined(self, other: "Failures") -> "Failures":
        """Both sets of failures, of the same documents."""
        return Failures([*self.reasons, *other.reasons], [*self.masks, *other.masks], self.rows)


def judge(
    signals: pa.Table, rules: Sequence[str], options: Mapping[str, Mapping[str, Any]] | None = None
) -> list[list[str]]:
    """The rules that each document failed.

    Args:
        signals: One row per document, with the columns that ``signals()`` makes.
        rules: Names of rule sets.
        options: Thresholds other than the defaults, such as ``{"gopher_quality": {"min_words": 30}}``.

    Returns:
        For each document a list of ``<rule set>.<rule>``; an empty one where it is kept.

    Raises:
        UserError: If a rule set, a rule or a signal is unknown, or thresholds contradict each other.
    """
    lists: list[list[str]] = judge_columns(signals, rules, options or {}).lists().to_pylist()
    return lists


def judge_columns(
    signals: pa.Table,
    rules: Sequence[str],
    thresholds: Thresholds,
    per_language: Mapping[str, Thresholds] | None = None,
    languages: pa.ChunkedArray | None = None,
) -> Failures:
    """Like ``judge``, as columns; ``per_language`` overrides thresholds where ``languages`` has that label.

    Raises:
        UserError: As ``judge``.
    """
    check_rules(rules, thresholds)
    failures = Failures([], [], signals.num_rows)
    documents = None
    if per_language and languages is not None:
        for overrides in per_language.values():
            check_rules(rules, overrides)
        documents = _Languages(languages)
    for rule_set in rules:
        if is_class_path(rule_set):
            continue
        for rule in RULE_SETS[rule_set]:
            limit = _limits(rule_set, rule, thresholds, per_language or {}, documents)
            failures.reasons.append(f"{rule_set}.{rule.name}")
            failures.masks.append(fails(signals, rule, limit))
    return failures


def check_rules(rules: Sequence[str], thresholds: Thresholds) -> None:
    """Raises a UserError with every rule set, rule or threshold that is wrong."""
    problems = check_rule_names([rules] if isinstance(rules, str) else rules)
    if isinstance(rules, str) and not problems:
        problems = [f"rules = {rules!r}: expected a list of rule sets, such as [{rules!r}]"]
    for rule_set, values in thresholds.items():
        if rule_set in RULE_SETS:
            problems += check_thresholds(rule_set, values)
        else:
            problems.append(f"options: unknown rule set {rule_set!r}{nearest(rule_set, RULE_SETS)}")
    if problems:
        raise UserError("\n".join(problems))


class _Languages:
    """The languages of documents, each looked at once for all rules."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        found = column.combine_chunks().dictionary_encode(null_encoding="encode")
        self._names, self._codes = found.dictionary.to_pylist(), found.indices.to_numpy()

    def limits(self, own: Mapping[str, float], base: float) -> NDArray[np.float64]:
        """The limit of each document: that of its language, or ``base``."""
        limits = np.array([own.get(name, base) for name in self._names], np.float64)
        chosen: NDArray[np.float64] = limits[self._codes]
        return chosen


def _limits(
    rule_set: str,
    rule: Rule,
    thresholds: Thresholds,
    per_language: Mapping[str, Thresholds],
    languages: _Languages | None,
) -> float | NDArray[np.float64]:
    """One threshold, or one per document where languages have their own."""
    base = float(thresholds.get(rule_set, {}).get(rule.name, rule.default))
    own = {
        language: float(values[rule_set][rule.name])
        for language, values in per_language.items()
        if rule.name in values.get(rule_set, {})
    }
    if not own or languages is None:
        return base
    return languages.limits(own, base)


def fails(signals: pa.Table, rule: Rule, limit: float | NDArray[np.float64]) -> Mask:
    """True where the document fails the rule; a null signal fails nothing."""
    if rule.signal not in signals.column_names:
        raise UserError(
            f"rule {rule.name} needs the signal {rule.signal!r}, which this table does not have"
            f"{nearest(rule.signal, signals.column_names)}"
        )
    column = signals[rule.signal]
    values = (pc.fill_null(column, 0) if column.null_count else column).to_numpy()
    if values.dtype == bool:
        values = values.astype(np.float64)
    threshold = np.asarray(limit, dtype=np.float32 if values.dtype == np.float32 else np.float64)
    failed: Mask = values < threshold if rule.bound == "min" else values > threshold
    return failed & as_mask(pc.is_valid(column)) if column.null_count else failed


def as_mask(column: pa.ChunkedArray | pa.Array) -> Mask:
    """A boolean Arrow column as numpy flags; null is false."""
    filled = pc.fill_null(column, False)
    if isinstance(filled, pa.ChunkedArray):
        filled = filled.combine_chunks()
    flags: Mask = np.asarray(filled.to_numpy(zero_copy_only=False), dtype=bool)
    return flags
