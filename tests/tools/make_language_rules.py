"""Writes pipeline/recipe/language_rules.json: thresholds of languages that the published rules for English misjudge.

    python -m tests.tools.make_language_rules FOLDER

FOLDER is a checkout of https://github.com/huggingface/fineweb-2 (Apache-2.0): ``configs/*.yml`` has the thresholds that
FineWeb-2 measured for each language and script.  A language gets those that are looser than the published one, the
loosest of its scripts: a text that passes in English is not dropped for its language, and nothing becomes stricter.

In scripts without spaces a word of ours is one character (pipeline/kernels/tokens.py), and FineWeb-2's figures about
words do not fit: limits on the number of words grow by the characters that a word has; the least share of words with
letters shrinks by the share of letters in FineWeb-2's stop words, for vowel signs are none; what cannot be measured of
single characters is off: their mean length, C4's sentences (it counts words by white space), the share of short lines,
repeated runs of 5 to 9 (one to four words, which good text repeats).
"""

import json
import sys
from pathlib import Path
from typing import Any

from yaml import safe_load  # type: ignore[import-untyped]

from pipeline.recipe.language_codes import ALIASES, LABELS
from pipeline.recipe.language_rules import TABLE
from pipeline.recipe.rule_sets import RULE_SETS

# round figures; tokenizers of these languages differ by a fifth
CHARACTERS_A_WORD = {"zh": 1.6, "wuu": 1.6, "yue": 1.6, "ja": 2.0, "th": 4.0, "lo": 4.0, "km": 5.0, "my": 5.0}
MIN_ALPHA = 0.8  # Gopher's
MOST_LONG_RUNS = 0.6  # of text in repeated runs of ten characters; as the preset `own` has it
Thresholds = dict[str, dict[str, float]]


def main(folder: Path) -> None:
    """Reads the configs and writes the table."""
    table = {label: rules for label in sorted(LABELS - {"en"}) if (rules := rules_of(label, folder / "configs"))}
    lines = (f"{json.dumps(label)}: {json.dumps(rules)}" for label, rules in table.items())
    TABLE.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def rules_of(label: str, configs: Path) -> Thresholds:
    """The thresholds of a language that are looser than the published ones."""
    codes = sorted({label, *(code for code, named in ALIASES.items() if named == label)})
    files = [file for code in codes if len(code) == 3 for file in sorted(configs.glob(f"{code}_*.yml"))]
    found: Thresholds = {}
    stop_words: list[str] = []
    for file in files:
        config = safe_load(file.read_text("utf-8"))
        stop_words += map(str, config["stopwords"])
        for rule_set, rules in fineweb_2(config).items():
            own = found.setdefault(rule_set, {})
            for name, value in rules.items():
                own[name] = looser(name, value, own.get(name, value))
    if label in CHARACTERS_A_WORD:
        letters = [character.isalpha() for character in "".join(stop_words)]
        found = of_characters(label, found, sum(letters) / len(letters) if letters else 1.0)
    return {rule_set: kept for rule_set, rules in found.items() if (kept := only_looser(rule_set, rules))}


def fineweb_2(config: dict[str, Any]) -> Thresholds:
    """FineWeb-2's thresholds by the names of our rules."""
    names = {
        "gopher_quality": {
            "min_mean_word_length": config.get("min_avg_word_length"),
            "max_mean_word_length": config.get("max_avg_word_length"),
            "min_alpha_word_ratio": config.get("max_non_alpha_words_ratio"),  # datatrove's name says the contrary
        },
        "gopher_repetition": {
            "max_duplicate_line_ratio": config.get("dup_line_frac"),
            **{f"max_top_{n}gram_char_ratio": share for n, share in config.get("top_n_grams", ())},
            **{f"max_duplicate_{n}gram_char_ratio": share for n, share in config.get("dup_n_grams", ())},
        },
        "fineweb": {
            "min_terminal_punctuation_line_ratio": max(0, config.get("line_punct_thr", 1)),  # -1 is off there
            "max_newline_word_ratio": config.get("new_line_ratio"),
        },
    }
    return {rule_set: {k: float(v) for k, v in rules.items() if v is not None} for rule_set, rules in names.items()}


def of_characters(label: str, found: Thresholds, letters: float) -> Thresholds:
    """The thresholds where each character is a word."""
    longer = CHARACTERS_A_WORD[label]
    quality = {"min_words": 50 * longer, "max_words": 100_000 * longer, "min_mean_word_length": 0.0}
    alpha = min(found.get("gopher_quality", {}).get("min_alpha_word_ratio", MIN_ALPHA), MIN_ALPHA * letters)
    repetition = {
        **{k: v for k, v in found.get("gopher_repetition", {}).items() if "duplicate_line" in k or "_top_" in k},
        **{f"max_duplicate_{n}gram_char_ratio": 1.0 for n in range(5, 10)},
        "max_duplicate_10gram_char_ratio": MOST_LONG_RUNS,
    }
    fineweb = {k: v for k, v in found.get("fineweb", {}).items() if "newline" not in k}
    return {
        "gopher_quality": {**quality, "min_alpha_word_ratio": alpha},
        "gopher_repetition": repetition,
        "c4": {"min_sentences": 0.0},
        "fineweb": {**fineweb, "max_short_line_ratio": 1.0},
    }


def looser(name: str, one: float, other: float) -> float:
    """The threshold that fewer documents fail."""
    return min(one, other) if name.startswith("min_") else max(one, other)


def only_looser(rule_set: str, rules: dict[str, float]) -> dict[str, float]:
    """The thresholds that differ from the published ones and are no stricter; counts of words may be either."""
    published = {rule.name: rule.default for rule in RULE_SETS[rule_set]}
    wanted = {k: v for k, v in rules.items() if k in published and v != published[k]}
    return {k: round(v, 4) for k, v in wanted.items() if k == "min_words" or looser(k, v, published[k]) == v}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
