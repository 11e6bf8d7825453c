"""The rule sets: which signal each rule compares with which threshold, and the published defaults.

Plain data, without imports, so that the recipe can be validated before anything heavy is loaded.

Sources of the defaults: Gopher (Rae et al. 2021, appendix A1), C4 (Raffel et al. 2020), FineWeb (Penedo et al. 2024),
all as datatrove 0.10 ships them.  ``c4`` is C4 as FineWeb uses it, without the terminal-punctuation rule.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.base.words import nearest


@dataclass(frozen=True)
class Rule:
    """One rule: a document fails where ``signal`` is below (``min``) or above (``max``) the threshold.

    A threshold of 0 is a threshold.  A null signal (stop words of a language that has no list) fails no rule.
    """

    name: str
    signal: str
    bound: Literal["min", "max"]
    default: float


def _rules(**thresholds: tuple[str, float]) -> tuple[Rule, ...]:
    return tuple(
        Rule(name, signal, "min" if name.startswith("min_") else "max", default)
        for name, (signal, default) in thresholds.items()
    )


RULE_SETS: Mapping[str, tuple[Rule, ...]] = {
    "gopher_quality": _rules(
        min_words=("word_count", 50),
        max_words=("word_count", 100_000),
        min_mean_word_length=("mean_word_length", 3),
        max_mean_word_length=("mean_word_length", 10),
        max_symbol_word_ratio=("symbol_word_ratio", 0.1),
        max_bullet_line_ratio=("bullet_line_ratio", 0.9),
        max_ellipsis_line_ratio=("ellipsis_line_ratio", 0.3),
        min_alpha_word_ratio=("alpha_word_ratio", 0.8),
        min_stop_words=("stop_word_count", 2),
    ),
    "gopher_repetition": _rules(
        min_characters=("character_count", 1),
        max_duplicate_line_ratio=("duplicate_line_ratio", 0.3),
        max_duplicate_paragraph_ratio=("duplicate_paragraph_ratio", 0.3),
        max_duplicate_line_char_ratio=("duplicate_line_char_ratio", 0.2),
        max_duplicate_paragraph_char_ratio=("duplicate_paragraph_char_ratio", 0.2),
        max_top_2gram_char_ratio=("top_2gram_char_ratio", 0.20),
        max_top_3gram_char_ratio=("top_3gram_char_ratio", 0.18),
        max_top_4gram_char_ratio=("top_4gram_char_ratio", 0.16),
        max_duplicate_5gram_char_ratio=("duplicate_5gram_char_ratio", 0.15),
        max_duplicate_6gram_char_ratio=("duplicate_6gram_char_ratio", 0.14),
        max_duplicate_7gram_char_ratio=("duplicate_7gram_char_ratio", 0.13),
        max_duplicate_8gram_char_ratio=("duplicate_8gram_char_ratio", 0.12),
        max_duplicate_9gram_char_ratio=("duplicate_9gram_char_ratio", 0.11),
        max_duplicate_10gram_char_ratio=("duplicate_10gram_char_ratio", 0.10),
    ),
    "c4": _rules(
        min_sentences=("c4_sentence_count", 5),
        max_curly_bracket=("c4_has_curly_bracket", 0),
        max_lorem_ipsum=("c4_has_lorem_ipsum", 0),
    ),
    "fineweb": _rules(
        min_terminal_punctuation_line_ratio=("terminal_punctuation_line_ratio", 0.12),
        max_short_line_ratio=("short_line_ratio", 0.67),
        max_duplicate_char_ratio=("fineweb_duplicate_char_ratio", 0.01),
        max_newline_word_ratio=("newline_word_ratio", 0.3),
    ),
}

RULES: Mapping[str, Mapping[str, float]] = {
    name: {rule.name: rule.default for rule in rules} for name, rules in RULE_SETS.items()
}
"""Rule set -> rule -> default threshold."""


def is_class_path(name: str) -> bool:
    """True where a rule's name is the path of a datatrove filter, not of a rule set of ours."""
    return name.startswith("datatrove.") or "." in name


def check_rule_names(names: Iterable[str]) -> list[str]:
    """What is wrong with a list of rule sets, in words; nothing when all are known."""
    return [
        f"unknown rule set {name!r}{nearest(name, RULE_SETS)}; there are {', '.join(RULE_SETS)}, "
        "and any datatrove filter by its class path"
        for name in names
        if name not in RULE_SETS and not is_class_path(name)
    ]


def check_thresholds(rule_set: str, thresholds: Mapping[str, float]) -> list[str]:
    """What is wrong with the thresholds of one rule set, in words: unknown rules, not a number, min above max."""
    known = RULES[rule_set]
    problems = [
        f"{rule_set}.{name}: unknown threshold{nearest(name, known)}; there are {', '.join(known)}"
        for name in thresholds
        if name not in known
    ]
    problems += [
        f"{rule_set}.{name} = {value}: expected a finite number"
        for name, value in thresholds.items()
        if name in known and not float("-inf") < value < float("inf")
    ]
    merged = {**known, **thresholds}
    for rule in RULE_SETS[rule_set]:
        other = rule.name.replace("min_", "max_", 1)
        if rule.bound == "min" and other in merged and merged[rule.name] > merged[other]:
            problems.append(
                f"{rule_set}.{rule.name} = {merged[rule.name]:g} is above {rule_set}.{other} = {merged[other]:g}: "
                "no document could pass"
            )
    return problems
