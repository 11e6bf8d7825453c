"""Filter: signals are measured once, rules are predicates over their columns, verdicts hold every failed rule.

1. ``rules/``            texts -> signals, one row per document (kernels of pipeline/kernels, over Arrow buffers);
                         signals and document columns -> which rules each document fails; failures -> verdicts.
2. ``classifier/``       quality classifiers, each one signal more.
3. ``decontamination/``  what documents share with evaluation sets, as signals and as byte ranges to cut.
4. ``stage.py``          the steps of a run; ``worker.py`` does their work; ``datatrove.py`` runs datatrove's filters.
5. ``whatif.py``         the funnel under other thresholds, from stored signals.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.recipe.rule_sets import RULES

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["RULES", "judge", "signals"]


def signals(texts: "pa.Array | Sequence[str]", language: "str | pa.Array" = "en") -> "pa.Table":
    """Measures texts: one row of signals per document (columns: ``pipeline.run.tables.SIGNALS``).

    Args:
        texts: A string or large_string array, or a list of strings.  Bytes that are not UTF-8 count as U+FFFD.
        language: Its label, of all texts or one per text; it decides stop words and the tokens of scripts that are
            written without spaces.

    Example:
        >>> table = signals(["The cat sat with the dog.", ""])
        >>> table["token_count"].to_pylist()
        [7, 0]
    """
    from pipeline.filter.rules.measure import measure

    return measure(texts, language)


def judge(signals: "pa.Table", rules: Sequence[str], options: "dict[str, Any] | None" = None) -> list[list[str]]:
    """The rules that each document failed, ``<rule set>.<rule>``; an empty list where it is kept.

    Args:
        signals: What ``signals()`` returned.
        rules: Names of rule sets, keys of ``RULES``.
        options: Other thresholds than the defaults, such as ``{"gopher_quality": {"min_words": 30}}``.

    Raises:
        UserError: If a rule set, a rule or a signal is unknown, or thresholds contradict each other.
    """
    from pipeline.filter.rules import predicates

    return predicates.judge(signals, rules, options)
