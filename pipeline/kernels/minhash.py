"""MinHash signatures and 64-bit shingle sets over an Arrow string column's buffers.

The data path, per text: words -> word hashes -> rolling shingle hashes (64 bits) -> their upper halves, pre-mixed ->
minimum over ``a * h + b mod 2^32`` for each permutation.  Bit-identical to datasketch 2's ``affine32`` scheme
(tests/parity/test_datasketch.py).  A text goes through in pieces of ``PIECE`` words, so memory does not grow with it.

Shape letters: N texts, P permutations.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.kernels import hash_constants
from pipeline.kernels.words import I64, I64_OUT, TABLES, U8, U64_OUT, scan_words

SHINGLE_MULTIPLIER = np.uint64(hash_constants.SHINGLE_MULTIPLIER)
MIX_1, MIX_2 = np.uint64(hash_constants.MIX_1), np.uint64(hash_constants.MIX_2)
SHIFT_33, SHIFT_32 = np.uint64(33), np.uint64(32)
EMPTY = np.uint32(0xFFFFFFFF)  # the signature value of a text without shingles
PIECE = 2048
LANES = 8  # shingles taken together, so that a permutation is loaded once for all of them
U32 = numba.types.Array(numba.uint32, 1, "C", readonly=True)
U32_OUT_2D = numba.types.Array(numba.uint32, 2, "C")


def permutations(count: int, seed: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The ``a`` (odd) and ``b`` of datasketch's affine32 scheme for this seed, shape (P,) each."""
    generator = np.random.RandomState(seed)
    a = generator.randint(0, 1 << 31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    b = generator.randint(0, 1 << 32, count, dtype=np.uint32)
    return a, b


@numba.njit(nogil=True, inline="always")
def mix64(value):  # type: ignore[no-untyped-def]
    """MurmurHash3's 64-bit finaliser."""
    value ^= value >> SHIFT_33
    value *= MIX_1
    value ^= value >> SHIFT_33
    value *= MIX_2
    return value ^ (value >> SHIFT_33)


@numba.njit(nogil=True, inline="always")
def mix32(value):  # type: ignore[no-untyped-def]
    """MurmurHash3's 32-bit finaliser, datasketch's pre-mix; numba widens a product of uint32, hence the casts."""
    value = np.uint32(value ^ (value >> np.uint32(16)))
    value = np.uint32(value * np.uint32(0x85EBCA6B))
    value = np.uint32(value ^ (value >> np.uint32(13)))
    value = np.uint32(value * np.uint32(0xC2B2AE35))
    return np.uint32(value ^ (value >> np.uint32(16)))


@numba.njit(nogil=True)
def roll(words, count, ngram, top, shingles):  # type: ignore[no-untyped-def]
    """Shingle hashes of ``count`` word hashes; ``top`` is SHINGLE_MULTIPLIER ** ngram.  Returns how many."""
    total = np.uint64(0)
    first = min(ngram, count)
    for word in range(first):
        total = total * SHINGLE_MULTIPLIER + words[word]
    shingles[0] = total
    made = 1
    for word in range(ngram, count):
        total = total * SHINGLE_MULTIPLIER + (words[word] - words[word - ngram] * top)
        shingles[made] = total
        made += 1
    for shingle in range(made):
        shingles[shingle] = mix64(shingles[shingle])
    return made


@numba.njit(nogil=True)
def update(signature, shingles, count, lanes, a, b):  # type: ignore[no-untyped-def]
    """Takes ``count`` shingles into a signature."""
    for start in range(0, count, LANES):
        for lane in range(LANES):  # past the end: the last shingle again, which changes nothing
            lanes[lane] = mix32(np.uint32(shingles[min(start + lane, count - 1)] >> SHIFT_32))
        h0, h1, h2, h3, h4, h5, h6, h7 = (
            lanes[0], lanes[1], lanes[2], lanes[3], lanes[4], lanes[5], lanes[6], lanes[7],
        )  # fmt: skip
        for p in range(len(a)):
            a_p, b_p = a[p], b[p]
            low = min(np.uint32(a_p * h0 + b_p), np.uint32(a_p * h1 + b_p))
            low = min(low, min(np.uint32(a_p * h2 + b_p), np.uint32(a_p * h3 + b_p)))
            low = min(low, min(np.uint32(a_p * h4 + b_p), np.uint32(a_p * h5 + b_p)))
            low = min(low, min(np.uint32(a_p * h6 + b_p), np.uint32(a_p * h7 + b_p)))
            signature[p] = min(signature[p], low)


@numba.njit(nogil=True)
def distinct(shingles, start, end, table):  # type: ignore[no-untyped-def]
    """Moves the distinct values of ``shingles[start:end]`` to its front; returns where they end.

    ``table`` is scratch of a power of two, at least twice ``end - start``.  Zero marks a free place, so the value zero
    is remembered apart.
    """
    size = 64
    while size < 2 * (end - start):
        size *= 2
    mask = np.uint64(size - 1)
    table[:size] = np.uint64(0)
    seen_zero = False
    kept = start
    for index in range(start, end):
        value = shingles[index]
        if value == np.uint64(0):
            new = not seen_zero
            seen_zero = True
        else:
            place = value & mask
            while table[place] != np.uint64(0) and table[place] != value:
                place = (place + np.uint64(1)) & mask
            new = table[place] == np.uint64(0)
            table[place] = value
        if new:
            shingles[kept] = value
            kept += 1
    return kept


@numba.njit(nogil=True)
def distinct_sorted(shingles, start, end):  # type: ignore[no-untyped-def]
    """Sorts ``shingles[start:end]`` in place and moves the distinct values to its front; returns where they end."""
    part = shingles[start:end]
    part.sort()
    kept = start
    for index in range(start, end):
        if index == start or shingles[index] != shingles[kept - 1]:
            shingles[kept] = shingles[index]
            kept += 1
    return kept


@numba.njit(numba.void(U8, I64, numba.int64, TABLES, U32, U32, U32_OUT_2D), cache=True, nogil=True)
def sign(data, offsets, ngram, tables, a, b, signatures_NP):  # type: ignore[no-untyped-def]
    """MinHash signatures of every text into ``signatures_NP``."""
    words = np.empty(PIECE + ngram + 1, np.uint64)
    shingles = np.empty(PIECE + ngram + 1, np.uint64)
    lanes = np.empty(LANES, np.uint32)
    top = SHINGLE_MULTIPLIER ** np.uint64(0)
    for _ in range(ngram):
        top *= SHINGLE_MULTIPLIER
    for text in range(len(offsets) - 1):
        signature = signatures_NP[text]
        signature[:] = EMPTY
        position, end = offsets[text], offsets[text + 1]
        carried, first = 0, True
        while position < end:
            position, count = scan_words(data, position, end, tables, words, carried, PIECE + ngram)
            done = position >= end
            # a short text is one shingle, but only as a whole; later pieces always begin with ngram - 1 old words
            if count >= ngram or (first and done and count > 0):
                made = roll(words, count, ngram, top, shingles)
                update(signature, shingles, made, lanes, a, b)
                carried = min(ngram - 1, count)
                for word in range(carried):
                    words[word] = words[count - carried + word]
                first = False
            else:
                carried = count


@numba.njit(
    numba.int64(U8, I64, numba.int64, TABLES, U32, U32, U32_OUT_2D, U64_OUT, I64_OUT, U64_OUT), cache=True, nogil=True
)
def sign_and_hash(  # type: ignore[no-untyped-def]
    data, offsets, ngram, tables, a, b, signatures_NP, hashes, hash_offsets, scratch
):
    """Signatures as ``sign``, and each text's set of distinct 64-bit shingle hashes, in no particular order.

    Args:
        data: UTF-8 bytes of all texts.
        offsets: Shape (N + 1,).
        ngram: Words in a shingle.
        tables: From ``word_tables()``.
        a: Multipliers, shape (P,); P = 0 where no signatures are wanted.
        b: Addends, shape (P,).
        signatures_NP: Out, shape (N, P).
        hashes: Out; (bytes of text) // 2 + N + 2 values are always enough.
        hash_offsets: Out, shape (N + 1,): where each text's set starts in ``hashes``.
        scratch: At least 4 * ``HASHED`` values: the table by which repeats are found; longer texts are sorted instead.

    Returns:
        Hashes in all.
    """
    words = np.empty(PIECE + ngram + 1, np.uint64)
    lanes = np.empty(LANES, np.uint32)
    top = SHINGLE_MULTIPLIER ** np.uint64(0)
    for _ in range(ngram):
        top *= SHINGLE_MULTIPLIER
    filled = 0
    hash_offsets[0] = 0
    for text in range(len(offsets) - 1):
        start = filled
        position, end = offsets[text], offsets[text + 1]
        carried = 0
        while position < end:
            position, count = scan_words(data, position, end, tables, words, carried, PIECE + ngram)
            if count >= ngram or (filled == start and position >= end and count > 0):
                filled += roll(words, count, ngram, top, hashes[filled:])
                carried = min(ngram - 1, count)
                for word in range(carried):
                    words[word] = words[count - carried + word]
            else:
                carried = count
        if 4 * (filled - start) <= len(scratch):
            filled = distinct(hashes, start, filled, scratch)
        else:
            filled = distinct_sorted(hashes, start, filled)
        hash_offsets[text + 1] = filled
        signature = signatures_NP[text]
        signature[:] = EMPTY
        if len(a) > 0 and filled > start:
            update(signature, hashes[start:filled], filled - start, lanes, a, b)
    return filled
