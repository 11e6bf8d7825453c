"""Text that overlaps with evaluation sets: an index of their n-grams, and what documents share with it.

Words are those of deduplication (lower-cased, without marks), so neither punctuation nor line breaks hide an item.  An
item shorter than the n-gram is indexed as one shorter n-gram of all of its words, down to ``MIN_WORDS``.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base.arrow import text_buffers
from pipeline.base.errors import UserError
from pipeline.base.words import counted
from pipeline.filter.decontamination.evaluation_sets import data_files, read_items
from pipeline.filter.rules.cuts import merged
from pipeline.filter.rules.measure import large_strings
from pipeline.kernels.overlap import find_ngrams, ngram_hashes, word_ends
from pipeline.kernels.words import hash_words, word_tables

MIN_WORDS = 8
BIT_TABLE = 1 << 22


@dataclass(frozen=True)
class Hit:
    """What one document shares with one item: the share of the item's n-grams, and the words in the document."""

    row: int
    item: int
    overlap: float
    words: list[tuple[int, int]]


@dataclass(frozen=True)
class Index:
    """The n-grams of evaluation sets.

    ``grams`` has columns length, hash, item (sorted); ``items`` set, id, ngrams.
    """

    grams: pa.Table
    items: pa.Table

    @property
    def num_items(self) -> int:
        """Items of all sets, those too short to be found included."""
        return int(self.items.num_rows)

    @property
    def num_ngrams(self) -> int:
        """Distinct n-grams of each item, summed."""
        return int(self.grams.num_rows)

    def save(self, grams: Path, items: Path) -> None:
        """Writes both tables."""
        for path, table in ((grams, self.grams), (items, self.items)):
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)

    @classmethod
    def load(cls, grams: Path, items: Path) -> "Index":
        """Reads what ``save`` wrote."""
        return cls(*(pa.ipc.open_file(pa.memory_map(str(path), "r")).read_all() for path in (grams, items)))

    @cached_property
    def sets(self) -> list[str]:
        """Names of the evaluation sets, in recipe order."""
        names = (self.items.schema.metadata or {}).get(b"sets", b"").decode()
        return names.split(",") if names else []

    @cached_property
    def _lengths(self) -> list[tuple[int, Any, Any, Any, Any]]:
        """For each n-gram length: bit table, distinct hashes, where the items of each begin, items."""
        tables = []
        lengths = self.grams["length"].to_numpy()
        for length in np.unique(lengths).tolist():
            hashes = self.grams["hash"].to_numpy()[lengths == length]
            items = self.grams["item"].to_numpy()[lengths == length]
            distinct, starts = np.unique(hashes, return_index=True)
            bits = np.zeros(BIT_TABLE, bool)
            bits[distinct >> np.uint64(64 - BIT_TABLE.bit_length() + 1)] = True
            tables.append((int(length), bits, distinct, np.append(starts, len(hashes)), items))
        return tables

    def hits(self, texts: pa.Array | Sequence[str]) -> list[Hit]:
        """What each text shares with each item, in order of row and item."""
        array = large_strings(texts)
        words, offsets = text_words(array)
        matched: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)
        spans: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)
        for length, bits, known, starts, items in self._lengths:
            rows, positions, slots = _find(words, offsets, length, bits, known)
            for row, position, slot in zip(rows.tolist(), positions.tolist(), slots.tolist(), strict=True):
                for item in items[starts[slot] : starts[slot + 1]].tolist():
                    matched[row, item].add((length, slot))
                    spans[row, item].add((position, position + length))
        totals = self.items["ngrams"].to_numpy()
        return [
            Hit(row, item, min(1.0, len(found) / int(totals[item])), merged(spans[row, item]))
            for (row, item), found in sorted(matched.items())
        ]

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


def text_words(array: pa.Array) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Word hashes of all texts, and where each text's begin."""
    offsets, data = text_buffers(array)
    words = np.empty(int(offsets[-1]) // 2 + len(offsets) + 2, np.uint64)
    starts = np.zeros(len(offsets), np.int64)
    count = hash_words(data, offsets, word_tables(), words, starts)
    return words[:count], starts


def byte_spans(text: str, words: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Byte ranges of word ranges in a text, without white space at their ends."""
    raw = text.encode()
    data = np.frombuffer(raw, np.uint8).copy()
    ends = word_ends(data, word_tables(), max(end for _, end in words))
    spans = []
    for first, last in words:
        start, end = (int(ends[first - 1]) if first else 0), int(ends[last - 1])
        part = raw[start:end]
        start, end = start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())
        spans.append((start, end))
    return spans


def build_index(sets: Sequence[dict[str, Any]], paths: dict[str, str], ngram: int) -> Index:
    """Indexes evaluation sets.

    Args:
        sets: ``name``, ``fields`` and ``id_field`` of each.
        paths: Where each is.
        ngram: Words in an n-gram.

    Raises:
        UserError: If a set cannot be read, an item lacks a named field, or nothing of a set can be looked for.
    """
    owners: list[str] = []
    ids: list[str] = []
    totals: list[int] = []
    grams: list[tuple[int, int, int]] = []
    for evaluation in sets:
        name, before = evaluation["name"], len(grams)
        files = data_files(paths[name])
        for item, texts in read_items(name, files, evaluation["fields"], evaluation["id_field"]):
            found = _item_ngrams(texts, ngram)
            grams += [(length, value, len(ids)) for length, value in found]
            owners.append(name)
            ids.append(item)
            totals.append(max(1, len(found)))
        if len(grams) == before:
            raise UserError(_nothing_in(name, ids[owners.index(name) :] if name in owners else [], ngram))
    grams.sort()
    columns = list(zip(*grams, strict=True)) or [(), (), ()]
    table = pa.table(
        [pa.array(columns[0], pa.int16()), pa.array(columns[1], pa.uint64()), pa.array(columns[2], pa.int32())],
        names=["length", "hash", "item"],
    )
    schema = pa.schema(
        [pa.field("set", pa.string()), pa.field("id", pa.string()), pa.field("ngrams", pa.int32())],
        metadata={"sets": ",".join(evaluation["name"] for evaluation in sets)},
    )
    return Index(table, pa.table([owners, ids, pa.array(totals, pa.int32())], schema=schema))


def _nothing_in(name: str, ids: Sequence[str], ngram: int) -> str:
    """That nothing of a set can be looked for, in words."""
    if not ids:
        return f"evaluation set {name}: its files hold no item"
    words = min(MIN_WORDS, ngram)
    return (
        f"evaluation set {name}: none of {counted(len(ids), 'item')} ({ids[0]}) can be looked for: fewer than {words} "
        "words in each field; name its fields with text, or leave the set out"
    )


def _item_ngrams(texts: Sequence[str], ngram: int) -> list[tuple[int, int]]:
    """Distinct (length, hash) of an item; n-grams do not cross its fields."""
    words, starts = text_words(large_strings(list(texts)))
    found: set[tuple[int, int]] = set()
    for k in range(len(texts)):
        own = words[starts[k] : starts[k + 1]]
        length = min(ngram, len(own))
        if length >= min(MIN_WORDS, ngram):
            found |= {(length, int(value)) for value in ngram_hashes(own, length)}
    return sorted(found)
