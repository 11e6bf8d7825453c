"""Rule presets by kind of text: ``[filter] preset`` sets the keys below where the recipe does not give them itself.

The published rule sets were made for web pages: Gopher's, C4's and FineWeb's thresholds tell prose from menus, spam
and placeholders.  On a company's manuals, contracts and notes the same thresholds drop most of the good text (lists,
tables, short notes, code samples), so a corpus that somebody already chose needs other ones: docs/filter.md.
"""

from collections.abc import Mapping
from typing import Any

REPETITION_ONLY = {
    "max_duplicate_line_ratio": 0.6,
    "max_duplicate_paragraph_ratio": 0.6,
    "max_duplicate_line_char_ratio": 0.5,
    "max_duplicate_paragraph_char_ratio": 0.5,
    # overlapping n-grams of one sign count their letters several times: a rule of `====` and a table of dashes reach 1
    # with a third of a text, and a text of nothing but one sign 1.5, 2.5 and 3.5, in runs twice as much
    "max_top_2gram_char_ratio": 1.4,
    "max_top_3gram_char_ratio": 2.4,
    "max_top_4gram_char_ratio": 3.4,
    "max_duplicate_5gram_char_ratio": 0.6,
    "max_duplicate_6gram_char_ratio": 0.6,
    "max_duplicate_7gram_char_ratio": 0.6,
    "max_duplicate_8gram_char_ratio": 0.6,
    "max_duplicate_9gram_char_ratio": 0.6,
    "max_duplicate_10gram_char_ratio": 0.6,
}
"""Repetition that no text has which somebody wrote to be read: most of it says the same again."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # pages of the web: the published rules, and a language that is sure
    "web": {"rules": ["gopher_quality", "gopher_repetition", "c4", "fineweb"], "min_language_score": 0.65},
    # manuals, contracts, notes, mail: what is repeated without end goes, short and list-like text stays
    "own": {"rules": ["gopher_repetition"], "gopher_repetition": REPETITION_ONLY, "min_language_score": 0.25},
    # source code beside its documentation: no language is asked for, since code has none
    "code-and-docs": {"rules": ["gopher_repetition"], "gopher_repetition": REPETITION_ONLY, "min_language_score": 0.0},
    # text that was curated before: nothing is dropped but what the recipe names
    "clean": {"rules": [], "min_language_score": 0.0},
}


def filled(section: Mapping[str, Any]) -> dict[str, Any]:
    """A ``[filter]`` section with the keys, and the thresholds, of its preset where it does not give them itself.

    Example:
        >>> filled({"preset": "clean", "min_language_score": 0.5})
        {'rules': [], 'min_language_score': 0.5, 'preset': 'clean'}
    """
    preset = section.get("preset")
    keys = PRESETS.get(preset, {}) if isinstance(preset, str) else {}
    tables = {
        name: {**thresholds, **section[name]}
        for name, thresholds in keys.items()
        if isinstance(thresholds, Mapping) and isinstance(section.get(name), Mapping)
    }
    return {**keys, **section, **tables}
