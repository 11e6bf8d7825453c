"""Evaluation sets to an index of their items."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.base.errors import UserError
from pipeline.base.words import counted
from pipeline.clean.normalise import normalise
from pipeline.filter.decontamination.evaluation_sets import data_files, read_items
from pipeline.filter.decontamination.index import Index
from pipeline.filter.decontamination.reach import MIN_WORDS
from pipeline.filter.decontamination.short_texts import ShortText, edits_allowed, short_table
from pipeline.filter.decontamination.text_words import Words, put_together, text_words
from pipeline.filter.rules.measure import large_strings
from pipeline.kernels.overlap import ngram_hashes


def build_index(sets: Sequence[dict[str, Any]], paths: dict[str, str], ngram: int) -> Index:
    """Indexes evaluation sets.

    Args:
        sets: ``name``, ``fields`` and ``id_field`` of each.
        paths: Where each is.
        ngram: Words in an n-gram.

    Raises:
        UserError: If a set cannot be read, an item lacks a named field, or nothing of a set can be looked for.
    """
    made = _Made(ngram)
    for evaluation in sets:
        name, first = evaluation["name"], len(made.ids)
        files = data_files(paths[name])
        for item, texts in read_items(name, files, evaluation["fields"], evaluation["id_field"]):
            made.add(name, item, texts)
        if not any(made.totals[first:]):
            raise UserError(_nothing_in(name, made.ids[first:], ngram))
    return made.index([evaluation["name"] for evaluation in sets])


class _Made:
    """The tables of an index as they grow."""

    def __init__(self, ngram: int) -> None:
        self._ngram = ngram
        self._owners: list[str] = []
        self._grams: list[tuple[int, int, Words]] = []  # length, item, hashes
        self._short: list[ShortText] = []
        self.ids: list[str] = []
        self.totals: list[int] = []

    def add(self, name: str, item: str, texts: Sequence[str]) -> None:
        """An item, its texts as the clean stage would write them: n-grams do not cross them."""
        number = len(self.ids)
        cleaned = put_together(normalise(list(texts))[0])
        words, starts = text_words(large_strings(cleaned))
        grams: dict[int, list[Words]] = defaultdict(list)
        short: dict[bytes, ShortText] = {}
        for k, text in enumerate(cleaned):
            own = words[starts[k] : starts[k + 1]]
            length = min(self._ngram, len(own))
            if length < min(MIN_WORDS, self._ngram):
                continue
            found = np.unique(ngram_hashes(own, length))
            grams[length].append(found)
            if edits := edits_allowed(own, text):
                short[own.tobytes()] = ShortText(number, len(found), own.copy(), edits)
            if not edits or len(own) >= self._ngram:
                self._grams.append((length, number, found))
        total = sum(len(np.unique(np.concatenate(found))) for found in grams.values())
        self._short += [replace(text, share=text.share / total) for text in short.values()]
        self._owners.append(name)
        self.ids.append(item)
        self.totals.append(total)

    def index(self, names: Sequence[str]) -> Index:
        """The index of all that was added."""
        schema = pa.schema(
            [pa.field("set", pa.string()), pa.field("id", pa.string()), pa.field("ngrams", pa.int32())],
            metadata={"sets": ",".join(names)},
        )
        items = pa.table([self._owners, self.ids, pa.array(self.totals, pa.int32())], schema=schema)
        return Index(self._table(), items, short_table(self._short))

    def _table(self) -> pa.Table:
        """The n-grams by length, hash and item, each once."""
        sizes = [len(found) for _, _, found in self._grams]
        lengths = np.repeat(np.array([length for length, _, _ in self._grams], np.int16), sizes)
        items = np.repeat(np.array([item for _, item, _ in self._grams], np.int32), sizes)
        hashes = np.concatenate([*(found for _, _, found in self._grams), np.zeros(0, np.uint64)])
        order = np.lexsort((items, hashes, lengths))
        columns = [column[order] for column in (lengths, hashes, items)]
        new = np.ones(len(order), bool)
        new[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
        return pa.table([pa.array(column[new]) for column in columns], names=["length", "hash", "item"])


def _nothing_in(name: str, ids: Sequence[str], ngram: int) -> str:
    """That nothing of a set can be looked for, in words."""
    if not ids:
        return f"evaluation set {name}: its files hold no item"
    words = min(MIN_WORDS, ngram)
    return (
        f"evaluation set {name}: none of {counted(len(ids), 'item')} ({ids[0]}) can be looked for: fewer than {words} "
        "words in each field; name its fields with text, or leave the set out"
    )
