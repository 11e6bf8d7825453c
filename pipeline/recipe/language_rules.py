"""Thresholds that belong to a language: those of ``rule_sets`` are for English.

``language_rules.json`` is written by tests/tools/make_language_rules.py from FineWeb-2's configs; it holds what is
looser than the published thresholds, and for scripts without spaces what their characters, each a word, ask for.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pipeline.base.errors import parse_json

TABLE = Path(__file__).with_name("language_rules.json")
Thresholds = Mapping[str, Mapping[str, float]]


@cache
def language_rules() -> Mapping[str, Thresholds]:
    """Language -> rule set -> thresholds."""
    table: Mapping[str, Thresholds] = parse_json(TABLE.read_text("utf-8"))
    return table


def merged(stated: Thresholds, per_language: Mapping[str, Thresholds]) -> dict[str, dict[str, dict[str, float]]]:
    """What a recipe says of languages, and where neither it nor its rule sets say anything, the table.

    Args:
        stated: The recipe's thresholds of all languages, by rule set.
        per_language: Its thresholds of single ones.

    Example:
        >>> merged({"c4": {"min_sentences": 2}}, {"th": {"gopher_quality": {"min_words": 9}}})["th"]["c4"]
        {}
    """
    result: dict[str, dict[str, dict[str, float]]] = {}
    for language in {**language_rules(), **per_language}:
        table, own = language_rules().get(language, {}), per_language.get(language, {})
        result[language] = {
            rule_set: {
                **{k: v for k, v in table.get(rule_set, {}).items() if k not in stated.get(rule_set, {})},
                **own.get(rule_set, {}),
            }
            for rule_set in {**table, **own}
        }
    return result
