"""The words of texts, as hashes, for n-grams of evaluation sets: as they stand, and with cut words put together again.

A word that is hyphenated at the end of a line (``exam-`` and ``ple``) is two words of the text as it stands.
``rejoined`` gives the words of such texts without these cuts, and where each of them stands in the text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base.arrow import text_buffers
from pipeline.filter.rules.measure import large_strings
from pipeline.kernels.overlap import cut_lines, word_ends
from pipeline.kernels.words import hash_words, word_tables

Words = NDArray[np.uint64]
Offsets = NDArray[np.int64]
# Latin, Greek, Cyrillic and Armenian: scripts whose words are cut at the ends of lines
_LETTER = "A-Za-z\u00c0-\u024f\u0370-\u058f"
CUT = re.compile(f"[-\u2010]\n(?<=[{_LETTER}][-\u2010]\n)[ \t]*(?=[{_LETTER}])")


_tables = cache(word_tables)


def text_words(array: pa.Array) -> tuple[Words, Offsets]:
    """Word hashes of all texts, and where each text's begin."""
    offsets, data = text_buffers(array)
    words = np.empty(int(offsets[-1]) // 2 + len(offsets) + 2, np.uint64)
    starts = np.zeros(len(offsets), np.int64)
    count = hash_words(data, offsets, _tables(), words, starts)
    return words[:count], starts


def byte_spans(text: str, words: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Byte ranges of word ranges in a text, without white space at their ends."""
    raw = text.encode()
    data = np.frombuffer(raw, np.uint8).copy()
    ends = word_ends(data, _tables(), max(end for _, end in words))
    spans = []
    for first, last in words:
        start, end = (int(ends[first - 1]) if first else 0), int(ends[last - 1])
        part = raw[start:end]
        start, end = start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())
        spans.append((start, end))
    return spans


@dataclass(frozen=True)
class Rejoined:
    """Texts without the cuts at the ends of their lines.

    Attributes:
        rows: Which texts these are.
        words: Their word hashes.
        offsets: Where the words of each begin, shape (texts + 1,).
        starts: For each word, the first word of the text as it stands that it is made of.
        ends: For each word, the one after the last.
    """

    rows: list[int]
    words: Words
    offsets: Offsets
    starts: Offsets
    ends: Offsets

    def as_it_stands(self, text: int, first: int, last: int) -> tuple[int, int]:
        """The words ``first`` to ``last`` of a text, counted in the text as it stands."""
        base = int(self.offsets[text])
        return int(self.starts[base + first]), int(self.ends[base + last - 1])


def rejoined(array: pa.Array) -> Rejoined | None:
    """The texts in which words are cut at the ends of lines; None where there are none."""
    offsets, data = text_buffers(array)
    flags = np.zeros(len(array), bool)
    cut_lines(data, offsets, flags)
    found = ((row, array[row].as_py()) for row in np.flatnonzero(flags).tolist())
    cut = {row: text for row, text in found if CUT.search(text)}
    if not cut:
        return None
    rows, texts = list(cut), list(cut.values())
    words, offsets = text_words(large_strings([CUT.sub("", text) for text in texts]))
    edges = [_edges(text) for text in texts]
    return Rejoined(rows, words, offsets, *(np.concatenate(column) for column in zip(*edges, strict=True)))


def _edges(text: str) -> tuple[Offsets, Offsets]:
    """For each word of the text without cuts, its first word and the one after its last in the text with them."""
    pieces = CUT.split(text)
    _, offsets = text_words(large_strings(pieces))
    total = int(offsets[-1])
    goes_on = np.zeros(total + 1, bool)
    goes_on[offsets[1:-1]] = True
    starts = np.flatnonzero(~goes_on[:total])
    return starts, np.append(starts[1:], total)


def put_together(texts: Sequence[str]) -> list[str]:
    """The texts without cuts at the ends of their lines."""
    return [CUT.sub("", text) if "\n" in text else text for text in texts]


def running(sizes: Sequence[int]) -> list[Any]:
    """Where each of several lists begins in one that holds them all, and where the last one ends."""
    return list(accumulate(sizes, initial=0))
