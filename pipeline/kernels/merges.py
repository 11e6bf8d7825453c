"""Learns the merges of a BPE vocabulary from counted words: those of ``tokenizers``' trainer, pair by pair.

Each step takes the pair of neighbours with the highest count (of equal ones that with the smallest ids), joins it in
every word that has it, and counts the pairs that this makes and unmakes.  What that trainer does besides is done here
too, since the merges depend on it:

- A pair waits in the queue with the words in which it was seen when it was put there.  A pair that a later merge makes
  in further words is put there again, with those words alone, and so may be merged twice.
- Two merges may make the same token ("ab" + "c", "a" + "bc"): the second gives it no new id.
- A count in the queue may be too high by now; it is corrected when the pair comes out, and the pair put back.

A word is a row of numbers in one array: how many symbols it has, how often it comes (low and high half), its symbols.
All pairs whose counts a step changes have one of three symbols on one side (the two that are joined, and the new one):
changes are added up by the symbol on the other side, and looked up once for each.
"""

import numba
import numpy as np

from pipeline.kernels.byte_strings import NUMBER, add, find
from pipeline.kernels.jit import inlined

HEADER = 3  # numbers of a word before its symbols
_MIX = np.uint64(0x9E3779B97F4A7C15)


@inlined
def word_count(words, start):  # type: ignore[no-untyped-def]
    """How often the word that starts at ``start`` comes."""
    return np.int64(words[start + 2]) << 32 | (np.int64(words[start + 1]) & 0xFFFFFFFF)


@inlined
def before(queue, a, b):  # type: ignore[no-untyped-def]
    """Whether entry ``a`` of the queue comes out before entry ``b``: rows of count, pair, first and last place."""
    return queue[a, 0] > queue[b, 0] or (queue[a, 0] == queue[b, 0] and queue[a, 1] < queue[b, 1])


@inlined
def swap(queue, a, b):  # type: ignore[no-untyped-def]
    """Exchanges two entries."""
    for k in range(4):
        queue[a, k], queue[b, k] = queue[b, k], queue[a, k]


@numba.njit(nogil=True)
def push(queue, size, count, pair, first, end):  # type: ignore[no-untyped-def]
    """Puts an entry into a binary heap of ``size`` entries; there must be room."""
    at = size
    queue[at, 0], queue[at, 1], queue[at, 2], queue[at, 3] = count, pair, first, end
    while at and before(queue, at, (at - 1) >> 1):
        swap(queue, at, (at - 1) >> 1)
        at = (at - 1) >> 1


@numba.njit(nogil=True)
def sink(queue, size):  # type: ignore[no-untyped-def]
    """Moves the first entry of a heap of ``size`` entries to its place."""
    at = 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and before(queue, child + 1, child):
            child += 1
        if not before(queue, child, at):
            break
        swap(queue, at, child)
        at = child


@numba.njit(nogil=True)
def pair_slot(table, pair):  # type: ignore[no-untyped-def]
    """The row of a table of (pair, count) that has the pair, or that is free for it."""
    mask = np.uint64(len(table) - 1)
    mixed = np.uint64(pair) * _MIX
    slot = (mixed ^ (mixed >> np.uint64(32))) & mask
    while table[slot, 0] != pair and table[slot, 0] >= 0:
        slot = (slot + np.uint64(1)) & mask
    return slot


@numba.njit(nogil=True)
def larger(table):  # type: ignore[no-untyped-def]
    """The same table with four times the room."""
    result = np.full((4 * len(table), 2), -1, np.int64)
    for row in range(len(table)):
        if table[row, 0] >= 0:
            slot = pair_slot(result, table[row, 0])
            result[slot, 0], result[slot, 1] = table[row, 0], table[row, 1]
    return result


@inlined
def with_room(rows, room):  # type: ignore[no-untyped-def]
    """The rows, or an array of twice as many or more that begins with them, so that there is room for ``room``."""
    if room <= len(rows):
        return rows
    result = np.empty((max(room, 2 * len(rows)), rows.shape[1]), rows.dtype)
    result[: len(rows)] = rows
    return result


@numba.njit(nogil=True)
def first_pairs(words, starts, table, queue, places):  # type: ignore[no-untyped-def]
    """Counts the pairs of neighbours in words of single bytes, and queues them.

    Args:
        words: As in ``learn``.
        starts: As in ``learn``.
        table: Of (pair, count), with room for 65,536 pairs; filled here.
        queue: The heap, with as much room.
        places: Out: the words of each pair, by where they start.

    Returns:
        Entries in the queue, and places that are taken.
    """
    holders, last, order = (
        np.zeros(len(table), np.int64),
        np.full(len(table), -1, np.int64),
        np.empty(1 << 16, np.int64),
    )
    found = 0
    for word in range(len(starts)):
        start = starts[word]
        count = word_count(words, start)
        for i in range(start + HEADER, start + HEADER - 1 + words[start]):
            pair = np.int64(words[i]) << 32 | words[i + 1]
            slot = pair_slot(table, pair)
            if table[slot, 0] < 0:
                table[slot, 0], table[slot, 1] = pair, 0
                order[found] = slot
                found += 1
            table[slot, 1] += count
            if last[slot] != start:
                last[slot] = start
                holders[slot] += 1
    taken = 0
    for n in range(found):
        slot = order[n]
        push(queue, n, table[slot, 1], table[slot, 0], taken, taken + holders[slot])
        taken += holders[slot]
        holders[slot], last[slot] = taken - holders[slot], -1
    for word in range(len(starts)):
        start = starts[word]
        for i in range(start + HEADER, start + HEADER - 1 + words[start]):
            slot = pair_slot(table, np.int64(words[i]) << 32 | words[i + 1])
            if last[slot] != start:
                last[slot] = start
                places[holders[slot]] = start
                holders[slot] += 1
    return found, taken


# what a step adds up for each symbol on one side of the pairs that change
MADE, UNMADE, HOLDERS, LAST = range(4)


@inlined
def note(changes, touched, sizes, side, symbol, column, count):  # type: ignore[no-untyped-def]
    """Adds to what becomes of the pairs with ``symbol`` on one side (0: left of the pair that is joined, 1: right)."""
    if changes[side, symbol, LAST] == -2:
        changes[side, symbol, LAST] = -1
        touched[side, sizes[side]] = symbol
        sizes[side] += 1
    changes[side, symbol, column] += count


@inlined
def note_made(changes, touched, sizes, seen, side, symbol, count, start):  # type: ignore[no-untyped-def]
    """The same for a pair that is made, which also has to be found in the word that starts at ``start``."""
    note(changes, touched, sizes, side, symbol, MADE, count)
    if changes[side, symbol, LAST] != start:
        changes[side, symbol, LAST] = start
        changes[side, symbol, HOLDERS] += 1
        at = sizes[2 + side]
        seen[side, at, 0], seen[side, at, 1] = symbol, start
        sizes[2 + side] += 1


@numba.njit(nogil=True)
def join(words, start, left, right, new, changes, touched, sizes, seen):  # type: ignore[no-untyped-def]
    """Joins a pair wherever the word at ``start`` has it, from the left, and notes what becomes of its neighbours."""
    end, count = start + HEADER + words[start], word_count(words, start)
    i = out = start + HEADER
    while i < end:
        if words[i] != left or i + 1 >= end or words[i + 1] != right:
            words[out] = words[i]
            out += 1
            i += 1
            continue
        if out > start + HEADER:
            note(changes, touched, sizes, 0, words[out - 1], UNMADE, count)
            note_made(changes, touched, sizes, seen, 0, words[out - 1], count, start)
        words[out] = new
        out += 1
        i += 2
        if i < end:
            note(changes, touched, sizes, 1, words[i], UNMADE, count)
            # one of two new tokens is counted on one side, whichever came first
            note_made(changes, touched, sizes, seen, 0 if words[i] == new else 1, words[i], count, start)
    words[start] = out - start - HEADER


@inlined
def add_to(table, used, pair, count):  # type: ignore[no-untyped-def]
    """Adds to a pair's count; returns how many pairs the table has."""
    slot = pair_slot(table, pair)
    if table[slot, 0] < 0:
        table[slot, 0], table[slot, 1] = pair, 0
        used += 1
    table[slot, 1] += count
    return used


@numba.njit(nogil=True)
def count_changes(table, used, left, right, new, changes, touched, sizes):  # type: ignore[no-untyped-def]
    """Takes the changes of a step over into the counts; returns how many pairs the table has."""
    for n in range(sizes[0]):
        symbol = np.int64(touched[0, n])
        if changes[0, symbol, UNMADE]:
            used = add_to(table, used, symbol << 32 | left, -changes[0, symbol, UNMADE])
        if changes[0, symbol, HOLDERS]:
            used = add_to(table, used, symbol << 32 | new, changes[0, symbol, MADE])
    for n in range(sizes[1]):
        symbol = np.int64(touched[1, n])
        if changes[1, symbol, UNMADE]:
            used = add_to(table, used, np.int64(right) << 32 | symbol, -changes[1, symbol, UNMADE])
        if changes[1, symbol, HOLDERS]:
            used = add_to(table, used, np.int64(new) << 32 | symbol, changes[1, symbol, MADE])
    return used


@numba.njit(nogil=True)
def queue_made(table, queue, queued, places, taken, new, changes, touched, sizes, seen):  # type: ignore[no-untyped-def]
    """Queues the pairs that a step has made, with their words, and forgets the step.

    Returns:
        Entries in the queue, and places that are taken.
    """
    for side in range(2):
        for n in range(sizes[side]):
            symbol = np.int64(touched[side, n])
            holders = changes[side, symbol, HOLDERS]
            changes[side, symbol, HOLDERS] = taken
            if holders:
                pair = symbol << 32 | new if side == 0 else np.int64(new) << 32 | symbol
                count = table[pair_slot(table, pair), 1]
                if count > 0:
                    push(queue, queued, count, pair, taken, taken + holders)
                    queued += 1
                taken += holders
        for n in range(sizes[2 + side]):
            symbol = seen[side, n, 0]
            places[changes[side, symbol, HOLDERS]] = seen[side, n, 1]
            changes[side, symbol, HOLDERS] += 1
        for n in range(sizes[side]):
            symbol = touched[side, n]
            changes[side, symbol, MADE] = changes[side, symbol, UNMADE] = changes[side, symbol, HOLDERS] = 0
            changes[side, symbol, LAST] = -2
    sizes[:] = 0
    return queued, taken


@numba.njit(nogil=True)
def joined(left, right, total, known, ends, contents):  # type: ignore[no-untyped-def]
    """The token that two make: one of ``total``, or a new one, with that number; and the bytes of all."""
    filled = stop = ends[total - 1]
    for part in (left, right):
        first = ends[part - 1] if part else 0
        size = ends[part] - first
        if stop + size > len(contents):
            more = np.empty(2 * (stop + size), np.uint8)
            more[:stop] = contents[:stop]
            contents = more
        contents[stop : stop + size] = contents[first : first + size]
        stop += size
    slot, key = find(contents, filled, stop, known, ends, contents)
    if known[slot, NUMBER] < 0:
        add(contents, filled, stop, slot, key, total, known, ends, contents)
    return np.int32(known[slot, NUMBER]), contents


@numba.njit(cache=True, nogil=True)
def learn(words, starts, places, known, ends, contents, total, size, least):  # type: ignore[no-untyped-def]
    """Learns merges.

    Args:
        words: int32: see above; joined in place.
        starts: int64 (W,): where each word starts.
        places: Scratch of the type of ``starts`` or a smaller one, with three times the room of all symbols.
        known: The tokens that there are, as a set (``byte_strings``): no more than half of it is filled by ``size``.
        ends: Of the set, int64 (size or more,).
        contents: Of the set; no bytes for a token that no merge can make.
        total: Tokens that there are.
        size: Tokens that there may be.
        least: A pair that comes less often is not merged.

    Returns:
        Merges, int32 (M, 3): left, right and resulting token, in order, where a pair may come twice; the bytes of all
        tokens, and how many there are.
    """
    table, queue = np.full((1 << 18, 2), -1, np.int64), np.empty((1 << 17, 4), np.int64)
    queued, taken = first_pairs(words, starts, table, queue, places)
    used, merged = queued, 0
    merges = np.empty((size, 3), np.int32)
    changes = np.zeros((2, len(ends), 4), np.int64)
    changes[:, :, LAST] = -2
    touched, sizes = np.empty((2, len(ends)), np.int32), np.zeros(4, np.int64)
    seen = np.empty((2, len(words) + 1, 2), places.dtype)
    while total < size and queued:
        count, pair = queue[0, 0], queue[0, 1]
        now = table[pair_slot(table, pair), 1]
        if now != count:
            queue[0, 0] = now
            sink(queue, queued)
            continue
        if count < max(least, 1):
            break
        first, end = queue[0, 2], queue[0, 3]
        queued -= 1
        for k in range(4):
            queue[0, k] = queue[queued, k]
        sink(queue, queued)
        left, right = np.int32(pair >> 32), np.int32(pair & 0xFFFFFFFF)
        new, contents = joined(left, right, total, known, ends, contents)
        total = max(total, new + 1)
        merges = with_room(merges, merged + 1)
        merges[merged, 0], merges[merged, 1], merges[merged, 2] = left, right, new
        merged += 1
        for n in range(first, end):
            join(words, np.int64(places[n]), left, right, new, changes, touched, sizes, seen)
        while (used + 2 * (sizes[0] + sizes[1])) * 2 > len(table):
            table = larger(table)
        used = count_changes(table, used, left, right, new, changes, touched, sizes)
        queue = with_room(queue, queued + sizes[0] + sizes[1])
        queued, taken = queue_made(table, queue, queued, places, taken, new, changes, touched, sizes, seen)
    return merges[:merged], contents, total
