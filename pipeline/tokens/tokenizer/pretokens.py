"""Counts the pre-tokens of texts: the pieces that a pretokenizer cuts, out of which BPE never merges.

The cutting is a kernel (pipeline/kernels/pretokens.py).  Which code points are letters, numbers and spaces is asked of
``tokenizers``' own pretokenizer when a code point first comes, so that both cut alike whatever its Unicode version.
"""

import json
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.base.arrow import text_buffers
from pipeline.base.errors import parse_json
from pipeline.kernels.byte_strings import COUNT, NUMBER, empty_table, spread
from pipeline.kernels.pretokens import (
    CODE_POINTS,
    CONTRACTED,
    DIGIT,
    LETTER,
    OTHER,
    SPACE,
    count_pretokens,
    unknown_code_points,
)
from pipeline.tokens.tokenizer.definition import pre_tokenizer

RULES = {"gpt2": 0, "cl100k": 3, "qwen2": 1}  # as the kernel wants them
_ROOM = 1 << 16


class PretokenCounts:
    """Distinct pre-tokens of all texts so far: N of them, in the order in which they first came.

    Args:
        pretokenizer: ``gpt2``, ``cl100k`` or ``qwen2``.
        room: For so many distinct ones, and 16 times as many bytes of them, to begin with.
    """

    def __init__(self, pretokenizer: str, room: int = _ROOM) -> None:
        self._pretokenizer, self._rule = pretokenizer, RULES[pretokenizer]
        self._classes = np.zeros(CODE_POINTS, np.uint8)
        self._table = empty_table(2 * room)
        self._ends, self._contents = np.empty(room, np.int64), np.empty(16 * room, np.uint8)
        self._found = 0

    @property
    def counts(self) -> NDArray[np.int64]:
        """How often each comes, (N,)."""
        rows, counts = self._table[self._table[:, NUMBER] >= 0], np.empty(self._found, np.int64)
        counts[rows[:, NUMBER]] = rows[:, COUNT]
        return counts

    @property
    def ends(self) -> NDArray[np.int64]:
        """Where each ends in ``contents``, (N,)."""
        return self._ends[: self._found]

    @property
    def contents(self) -> NDArray[np.uint8]:
        """Their bytes, one after the other."""
        return self._contents[: self._ends[self._found - 1] if self._found else 0]

    def add(self, texts: Iterable[str] | Any) -> None:
        """Counts the pre-tokens of further texts, a list or an Arrow array of strings."""
        offsets, data = text_buffers(texts)
        unknown, places = (np.empty(min(len(data), CODE_POINTS), np.int64) for _ in range(2))
        for code in unknown[: unknown_code_points(data, self._classes, unknown, places)].tolist():
            self._classes[code] = class_of(self._pretokenizer, chr(code))
        place = np.zeros(2, np.int64)
        while True:
            known = self._table, self._ends, self._contents
            self._found = count_pretokens(data, offsets, place, self._rule, self._classes, *known, self._found)
            if place[0] == len(offsets) - 1:
                return
            self._make_room(len(data))

    def _make_room(self, size: int) -> None:
        """Twice the room for what is full; ``size`` bytes are enough for the next pre-token."""
        if self._found == len(self._ends):
            self._ends, table = _doubled(self._ends), self._table
            self._table = empty_table(2 * len(self._ends))
            spread(table, self._table)
        else:
            while len(self._contents) < len(self.contents) + size:
                self._contents = _doubled(self._contents)


def _doubled(array: NDArray[Any]) -> NDArray[Any]:
    result = np.empty(2 * len(array), array.dtype)
    result[: len(array)] = array
    return result


@cache
def library_pre_tokenizer(name: str) -> Any:
    """That of ``tokenizers``: ``gpt2``, ``cl100k`` or ``qwen2``."""
    from tokenizers import Tokenizer, models

    # through its definition, so that training and a later load cut text in exactly the same way
    definition = parse_json(Tokenizer(models.BPE()).to_str())
    definition["pre_tokenizer"] = pre_tokenizer(name)
    return Tokenizer.from_str(json.dumps(definition)).pre_tokenizer


@lru_cache(maxsize=1 << 16)
def class_of(pretokenizer: str, character: str) -> int:
    """What a pretokenizer takes a code point for, seen from where it cuts around it."""
    if _is_whole(pretokenizer, f"a{character}"):
        # "'s" is cut off, "'b" is not
        return CONTRACTED if _starts(pretokenizer, f"'{character}a") == [0, 2] else LETTER
    if _is_whole(pretokenizer, f"\t{character}"):
        return SPACE
    return OTHER if _is_whole(pretokenizer, f"!{character}") else DIGIT


def _starts(pretokenizer: str, text: str) -> list[int]:
    return [start for _, (start, _) in library_pre_tokenizer(pretokenizer).pre_tokenize_str(text)]


def _is_whole(pretokenizer: str, text: str) -> bool:
    return _starts(pretokenizer, text) == [0]
