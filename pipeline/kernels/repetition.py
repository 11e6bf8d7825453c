"""How repetitive a text is: the most frequent 2 to 4-grams, and repeated 5 to 10-grams.

Definitions of Gopher (appendix A1) as datatrove 0.10 counts them: the top n-gram counts its characters with one blank
between the words, as often as it occurs (the first of equally frequent ones); a repeated 5 to 10-gram counts its
characters without blanks each time it comes again, and the scan goes on after it.

An n-gram can be frequent only where its (n-1)-grams are.  Repeated n-grams are compared as joined text, as the original
does: "1 11" and "11 1" are the same there.

A long text takes little more memory than its tokens: their arrays are written over, and its n-grams are looked at in
parts, by their hash, each part with a table of its own.
"""

import numba
import numpy as np

from pipeline.kernels.jit import bare, inlined
from pipeline.kernels.lines import table_size
from pipeline.kernels.spans import BASE, MIX

POWERS = 1024
PART_TOKENS, MOST_PARTS = 1 << 18, 16  # a longer text is looked at in parts, at most so many of them


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


@bare
def parts_of(count):  # type: ignore[no-untyped-def]
    """In how many parts the n-grams of so many tokens are looked at: a power of two."""
    parts = 1
    while parts < MOST_PARTS and count > parts * PART_TOKENS:
        parts *= 2
    return parts


@inlined
def _is_of_part(value, part, parts):  # type: ignore[no-untyped-def]
    """Whether an n-gram belongs to a part; ``_slot`` looks at other bits of its hash."""
    return parts == 1 or np.int64((value * MIX) >> np.uint64(60)) & (parts - 1) == part


@inlined
def _slot(keys, key):  # type: ignore[no-untyped-def]
    """The slot of a key other than 0 in an open-addressing table, or the free one where it belongs."""
    mask = len(keys) - 1
    slot = np.int64((key * MIX) >> np.uint64(32)) & mask
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@numba.njit(cache=True, nogil=True)
def top_ngrams(tokens, count, parts):  # type: ignore[no-untyped-def]
    """Characters of the most frequent 2, 3 and 4-gram times its number of occurrences; 0 where the text is shorter.

    Args:
        tokens: ``Tokens`` of the document; ``chars[k]`` is the characters of the first k of them.  ``start`` and
            ``flags`` are written over.
        count: Their number.
        parts: In how many parts the n-grams are looked at (``parts_of``); says how, and not what is found.
    """
    result = np.zeros(3, np.int64)
    size = table_size(-(-count // parts))
    while True:
        keys, numbers = np.zeros(size, np.uint64), np.zeros(size, np.int32)
        if _top_ngrams(tokens.hash, tokens.chars, count, parts, keys, numbers, tokens.start, tokens.flags, result):
            return result
        size *= 2  # a part has more n-grams than its share


@bare
def _top_ngrams(words, chars, count, parts, keys, numbers, slots, marks, result):  # type: ignore[no-untyped-def]
    """False where the table is too small; ``marks`` becomes the largest n whose n-gram there is repeated."""
    room = len(keys) - len(keys) // 4
    marks[:count] = 1
    for n in range(2, 5):
        if count < n:
            break
        most, best = 1, 0
        for part in range(parts):
            if n > 2 or part:
                keys[:] = 0
                numbers[:] = 0
            filled, highest = 0, 1
            for i in range(count - n + 1):
                slots[i] = -1
                if marks[i] < n - 1 or marks[i + 1] < n - 1:
                    continue
                value = words[i]
                for k in range(i + 1, i + n):
                    value = (value ^ (value >> np.uint64(29))) * MIX + words[k]
                if not _is_of_part(value, part, parts):
                    continue
                key = value if value != 0 else np.uint64(1)
                slot = _slot(keys, key)
                if keys[slot] == 0:
                    filled += 1
                    if filled > room:
                        return False
                    keys[slot] = key
                numbers[slot] += 1
                slots[i] = slot
                highest = max(highest, numbers[slot])
            if highest == 1:
                continue
            for i in range(count - n + 1):
                if slots[i] < 0 or numbers[slots[i]] == 1:
                    continue
                marks[i] = n
                number = numbers[slots[i]]
                if number > most or (number == most and i < best):
                    most, best = number, i
        result[n - 2] = (np.int64(chars[best + n]) - chars[best] + n - 1) * most
    return True


@numba.njit(cache=True, nogil=True)
def repeated_ngrams(tokens, count, powers, parts):  # type: ignore[no-untyped-def]
    """Characters of repeated 5, 6, ... 10-grams (arguments as ``top_ngrams``); writes over all that is left."""
    result = np.zeros(6, np.int64)
    if count < 6:
        return result
    _sum_up(tokens.hash, tokens.size, count, powers)
    if parts == 1:
        keys = np.empty(2 * table_size(count), np.uint64)
        for n in range(5, 11):
            result[n - 5] = _scan(tokens.hash, tokens.size, tokens.chars, count, n, powers, keys, tokens.flags, False)
        return result
    size = table_size(count // parts)
    for n in range(5, 11):
        repeated = -1
        while repeated < 0:
            keys, again = np.empty(size, np.uint64), np.empty(size, np.bool_)
            repeated = _mark_repeated(
                tokens.hash, tokens.size, count, n, powers, parts, keys, again, tokens.start, tokens.flags
            )
            size *= 2 if repeated < 0 else 1
        if repeated > 0:
            keys = np.empty(table_size(repeated), np.uint64)
            result[n - 5] = _scan(tokens.hash, tokens.size, tokens.chars, count, n, powers, keys, tokens.flags, True)
    return result


@bare
def _sum_up(hashes, sizes, count, powers):  # type: ignore[no-untyped-def]
    """Hashes and sizes of tokens become those of the first 0, 1, ... ``count`` of them, joined."""
    following, joined = hashes[0], np.uint64(0)
    size, total = np.int64(sizes[0]), np.int64(0)
    hashes[0], sizes[0] = 0, 0
    for i in range(1, count + 1):
        joined = joined * _power(size, powers) + following
        total += size
        following, size = hashes[i], np.int64(sizes[i])  # there is room for one more token
        hashes[i], sizes[i] = joined, total


@inlined
def _key(ends, sizes, i, n, powers):  # type: ignore[no-untyped-def]
    """The hash of n tokens from the i-th on, joined; never 0."""
    value = ends[i + n] - ends[i] * _power(np.int64(sizes[i + n]) - sizes[i], powers)
    return value if value != 0 else np.uint64(1)


@bare
def _mark_repeated(ends, sizes, count, n, powers, parts, keys, again, slots, marks):  # type: ignore[no-untyped-def]
    """Marks where an n-gram begins that occurs twice; how many such there are, -1 where the table is too small."""
    room = len(keys) - len(keys) // 4
    marks[:count] = 0
    repeated = 0
    for part in range(parts):
        keys[:] = 0
        again[:] = False
        filled = 0
        for i in range(count - n + 1):
            slots[i] = -1
            key = _key(ends, sizes, i, n, powers)
            if not _is_of_part(key, part, parts):
                continue
            slot = _slot(keys, key)
            slots[i] = slot
            if keys[slot] == 0:
                filled += 1
                if filled > room:
                    return -1
                keys[slot] = key
            elif not again[slot]:
                again[slot] = True
                repeated += 1
        for i in range(count - n + 1):
            if slots[i] >= 0 and again[slots[i]]:
                marks[i] = 1
    return repeated


@bare
def _scan(ends, sizes, chars, count, n, powers, keys, marks, marked):  # type: ignore[no-untyped-def]
    """Characters of repeated n-grams; where ``marked``, those are passed over that occur once."""
    keys[:] = 0
    found = 0
    i = 0
    while i < count - n + 1:
        if marked and not marks[i]:
            i += 1
            continue
        key = _key(ends, sizes, i, n, powers)
        slot = _slot(keys, key)
        if keys[slot] == 0:
            keys[slot] = key
            i += 1
        else:
            found += np.int64(chars[i + n]) - chars[i]
            i += n
    return found
