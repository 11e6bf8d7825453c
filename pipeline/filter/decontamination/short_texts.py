"""Short texts of evaluation sets, which are found with a few words changed too.

One changed word in the middle of a text of 13 to 26 words leaves none of its 13-grams whole.  So a text of 8 to 64
words is aligned with the documents (pipeline/kernels/near.py): it is found where at most one word in
``WORDS_AN_EDIT`` is changed, missing or put in, and where the words that are there make up ``LEAST_SHARE`` of the
text's weight.  A word weighs the more the fewer texts of the sets have it: *which of the following is true of X* is
not the same text with another X.

In scripts without spaces, where a character is a word, twice as many words are asked for.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.filter.decontamination.text_words import Offsets, Words, running
from pipeline.kernels.near import MOST_EDITS, SEED_WORDS, find_near, seed_hashes
from pipeline.kernels.unicode_tables import SINGLE, unicode_tables

WORDS_AN_EDIT = 8
MOST_WORDS = WORDS_AN_EDIT * MOST_EDITS
LEAST_SHARE = 0.75
SCHEMA = pa.schema(
    [
        pa.field("item", pa.int32()),
        pa.field("share", pa.float32()),  # the text's part of the n-grams of its item
        pa.field("edits", pa.int16()),
        pa.field("words", pa.list_(pa.uint64())),
        pa.field("weights", pa.list_(pa.float32())),
        pa.field("seeds", pa.list_(pa.int16())),  # the first word of each
    ]
)


@dataclass(frozen=True)
class NearHit:
    """A short text in a document: its item, its share of the item, and where it stands, in words."""

    row: int
    item: int
    text: int
    share: float
    first: int
    last: int


@dataclass(frozen=True)
class ShortText:
    """A text of an item before it is indexed."""

    item: int
    share: float
    words: Words
    edits: int


def edits_allowed(words: Words, text: str) -> int:
    """How many words of a text may be changed; 0 where it is not looked for in this way."""
    if len(words) > MOST_WORDS:
        return 0
    tables = unicode_tables()
    single = 0 if text.isascii() else sum(tables.lookup(ord(character))[0] == SINGLE for character in text)
    return (len(words) // 2 if 2 * single > len(words) else len(words)) // WORDS_AN_EDIT


def short_table(texts: Sequence[ShortText]) -> pa.Table:
    """The table of texts, each once for an item, with the weights of their words and their seeds."""
    distinct = {text.words.tobytes(): text.words for text in texts}
    having = Counter(word for words in distinct.values() for word in set(words.tolist()))
    runs = Counter(run for words in distinct.values() for run in set(seed_hashes(words).tolist()))
    rows = [
        {
            "item": text.item,
            "share": text.share,
            "edits": text.edits,
            "words": text.words.tolist(),
            "weights": _weights(text.words, having, len(distinct)),
            "seeds": _seeds(text, runs),
        }
        for text in texts
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def _weights(words: Words, having: Counter[int], texts: int) -> list[float]:
    """What each word counts: the logarithm of how rare it is, with a mean of 1."""
    rare = np.log1p(texts / np.array([having[word] for word in words.tolist()]))
    weights: list[float] = (rare / rare.mean()).tolist()
    return weights


def _seeds(text: ShortText, runs: Counter[int]) -> list[int]:
    """The rarest run of words in each of the pieces of which one is whole."""
    hashes = seed_hashes(text.words).tolist()
    edges = [len(text.words) * piece // (text.edits + 1) for piece in range(text.edits + 2)]
    pieces = pairwise(edges)
    return [min(range(a, b - SEED_WORDS + 1), key=lambda at: (runs[hashes[at]], at)) for a, b in pieces]


@dataclass(frozen=True)
class ShortTexts:
    """Short texts as they are looked for in documents: a table of ``SCHEMA``."""

    table: pa.Table

    @cached_property
    def _arrays(self) -> tuple[Any, ...]:
        """The arguments of ``find_near`` after the documents."""
        words, weights, seeds = (self.table[name].combine_chunks() for name in ("words", "weights", "seeds"))
        offsets = np.array(running(_lengths(words).tolist()), np.int64)
        flat = np.array(words.flatten().to_numpy(), np.uint64)
        places = np.array(seeds.flatten().to_numpy(), np.int64)
        owners = np.repeat(np.arange(len(seeds)), _lengths(seeds))
        hashes = np.append(seed_hashes(flat), np.zeros(SEED_WORDS - 1, np.uint64))[offsets[owners] + places]
        order = np.argsort(hashes, kind="stable")
        edits = np.array(self.table["edits"].to_numpy(), np.int64)
        parts = (hashes[order], owners[order], places[order], flat, offsets)
        return bit_table(hashes), *parts, np.array(weights.flatten().to_numpy(), np.float32), edits

    def hits(self, words: Words, offsets: Offsets) -> list[NearHit]:
        """Where the documents hold the texts; a text that stands in one several times is told each time."""
        if not self.table.num_rows:
            return []
        items, shares = self.table["item"].to_numpy(), self.table["share"].to_numpy()
        sizes = np.diff(self._arrays[5])
        return [
            NearHit(row, int(items[text]), text, float(shares[text]) * (1 - edits / int(sizes[text])), first, last)
            for row, text, first, last, edits in _found(words, offsets, self._arrays).tolist()
        ]


def _found(words: Words, offsets: Offsets, arrays: tuple[Any, ...]) -> NDArray[np.int64]:
    room = 1 << 12
    while True:
        out = np.empty((room, 5), np.int64)
        *before, edits = arrays
        found = find_near(words, offsets, *before, edits, LEAST_SHARE, out)
        if found <= room:
            return out[:found]
        room = found


def _lengths(lists: pa.Array) -> NDArray[np.int64]:
    """How long each list is."""
    return np.array(lists.value_lengths().to_numpy(zero_copy_only=False), np.int64)


def bit_table(hashes: Words) -> NDArray[np.uint8]:
    """Flags by the highest bits of the hashes, eight in a byte; 16 to 32 for each hash."""
    flags = min(24, max(12, (16 * len(hashes)).bit_length()))
    bits = np.zeros(1 << flags, bool)
    bits[hashes >> np.uint64(64 - flags)] = True
    return np.packbits(bits, bitorder="little")
