"""Writes pipeline/kernels/token_tables.npz from spaCy's English tokenizer, datatrove's sets and Python's Unicode data.

``python -m tests.tools.make_token_tables`` writes it; tests/parity/test_token_rules.py checks the committed one.
"""

import re
import sys
import unicodedata
from pathlib import Path

import numpy as np

from pipeline.kernels import token_tables as bits
from pipeline.kernels.tokens import hash_bytes

PATH = Path(bits.__file__).with_name("token_tables.npz")
UNSPACED_NAMES = (
    "CJK UNIFIED",
    "CJK COMPATIBILITY IDEOGRAPH",
    "HIRAGANA",
    "KATAKANA",
    "THAI",
    "LAO",
    "KHMER",
    "MYANMAR",
)


def build():
    import spacy
    from spacy.lang.char_classes import _units
    from spacy.pipeline import Sentencizer

    tokenizer = spacy.blank("en").tokenizer
    classes = code_point_classes(tokenizer, set(Sentencizer().punct_chars))
    changes = np.flatnonzero(np.diff(classes, prepend=classes[0] ^ 1))
    exceptions = sorted((hash_bytes(text.encode()), text) for text in tokenizer.rules if text.strip())
    assert len({key for key, _ in exceptions}) == len(exceptions)
    pieces, matches = [], []
    for _, text in exceptions:
        pieces.append([len(part.encode()) for _, part in tokenizer.explain(text)])
        matches.append(matcher_pieces(tokenizer, text))
    units = sorted({hash_bytes(unit.encode()) for unit in _units.split(" ")})
    assert max(len(unit) for unit in _units.split(" ")) <= 6, "tokens._unit_suffix looks at six characters"
    edges = {bits.edge_index(len(raw), raw[0], raw[-1]) for raw in (text.encode() for _, text in exceptions)}
    return {
        "class_starts": changes.astype(np.int32),
        "class_values": classes[changes],
        "exception_hashes": np.array([key for key, _ in exceptions], np.uint64),
        "piece_starts": np.cumsum([0, *map(len, pieces)]).astype(np.int32),
        "piece_bytes": np.array([size for sizes in pieces for size in sizes], np.uint8),
        "match_starts": np.cumsum([0, *map(len, matches)]).astype(np.int32),
        "match_bytes": np.array([size for sizes in matches for size in sizes], np.uint8),
        "units": np.array(units, np.uint64),
        "exception_edges": np.array(sorted(edges), np.uint16),
    }


def matcher_pieces(tokenizer, text):
    """Sizes of the tokens that spaCy's special-case matcher looks for; empty where it does not look for this text."""
    if not (tokenizer.find_prefix(text) or tokenizer.find_infix(text) or tokenizer.find_suffix(text)):
        return []
    plain = type(tokenizer)(
        tokenizer.vocab,
        rules={},
        prefix_search=tokenizer.prefix_search,
        suffix_search=tokenizer.suffix_search,
        infix_finditer=tokenizer.infix_finditer,
        url_match=tokenizer.url_match,
    )
    return [len(token.text.encode()) for token in plain(text)]


def code_point_classes(tokenizer, sentence_ends):
    from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION
    from spacy.lang.char_classes import ALPHA, ALPHA_LOWER, ALPHA_UPPER, CONCAT_QUOTES

    def one_of(pattern):
        return re.compile(f"[{pattern}]").match

    tests = [
        (bits.SPACE, str.isspace),
        (bits.LETTER, str.isalpha),
        (bits.SYMBOL, PUNCTUATION_SET.__contains__),
        (bits.ALPHA, one_of(ALPHA)),
        (bits.ALPHA_LOWER, one_of(ALPHA_LOWER)),
        (bits.ALPHA_UPPER, one_of(ALPHA_UPPER)),
        (bits.PREFIX, lambda c: c != "+" and tokenizer.find_prefix(c)),
        (bits.SUFFIX, lambda c: tokenizer.find_suffix(c)),
        (bits.INFIX, lambda c: tokenizer.find_infix(c)),
        (bits.BEFORE_DOT, lambda c: c != "." and tokenizer.find_suffix(c + ".") and _dot_splits(tokenizer, c)),
        (bits.QUOTE, one_of(CONCAT_QUOTES)),
        (bits.CURRENCY, lambda c: not c.isspace() and not tokenizer.find_suffix(c) and tokenizer.find_suffix("1" + c)
         and not c.isalpha() and c not in "+%."),
        (bits.PUNCTUATION, lambda c: unicodedata.category(c).startswith("P")),
        (bits.SENTENCE_END, sentence_ends.__contains__),
        (bits.TERMINAL, TERMINAL_PUNCTUATION.__contains__),
        (bits.LINE_END, lambda c: len(f"a{c}b".splitlines()) == 2),
        (bits.WORD, re.compile(r"\w").match),
        (bits.DECIMAL, re.compile(r"\d").match),
        (bits.UNSPACED, lambda c: unicodedata.name(c, "").startswith(UNSPACED_NAMES)),
    ]  # fmt: skip
    classes = np.zeros(0x110000, np.uint32)
    for code in range(0x110000):
        if 0xD800 <= code < 0xE000:
            continue
        character = chr(code)
        classes[code] = sum(bit for bit, test in tests if test(character))
    return classes


def _dot_splits(tokenizer, character):
    """A dot alone is split off after ``character`` at the end of a word."""
    return tokenizer.suffix_search("a" + character + ".").group() == "."


if __name__ == "__main__":
    assert unicodedata.unidata_version == bits.UNICODE_VERSION, f"needs Python 3.11, not {sys.version}"
    np.savez_compressed(PATH, **build())
