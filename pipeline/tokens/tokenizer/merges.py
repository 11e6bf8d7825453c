"""From counted pre-tokens to the vocabulary and the merges of a byte-level BPE tokenizer.

The same as ``tokenizers``' ``BpeTrainer`` makes (tests/parity/test_tokenizer_training.py): special tokens first, then
the 256 bytes, then what the merges give (pipeline/kernels/merges.py).
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.byte_strings import empty_table, enter
from pipeline.kernels.merges import FIRST_PAIRS, HEADER, MERGED, TOTAL, Work, learn, move_pairs, queue_first
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
    id_of = {name: number for number, name in enumerate(names)}
    rows, starts = _rows(words, np.array([id_of[character] for character in table], np.int32))
    byte_of = {character: byte for byte, character in enumerate(table)}
    work = _work(rows, starts, len(words.contents), [_bytes_of(name, byte_of) for name in names], size)
    queue_first(work, np.zeros(len(work.table), np.int64), np.full(len(work.table), -1, np.int64))
    while not learn(work, size, LEAST_COUNT):
        work = _with_room(work)
    total = int(work.state[TOTAL])
    characters = "".join(map(table.__getitem__, work.contents[: work.ends[total - 1]].tolist()))
    names += [characters[start:end] for start, end in pairwise(work.ends[len(names) - 1 : total].tolist())]
    ranked: dict[tuple[int, int], None] = {}
    for left, right, _ in work.merges[: work.state[MERGED]].tolist():
        ranked.pop((left, right), None)  # of a pair that was merged twice the later rank counts
        ranked[left, right] = None
    return names, [(names[left], names[right]) for left, right in ranked]


def _bytes_of(name: str, byte_of: Mapping[str, int]) -> bytes:
    """The bytes whose merges would give this name; none where no bytes can."""
    return bytes(byte_of[character] for character in name) if byte_of.keys() >= set(name) else b""


def _rows(words: PretokenCounts, ids: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Words as the kernel wants them, and where each starts; ``ids`` are those of the 256 bytes."""
    lengths, counts = np.diff(words.ends, prepend=0), words.counts
    starts = np.cumsum(lengths + HEADER) - (lengths + HEADER)
    rows = np.empty(len(words.contents) + HEADER * len(starts), np.int32)
    symbols = np.ones(len(rows), bool)
    for place in range(HEADER):
        symbols[starts + place] = False
    rows[symbols] = ids[words.contents]
    rows[starts] = lengths
    rows[starts + 1] = (counts & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    rows[starts + 2] = counts >> 32
    return rows, starts


def _work(rows: NDArray[np.int32], starts: NDArray[np.int64], symbols: int, tokens: Sequence[bytes], size: int) -> Work:
    """What the kernels work on, before the first step, with room for ``size`` tokens."""
    most = max(size, len(tokens))
    first_pairs = min(FIRST_PAIRS, 1 << symbols.bit_length())  # a word of n bytes has fewer than n pairs
    place: Any = np.int32 if len(rows) < 1 << 31 else np.int64
    work = Work(
        words=rows,
        starts=starts,
        places=np.empty(3 * symbols, place),
        known=empty_table(2 * most),
        ends=np.zeros(most, np.int64),
        contents=np.zeros(16 * most, np.uint8),
        table=np.full((2 * first_pairs, 2), -1, np.int64),
        queue=np.empty((first_pairs, 4), np.int64),
        merges=np.empty((most, 3), np.int32),
        changes=np.zeros((2, most, 4), np.int64),
        touched=np.empty((2, most), np.int32),
        seen=np.empty((2, len(rows), 2), place),
        sizes=np.zeros(4, np.int64),
        state=np.array([len(tokens), 0, 0, 0, 0], np.int64),
    )
    work.changes[:, :, 3] = -2
    joined = np.frombuffer(b"".join(tokens), np.uint8)
    work = work._replace(contents=np.concatenate([joined, work.contents]))
    np.cumsum([len(token) for token in tokens], out=work.ends[: len(tokens)])
    enter(work.known, work.ends, work.contents, len(tokens))
    return work


def _with_room(work: Work) -> Work:
    """The same with twice the room for what grows."""
    table = np.full((2 * len(work.table), 2), -1, np.int64)
    move_pairs(work.table, table)
    return work._replace(
        table=table, **{name: _doubled(getattr(work, name)) for name in ("queue", "merges", "contents")}
    )


def _doubled(array: NDArray[Any]) -> NDArray[Any]:
    result = np.empty((2 * len(array), *array.shape[1:]), array.dtype)
    result[: len(array)] = array
    return result
