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

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.byte_strings import NUMBER, add, find
from pipeline.kernels.jit import bare, inlined

HEADER = 3  # numbers of a word before its symbols
TOTAL, MERGED, QUEUED, TAKEN, USED = range(5)  # what ``Work.state`` counts
FIRST_PAIRS = 1 << 16  # of single bytes there are no more
_MADE, _UNMADE, _HOLDERS, _LAST = range(4)  # columns of ``Work.changes``
_MIX = np.uint64(0x9E3779B97F4A7C15)


class Work(NamedTuple):
    """What the kernels work on: W words, T tokens that there may be.

    Attributes:
        words: int32: see above; joined in place.
        starts: int64 (W,): where each word starts.
        places: int32 or int64: the words of all pairs in the queue, by where they start; three times the symbols.
        known: The tokens as a set (``byte_strings``), with room for T.
        ends: Of the set, int64 (T,).
        contents: Of the set; no bytes for a token that no merge can make.
        table: int64 (rows, 2): pair or -1, and its count; a power of two of rows.
        queue: int64 (rows, 4): a heap of count, pair, and first and last of its places.
        merges: Out, int32 (rows, 3): left, right and resulting token, in order; a pair may come twice.
        changes: int64 (2, T, 4): by side and symbol, what a step does to the pairs with it; ``_LAST`` is -2.
        touched: int32 (2, T): the symbols to which it does something.
        seen: (2, words, 2), of the type of ``places``: symbol and word of each pair that it makes.
        sizes: int64 (4,), zeros: how many rows of ``touched`` and of ``seen`` are in use, on either side.
        state: int64 (5,): tokens, merges, entries of the queue, places and rows of the table that are in use.
    """

    words: NDArray[np.int32]
    starts: NDArray[np.int64]
    places: NDArray[Any]
    known: NDArray[np.int64]
    ends: NDArray[np.int64]
    contents: NDArray[np.uint8]
    table: NDArray[np.int64]
    queue: NDArray[np.int64]
    merges: NDArray[np.int32]
    changes: NDArray[np.int64]
    touched: NDArray[np.int32]
    seen: NDArray[Any]
    sizes: NDArray[np.int64]
    state: NDArray[np.int64]


@inlined
def word_count(words, start):  # type: ignore[no-untyped-def]
    """How often the word that starts at ``start`` comes."""
    return np.int64(words[start + 2]) << 32 | (np.int64(words[start + 1]) & 0xFFFFFFFF)


@inlined
def before(queue, a, b):  # type: ignore[no-untyped-def]
    """Whether entry ``a`` of the queue comes out before entry ``b``."""
    return queue[a, 0] > queue[b, 0] or (queue[a, 0] == queue[b, 0] and queue[a, 1] < queue[b, 1])


@inlined
def swap(queue, a, b):  # type: ignore[no-untyped-def]
    """Exchanges two entries."""
    for k in range(4):
        queue[a, k], queue[b, k] = queue[b, k], queue[a, k]


@bare
def push(queue, size, count, pair, first, end):  # type: ignore[no-untyped-def]
    """Puts an entry into a heap of ``size`` entries; there must be room."""
    at = size
    queue[at, 0], queue[at, 1], queue[at, 2], queue[at, 3] = count, pair, first, end
    while at and before(queue, at, (at - 1) >> 1):
        swap(queue, at, (at - 1) >> 1)
        at = (at - 1) >> 1


@bare
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


@inlined
def pair_slot(table, pair):  # type: ignore[no-untyped-def]
    """The row of the table that has the pair, or that is free for it."""
    mask = np.uint64(len(table) - 1)
    mixed = np.uint64(pair) * _MIX
    slot = (mixed ^ (mixed >> np.uint64(32))) & mask
    while table[slot, 0] != pair and table[slot, 0] >= 0:
        slot = (slot + np.uint64(1)) & mask
    return np.int64(slot)


@inlined
def add_to(table, state, pair, count):  # type: ignore[no-untyped-def]
    """Adds to a pair's count; returns its row of the table, in which there must be room."""
    slot = pair_slot(table, pair)
    if table[slot, 0] < 0:
        table[slot, 0], table[slot, 1] = pair, 0
        state[USED] += 1
    table[slot, 1] += count
    return slot


@bare
def move_pairs(table, larger):  # type: ignore[no-untyped-def]
    """Fills a larger table, empty so far, with the rows of one."""
    for row in range(len(table)):
        if table[row, 0] >= 0:
            slot = pair_slot(larger, table[row, 0])
            larger[slot, 0], larger[slot, 1] = table[row, 0], table[row, 1]


@bare
def queue_first(work, holders, last):  # type: ignore[no-untyped-def]
    """Counts the pairs of neighbours in words of single bytes, and queues them with their words.

    Args:
        work: With room for every pair of single bytes in table and queue.
        holders: Scratch, int64, as long as the table.
        last: The same, filled with -1.
    """
    words, table, state = work.words, work.table, work.state
    for start in work.starts:
        count = word_count(words, start)
        for i in range(start + HEADER, start + HEADER - 1 + words[start]):
            slot = add_to(table, state, np.int64(words[i]) << 32 | words[i + 1], count)
            if last[slot] != start:
                last[slot] = start
                holders[slot] += 1
    for slot in range(len(table)):
        if table[slot, 0] >= 0:
            first, end = state[TAKEN], state[TAKEN] + holders[slot]
            push(work.queue, state[QUEUED], table[slot, 1], table[slot, 0], first, end)
            state[QUEUED] += 1
            state[TAKEN] = end
            holders[slot], last[slot] = first, -1
    for start in work.starts:
        for i in range(start + HEADER, start + HEADER - 1 + words[start]):
            slot = pair_slot(table, np.int64(words[i]) << 32 | words[i + 1])
            if last[slot] != start:
                last[slot] = start
                work.places[holders[slot]] = start
                holders[slot] += 1


@inlined
def note(work, side, symbol, column, count):  # type: ignore[no-untyped-def]
    """Adds to what becomes of the pairs with ``symbol`` on one side (0: left of the pair that is joined, 1: right)."""
    changes, sizes = work.changes, work.sizes
    if changes[side, symbol, _LAST] == -2:
        changes[side, symbol, _LAST] = -1
        work.touched[side, sizes[side]] = symbol
        sizes[side] += 1
    changes[side, symbol, column] += count


@inlined
def note_made(work, side, symbol, count, start):  # type: ignore[no-untyped-def]
    """The same for a pair that is made, which also has to be found in the word that starts at ``start``."""
    note(work, side, symbol, _MADE, count)
    changes, seen, sizes = work.changes, work.seen, work.sizes
    if changes[side, symbol, _LAST] != start:
        changes[side, symbol, _LAST] = start
        changes[side, symbol, _HOLDERS] += 1
        at = sizes[2 + side]
        seen[side, at, 0], seen[side, at, 1] = symbol, start
        sizes[2 + side] += 1


@bare
def join(work, start, left, right, new):  # type: ignore[no-untyped-def]
    """Joins a pair wherever the word at ``start`` has it, from the left, and notes what becomes of its neighbours."""
    words = work.words
    end, count = start + HEADER + words[start], word_count(words, start)
    i = out = start + HEADER
    while i < end:
        if words[i] != left or i + 1 >= end or words[i + 1] != right:
            words[out] = words[i]
            out += 1
            i += 1
            continue
        if out > start + HEADER:
            note(work, 0, words[out - 1], _UNMADE, count)
            note_made(work, 0, words[out - 1], count, start)
        words[out] = new
        out += 1
        i += 2
        if i < end:
            note(work, 1, words[i], _UNMADE, count)
            # a pair of two new tokens is counted on one side, whichever of them came first
            note_made(work, 0 if words[i] == new else 1, words[i], count, start)
    words[start] = out - start - HEADER


@inlined
def count_changes(work, side, joined, new):  # type: ignore[no-untyped-def]
    """Takes the changes on one side over into the counts; notes the rows of the pairs that are made."""
    changes = work.changes
    for n in range(work.sizes[side]):
        symbol = np.int64(work.touched[side, n])
        unmade, made = symbol << 32 | joined, symbol << 32 | new
        if side:
            unmade, made = joined << 32 | symbol, new << 32 | symbol
        if changes[side, symbol, _UNMADE]:
            add_to(work.table, work.state, unmade, -changes[side, symbol, _UNMADE])
        if changes[side, symbol, _HOLDERS]:
            count = changes[side, symbol, _MADE]
            changes[side, symbol, _MADE] = add_to(work.table, work.state, made, count)


@inlined
def queue_made(work, side):  # type: ignore[no-untyped-def]
    """Queues the pairs that a step has made on one side, with their words, and forgets its changes."""
    changes, sizes, state, table = work.changes, work.sizes, work.state, work.table
    for n in range(sizes[side]):
        symbol = work.touched[side, n]
        if changes[side, symbol, _HOLDERS]:
            slot = changes[side, symbol, _MADE]
            first, end = state[TAKEN], state[TAKEN] + changes[side, symbol, _HOLDERS]
            if table[slot, 1] > 0:
                push(work.queue, state[QUEUED], table[slot, 1], table[slot, 0], first, end)
                state[QUEUED] += 1
            changes[side, symbol, _HOLDERS] = first
            state[TAKEN] = end
    for n in range(sizes[2 + side]):
        symbol = work.seen[side, n, 0]
        work.places[changes[side, symbol, _HOLDERS]] = work.seen[side, n, 1]
        changes[side, symbol, _HOLDERS] += 1
    for n in range(sizes[side]):
        symbol = work.touched[side, n]
        changes[side, symbol, _MADE] = changes[side, symbol, _UNMADE] = changes[side, symbol, _HOLDERS] = 0
        changes[side, symbol, _LAST] = -2
    sizes[side] = sizes[2 + side] = 0


@inlined
def append(contents, filled, ends, token):  # type: ignore[no-untyped-def]
    """Writes the bytes of a token behind the first ``filled`` ones; returns how many there are then."""
    for at in range(ends[token - 1] if token else 0, ends[token]):
        contents[filled] = contents[at]
        filled += 1
    return filled


@inlined
def joined_token(work, left, right):  # type: ignore[no-untyped-def]
    """The token that two make: one that there is, or a new one."""
    total, ends, contents = work.state[TOTAL], work.ends, work.contents
    filled = ends[total - 1]
    stop = append(contents, append(contents, filled, ends, left), ends, right)
    slot, key = find(contents, filled, stop, work.known, ends, contents)
    if work.known[slot, NUMBER] < 0:
        add(contents, filled, stop, slot, key, total, work.known, ends, contents)
        work.state[TOTAL] += 1
    return work.known[slot, NUMBER]


@inlined
def has_room(work):  # type: ignore[no-untyped-def]
    """Whether table, queue, merges and contents have room for one more step."""
    state = work.state
    touched = 2 * state[TOTAL]  # at most
    table, queue = state[USED] + 2 * touched <= len(work.table) // 2, state[QUEUED] + touched <= len(work.queue)
    longest = 2 * work.ends[state[TOTAL] - 1] + 2  # no token is longer than all of them together
    return table and queue and state[MERGED] < len(work.merges) and longest <= len(work.contents)


@bare
def learn(work, size, least):  # type: ignore[no-untyped-def]
    """Learns merges, until there are ``size`` tokens or no pair comes ``least`` times; or until there is no room.

    Returns:
        Whether it is finished; else it is to be called again with more room.
    """
    queue, state = work.queue, work.state
    while state[TOTAL] < size and state[QUEUED]:
        if not has_room(work):
            return False
        count, pair, first, end = queue[0, 0], queue[0, 1], queue[0, 2], queue[0, 3]
        now = work.table[pair_slot(work.table, pair), 1]
        if now != count:
            queue[0, 0] = now
            sink(queue, state[QUEUED])
            continue
        if count < max(least, 1):
            break
        state[QUEUED] -= 1
        for k in range(4):
            queue[0, k] = queue[state[QUEUED], k]
        sink(queue, state[QUEUED])
        left, right = pair >> 32, pair & 0xFFFFFFFF
        new = joined_token(work, left, right)
        row = state[MERGED]
        work.merges[row, 0], work.merges[row, 1], work.merges[row, 2] = left, right, new
        state[MERGED] += 1
        for n in range(first, end):
            join(work, np.int64(work.places[n]), left, right, new)
        count_changes(work, 0, left, new)
        count_changes(work, 1, right, new)
        queue_made(work, 0)
        queue_made(work, 1)
    return True
