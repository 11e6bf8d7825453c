"""C4's bad words: how often a text has an entry of its language's list, as datatrove's C4BadWordsFilter looks for it.

An entry is found in the text in lower case, between characters that belong to no word; in Chinese, Japanese and Thai
anywhere.  Two entries with one character between them count once, for the first one takes that character.

``bad_words.json`` is written by tests/tools/make_bad_words.py from the List of Dirty, Naughty, Obscene and Otherwise
Bad Words.  Parity: tests/parity/test_datatrove_bad_words.py.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.base.errors import parse_json

LISTS = Path(__file__).with_name("bad_words.json")
COLUMN = "bad_word_count"
_SAME_LIST = {"tl": "fil", "nb": "no", "nn": "no"}  # label of a document -> label of the list
_WITHOUT_SPACES = frozenset({"ja", "th", "zh"})
_BETWEEN_WORDS = r"[^\pL\pN_]"  # what Python's \W is; RE2's own knows ASCII alone


@cache
def bad_words() -> Mapping[str, list[str]]:
    """Language -> entries, in lower case."""
    lists: Mapping[str, list[str]] = parse_json(LISTS.read_text("utf-8"))
    return lists


def bad_word_counts(texts: pa.Array, languages: pa.Array) -> pa.Array:
    """How often each text has an entry of its language's list; null where there is no list.

    Example:
        >>> texts = pa.array(["What an ASS!", "Assume a class.", "Ein ass."])
        >>> bad_word_counts(texts, pa.array(["en", "en", "lb"])).to_pylist()
        [1, 0, None]
    """
    import pyarrow.compute as pc  # a tenth of a second, which who only looks something up need not wait

    counts = np.zeros(len(texts), np.int32)
    judged = np.zeros(len(texts), bool)
    for language in pc.unique(languages).to_pylist():
        name = _SAME_LIST.get(language, language)
        if name not in bad_words():
            continue
        rows = np.flatnonzero(pc.equal(languages, language).fill_null(False).to_numpy(zero_copy_only=False))
        counts[rows] = pc.count_substring_regex(_lower(texts.take(pa.array(rows))), _pattern(name)).to_numpy()
        judged[rows] = True
    return pa.array(counts, mask=~judged)


def _lower(texts: pa.Array) -> pa.Array:
    """In lower case as Python writes it; Arrow's own differs for the capital sigma and the dotted I."""
    return pa.array([(text or "").lower() for text in texts.to_pylist()], pa.large_string())


@cache
def _pattern(language: str) -> str:
    """What finds an entry of a list, the longest first, for RE2."""
    entries = "|".join(re.escape(word) for word in sorted(bad_words()[language], key=lambda word: (-len(word), word)))
    return entries if language in _WITHOUT_SPACES else f"(?:{_BETWEEN_WORDS}|^)(?:{entries})(?:{_BETWEEN_WORDS}|$)"
