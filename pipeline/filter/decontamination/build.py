"""Evaluation sets to an index of their items."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from pipeline.base.errors import UserError
from pipeline.base.words import counted
from pipeline.clean.normalise import normalise
from pipeline.filter.decontamination.evaluation_sets import data_files, read_items
from pipeline.filter.decontamination.index import Index
from pipeline.filter.decontamination.reach import MIN_WORDS
from pipeline.filter.decontamination.short_texts import ShortText, edits_allowed, short_table
from pipeline.filter.decontamination.text_words import put_together, text_words
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
        self._grams: list[tuple[int, int, int]] = []
        self._short: list[ShortText] = []
        self.ids: list[str] = []
        self.totals: list[int] = []

    def add(self, name: str, item: str, texts: Sequence[str]) -> None:
        """An item, its texts as the clean stage would write them: n-grams do not cross them."""
        number, grams = len(self.ids), set[tuple[int, int]]()
        cleaned = put_together(normalise(list(texts))[0])
        words, starts = text_words(large_strings(cleaned))
        short: dict[bytes, ShortText] = {}
        for k, text in enumerate(cleaned):
            own = words[starts[k] : starts[k + 1]]
            length = min(self._ngram, len(own))
            if length < min(MIN_WORDS, self._ngram):
                continue
            found = {(length, int(value)) for value in ngram_hashes(own, length)}
            grams |= found
            if edits := edits_allowed(own, text):
                short[own.tobytes()] = ShortText(number, len(found), own.copy(), edits)
            if not edits or len(own) >= self._ngram:
                self._grams += [(length, value, number) for length, value in found]
        self._short += [replace(text, share=text.share / len(grams)) for text in short.values()]
        self._owners.append(name)
        self.ids.append(item)
        self.totals.append(len(grams))

    def index(self, names: Sequence[str]) -> Index:
        """The index of all that was added."""
        columns = list(zip(*sorted(set(self._grams)), strict=True)) or [(), (), ()]
        grams = pa.table(
            [pa.array(columns[0], pa.int16()), pa.array(columns[1], pa.uint64()), pa.array(columns[2], pa.int32())],
            names=["length", "hash", "item"],
        )
        schema = pa.schema(
            [pa.field("set", pa.string()), pa.field("id", pa.string()), pa.field("ngrams", pa.int32())],
            metadata={"sets": ",".join(names)},
        )
        items = pa.table([self._owners, self.ids, pa.array(self.totals, pa.int32())], schema=schema)
        return Index(grams, items, short_table(self._short))


def _nothing_in(name: str, ids: Sequence[str], ngram: int) -> str:
    """That nothing of a set can be looked for, in words."""
    if not ids:
        return f"evaluation set {name}: its files hold no item"
    words = min(MIN_WORDS, ngram)
    return (
        f"evaluation set {name}: none of {counted(len(ids), 'item')} ({ids[0]}) can be looked for: fewer than {words} "
        "words in each field; name its fields with text, or leave the set out"
    )
