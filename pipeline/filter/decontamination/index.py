"""Text that overlaps with evaluation sets: an index of their n-grams, and what documents share with it.

Words are those of deduplication (lower-cased, without marks): neither punctuation nor line breaks hide an item.  Words
cut at the ends of lines are put together (``text_words.py``).  A text of 8 to 64 words is looked for as a
whole, also with a few words changed (``short_texts.py``); one that is shorter than the n-gram only in this way, or,
where no change is allowed, as one shorter n-gram of all of its words.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.filter.decontamination.short_texts import ShortTexts, bit_table
from pipeline.filter.decontamination.text_words import Offsets, Words, byte_spans, rejoined, text_words
from pipeline.filter.rules.cuts import merged
from pipeline.filter.rules.measure import large_strings
from pipeline.kernels.overlap import find_ngrams


@dataclass(frozen=True)
class Hit:
    """What one document shares with one item, and the words in the document.

    ``overlap`` is the share of the item's n-grams; where a short text of it stands there with words changed, the share
    of its words, if that is more.
    """

    row: int
    item: int
    overlap: float
    words: list[tuple[int, int]]


class _Shared:
    """What is found of items in documents: n-grams, shares of short texts, and where they stand."""

    def __init__(self) -> None:
        self.grams: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)
        self.near: dict[tuple[int, int], dict[int, float]] = defaultdict(dict)
        self.spans: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)

    def add_grams(self, row: int, item: int, gram: tuple[int, int], span: tuple[int, int]) -> None:
        self.grams[row, item].add(gram)
        self.spans[row, item].add(span)

    def add_text(self, row: int, item: int, text: int, share: float, span: tuple[int, int]) -> None:
        """A short text: the best of its places counts."""
        known = self.near[row, item]
        known[text] = max(share, known.get(text, 0.0))
        self.spans[row, item].add(span)

    def hits(self, totals: NDArray[Any]) -> list[Hit]:
        """What each document shares with each item, in order of both."""
        found = []
        for key in sorted(self.spans):
            share = len(self.grams.get(key, ())) / max(1, int(totals[key[1]]))
            overlap = min(1.0, max(share, sum(self.near.get(key, {}).values())))
            found.append(Hit(*key, overlap, merged(self.spans[key])))
        return found


@dataclass(frozen=True)
class Index:
    """The n-grams of evaluation sets.

    ``grams`` has columns length, hash, item (sorted); ``items`` set, id, ngrams; ``short`` is what
    ``short_texts.short_table`` makes.
    """

    grams: pa.Table
    items: pa.Table
    short: pa.Table

    @property
    def num_items(self) -> int:
        """Items of all sets, those too short to be found included."""
        return int(self.items.num_rows)

    @property
    def num_ngrams(self) -> int:
        """Distinct n-grams of each item, summed."""
        return int(self.items["ngrams"].to_numpy().sum())

    def reach(self) -> dict[str, tuple[int, int]]:
        """For each set its items, and how many of them are too short to be looked for."""
        names, ngrams = self.items["set"].to_pylist(), self.items["ngrams"].to_pylist()
        short = Counter(name for name, count in zip(names, ngrams, strict=True) if not count)
        return {name: (count, short[name]) for name, count in Counter(names).items()}

    def save(self, *paths: Path) -> None:
        """Writes the tables: n-grams, items, short texts."""
        for path, table in zip(paths, (self.grams, self.items, self.short), strict=True):
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)

    @classmethod
    def load(cls, *paths: Path) -> "Index":
        """Reads what ``save`` wrote."""
        return cls(*(pa.ipc.open_file(pa.memory_map(str(path), "r")).read_all() for path in paths))

    @cached_property
    def sets(self) -> list[str]:
        """Names of the evaluation sets, in recipe order."""
        names = (self.items.schema.metadata or {}).get(b"sets", b"").decode()
        return names.split(",") if names else []

    @cached_property
    def _short(self) -> ShortTexts:
        return ShortTexts(self.short)

    @cached_property
    def _lengths(self) -> list[tuple[int, Any, Any, Any, Any]]:
        """For each n-gram length: bit table, distinct hashes, where the items of each begin, items."""
        tables = []
        lengths = self.grams["length"].to_numpy()
        for length in np.unique(lengths).tolist():
            hashes = self.grams["hash"].to_numpy()[lengths == length]
            items = self.grams["item"].to_numpy()[lengths == length]
            distinct, starts = np.unique(hashes, return_index=True)
            tables.append((int(length), bit_table(distinct), distinct, np.append(starts, len(hashes)), items))
        return tables

    def hits(self, texts: pa.Array | Sequence[str]) -> list[Hit]:
        """What each text shares with each item, in order of row and item."""
        array = large_strings(texts)
        shared = _Shared()
        self._add(shared, *text_words(array), lambda row, first, last: (row, (first, last)))
        whole = rejoined(array)
        if whole is not None:
            self._add(
                shared,
                whole.words,
                whole.offsets,
                lambda row, first, last: (whole.rows[row], whole.as_it_stands(row, first, last)),
            )
        return shared.hits(self.items["ngrams"].to_numpy())

    def _add(self, shared: _Shared, words: Words, offsets: Offsets, place: Callable[..., Any]) -> None:
        """What is found in some words; ``place`` tells the document and its words of a find."""
        for length, bits, known, starts, items in self._lengths:
            rows, positions, slots = _find(words, offsets, length, bits, known)
            for row, position, slot in zip(rows.tolist(), positions.tolist(), slots.tolist(), strict=True):
                document, span = place(row, position, position + length)
                for item in items[starts[slot] : starts[slot + 1]].tolist():
                    shared.add_grams(document, item, (length, slot), span)
        for hit in self._short.hits(words, offsets):
            document, span = place(hit.row, hit.first, hit.last)
            shared.add_text(document, hit.item, hit.text, hit.share, span)

    def columns(self, texts: pa.Array) -> list[pa.Array]:
        """For each set the largest overlap and its item; then the byte spans of all hits, and the share of each."""
        found = self.hits(texts)
        best: dict[tuple[int, str], Hit] = {}
        own: dict[int, list[Hit]] = defaultdict(list)
        names, ids = self.items["set"].to_pylist(), self.items["id"].to_pylist()
        for hit in found:
            key = (hit.row, names[hit.item])
            if key not in best or hit.overlap > best[key].overlap:
                best[key] = hit
            own[hit.row].append(hit)
        result = []
        for name in self.sets:
            overlaps = np.zeros(len(texts), np.float32)
            items: list[str | None] = [None] * len(texts)
            for (row, owner), hit in best.items():
                if owner == name:
                    overlaps[row], items[row] = hit.overlap, ids[hit.item]
            result += [pa.array(overlaps), pa.array(items, pa.string())]
        ranges: list[list[int]] = [[] for _ in range(len(texts))]
        shares: list[list[float]] = [[] for _ in range(len(texts))]
        for row, hits in own.items():
            words = [span for hit in hits for span in hit.words]
            ranges[row] = [edge for span in byte_spans(texts[row].as_py(), words) for edge in span]
            shares[row] = [hit.overlap for hit in hits for _ in hit.words]
        return [*result, pa.array(ranges, pa.list_(pa.int32())), pa.array(shares, pa.list_(pa.float32()))]


def _find(words: Any, offsets: Any, length: int, bits: Any, known: Any) -> list[NDArray[np.int64]]:
    room = 1 << 16
    while True:
        out = [np.empty(room, np.int64) for _ in range(3)]
        found = find_ngrams(words, offsets, length, bits, known, *out)
        if found <= room:
            return [column[:found] for column in out]
        room = found
