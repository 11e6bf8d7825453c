"""From counted pre-tokens to the vocabulary and the merges of a byte-level BPE tokenizer.

The same as ``tokenizers``' ``BpeTrainer`` makes (tests/parity/test_tokenizer_training.py): special tokens first, then
the 256 bytes, then what the merges give (pipeline/kernels/merges.py).
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.byte_strings import empty_table, enter
from pipeline.kernels.merges import HEADER, learn
from pipeline.tokens.tokenizer.definition import byte_characters
from pipeline.tokens.tokenizer.pretokens import PretokenCounts

LEAST_COUNT = 2  # a pair that comes once is not merged


def learn_vocabulary(
    words: PretokenCounts, size: int, special: Sequence[str]
) -> tuple[list[str], list[tuple[str, str]]]:
    """Learns a vocabulary.

    Args:
        words: The pre-tokens of the texts to learn from.
        size: Entries that the vocabulary may have.
        special: Its first entries; one that is there already is left out.

    Returns:
        Tokens by id, in byte-level characters, and merges in order of rank.
    """
    table = byte_characters()
    names = list(dict.fromkeys([*special, *sorted(table)]))
    known, ends, contents = _token_set([_bytes_of(name, table) for name in names], size)
    rows, starts = _rows(words, np.array([names.index(character) for character in table], np.int32))
    kind = np.int32 if len(rows) < 1 << 31 else np.int64
    places = np.empty(3 * len(words.contents) + 1, kind)
    merges, contents, total = learn(
        rows, starts, places, known, ends, contents, len(names), max(size, len(names)), LEAST_COUNT
    )
    characters = "".join(map(table.__getitem__, contents[: ends[total - 1]].tolist()))
    names += [characters[start:end] for start, end in pairwise(ends[len(names) - 1 : total].tolist())]
    ranked: dict[tuple[int, int], None] = {}
    for left, right, _ in merges.tolist():  # of a pair that was merged twice the later rank counts
        ranked.pop((left, right), None)
        ranked[left, right] = None
    return names, [(names[left], names[right]) for left, right in ranked]


def _bytes_of(name: str, table: Sequence[str]) -> bytes:
    """The bytes whose merges would give this name; none where no bytes can."""
    return bytes(map(table.index, name)) if all(character in table for character in name) else b""


def _token_set(tokens: Sequence[bytes], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """Tokens as the set of byte strings that the kernel asks, with room for ``size``: table, ends, contents."""
    room = max(size, len(tokens))
    contents, ends = np.frombuffer(bytearray().join(tokens), np.uint8), np.zeros(room, np.int64)
    np.cumsum([len(token) for token in tokens], out=ends[: len(tokens)])
    table = empty_table(2 * room)
    enter(table, ends, contents, len(tokens))
    return table, ends, contents


def _rows(words: PretokenCounts, ids: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Words as the kernel wants them, and where each starts; ``ids`` are those of the 256 bytes."""
    lengths = np.diff(words.ends, prepend=0)
    starts = np.cumsum(lengths + HEADER) - (lengths + HEADER)
    rows = np.empty(len(words.contents) + HEADER * len(starts), np.int32)
    symbols = np.ones(len(rows), bool)
    for place in range(HEADER):
        symbols[starts + place] = False
    rows[symbols] = ids[words.contents]
    rows[starts] = lengths
    counts = words.counts
    rows[starts + 1] = (counts & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    rows[starts + 2] = counts >> 32
    return rows, starts
