"""How repetitive a text is: the most frequent 2 to 4-grams, and repeated 5 to 10-grams.

Definitions of Gopher (appendix A1) as datatrove 0.10 counts them: the top n-gram counts its characters with one blank
between the words, as often as it occurs (the first of equally frequent ones); a repeated 5 to 10-gram counts its
characters without blanks each time it comes again, and the scan goes on after it.

An n-gram can be frequent only where its (n-1)-grams are.  Repeated n-grams are compared as joined text, as the original
does: "1 11" and "11 1" are the same there.
"""

import numba
import numpy as np

from pipeline.kernels.jit import bare, inlined
from pipeline.kernels.lines import table_size
from pipeline.kernels.spans import BASE, MIX

POWERS = 1024


@numba.njit(cache=True, nogil=True)
def base_powers():  # type: ignore[no-untyped-def]
    """``BASE`` to the power of 0, 1, ... modulo 2**64."""
    powers = np.empty(POWERS, np.uint64)
    powers[0] = np.uint64(1)
    for k in range(1, POWERS):
        powers[k] = powers[k - 1] * BASE
    return powers


@inlined
def _power(exponent, powers):  # type: ignore[no-untyped-def]
    if exponent < POWERS:
        return powers[exponent]
    result, factor = np.uint64(1), BASE
    while exponent:
        if exponent & 1:
            result *= factor
        factor *= factor
        exponent >>= 1
    return result


@numba.njit(cache=True, nogil=True)
def top_ngrams(tokens, count, char_ends):  # type: ignore[no-untyped-def]
    """Characters of the most frequent 2, 3 and 4-gram times its number of occurrences; 0 where the text is shorter.

    Args:
        tokens: ``Tokens`` of the document.
        count: Their number.
        char_ends: Characters of the first k tokens, shape (count + 1,).
    """
    result = np.zeros(3, np.int64)
    size = table_size(count)
    keys, numbers = np.zeros(size, np.uint64), np.zeros(size, np.int32)
    slots, candidates = np.empty(count, np.int32), np.ones(count, np.bool_)
    _top_ngrams(tokens.hash, tokens.hash[:count].copy(), count, char_ends, keys, numbers, slots, candidates, result)
    return result


@bare
def _top_ngrams(words, hashes, count, char_ends, keys, numbers, slots, candidates, result):  # type: ignore[no-untyped-def]
    for n in range(2, 5):
        if count < n:
            break
        if n > 2:
            keys[:] = 0
            numbers[:] = 0
        most = 1
        for i in range(count - n + 1):
            hashes[i] = (hashes[i] ^ (hashes[i] >> np.uint64(29))) * MIX + words[i + n - 1]
            slots[i] = -1
            if not candidates[i] or not candidates[i + 1]:
                continue
            slot = _slot(keys, hashes[i])
            numbers[slot] += 1
            slots[i] = slot
            most = max(most, numbers[slot])
        best = 0
        if most > 1:
            for i in range(count - n + 1):
                if slots[i] >= 0 and numbers[slots[i]] == most:
                    best = i
                    break
        result[n - 2] = (char_ends[best + n] - char_ends[best] + n - 1) * most
        if n < 4:
            for i in range(count):
                candidates[i] = i <= count - n and slots[i] >= 0 and numbers[slots[i]] > 1


@inlined
def _slot(keys, value):  # type: ignore[no-untyped-def]
    """The slot of ``value`` in an open-addressing table, taken for it where it is new."""
    mask = len(keys) - 1
    key = value if value != 0 else np.uint64(1)
    slot = np.int64((key * MIX) >> np.uint64(32)) & mask
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) & mask
    keys[slot] = key
    return slot


@numba.njit(cache=True, nogil=True)
def repeated_ngrams(tokens, count, char_ends, powers):  # type: ignore[no-untyped-def]
    """Characters of repeated 5, 6, ... 10-grams (arguments as ``top_ngrams``)."""
    result = np.zeros(6, np.int64)
    if count >= 6:
        ends, bytes_before = np.empty(count + 1, np.uint64), np.empty(count + 1, np.int64)
        keys = np.empty(2 * table_size(count), np.uint64)
        _repeated_ngrams(tokens.size, tokens.hash, count, char_ends, powers, ends, bytes_before, keys, result)
    return result


@bare
def _repeated_ngrams(sizes, hashes, count, char_ends, powers, ends, bytes_before, keys, result):  # type: ignore[no-untyped-def]
    ends[0], bytes_before[0] = 0, 0
    for i in range(count):
        ends[i + 1] = ends[i] * _power(sizes[i], powers) + hashes[i]  # hash of the first k tokens joined
        bytes_before[i + 1] = bytes_before[i] + sizes[i]
    mask = len(keys) - 1
    for n in range(5, 11):
        keys[:] = 0
        i = 0
        repeated = 0
        while i < count - n + 1:
            value = ends[i + n] - ends[i] * _power(bytes_before[i + n] - bytes_before[i], powers)
            key = value if value != 0 else np.uint64(1)
            slot = np.int64((key * MIX) >> np.uint64(32)) & mask
            while keys[slot] != 0 and keys[slot] != key:
                slot = (slot + 1) & mask
            if keys[slot] == 0:
                keys[slot] = key
                i += 1
            else:
                repeated += char_ends[i + n] - char_ends[i]
                i += n
        result[n - 5] = repeated
