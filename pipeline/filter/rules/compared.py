"""One document beside every threshold of a recipe: what was measured, what is asked for, and whether it failed."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pipeline.filter.rules.bad_words import COLUMN as BAD_WORDS
from pipeline.recipe.filter_options import NO_LIMIT, SHORT, Filter
from pipeline.recipe.rule_sets import RULE_SETS

NAMES = ("rule", "signal", "value", "bound", "threshold")


def compared(
    options: Filter, record: Mapping[str, Any], signals: Mapping[str, Any], failed: Collection[str]
) -> list[dict[str, Any]]:
    """Every rule that compares a number with a threshold: those over document columns first, then the rule sets.

    Args:
        options: The recipe's section.
        record: The document's ``language``, ``language_score``, ``replaced_share`` and ``extraction_score``.
        signals: Its signals; what is missing among them is null.
        failed: The reasons by which it failed.

    Returns:
        ``rule``, ``signal``, ``value``, ``bound`` (min | max), ``threshold`` in the document's language, ``failed``.
    """
    rules = [*_of_columns(options, record, signals), *_of_rule_sets(options, record, signals)]
    return [{**dict(zip(NAMES, rule, strict=True)), "failed": rule[0] in failed} for rule in rules]


def _of_columns(
    options: Filter, record: Mapping[str, Any], signals: Mapping[str, Any]
) -> Iterator[tuple[str, str, Any, str, float]]:
    """How sure the language is, broken characters, bad words, how good an extraction is, and lengths."""
    least = options.min_language_scores.get(record.get("language") or "", options.min_language_score)
    if least > 0:
        is_short = (signals.get("character_count") or SHORT) < SHORT
        rule = "language.too_short" if is_short else "language.min_language_score"
        yield rule, "language_score", record.get("language_score"), "min", least
    if options.max_replaced_share < 1:
        share = record.get("replaced_share")
        yield "text.max_replaced_share", "replaced_share", share, "max", options.max_replaced_share
    if options.max_bad_words is not None:
        yield "text.max_bad_words", BAD_WORDS, signals.get(BAD_WORDS), "max", options.max_bad_words
    if options.min_extraction_score > 0 and record.get("extraction_score") is not None:
        score = record["extraction_score"]
        yield "text.min_extraction_score", "extraction_score", score, "min", options.min_extraction_score
    for unit, signal in (("characters", "character_count"), ("bytes", "byte_count")):
        low, high = getattr(options.length, f"min_{unit}"), getattr(options.length, f"max_{unit}")
        if low > 0:
            yield f"length.min_{unit}", signal, signals.get(signal), "min", low
        if high < NO_LIMIT:
            yield f"length.max_{unit}", signal, signals.get(signal), "max", high


def _of_rule_sets(
    options: Filter, record: Mapping[str, Any], signals: Mapping[str, Any]
) -> Iterator[tuple[str, str, Any, str, float]]:
    own = options.by_language().get(record.get("language") or "", {})
    for rule_set in options.rules:
        limits = {**getattr(options, rule_set, {}), **own.get(rule_set, {})}
        for rule in RULE_SETS.get(rule_set, ()):
            threshold = limits.get(rule.name, rule.default)
            yield f"{rule_set}.{rule.name}", rule.signal, signals.get(rule.signal), rule.bound, threshold
