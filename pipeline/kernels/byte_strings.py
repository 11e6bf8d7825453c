"""A set of byte strings that gives each its number, in the order in which they come, and counts how often they do.

Rows of a table (key, number or -1, count), in the place that the key's hash says or the next free one, and the bytes of
all strings in one array, with where each ends.  The key of up to seven bytes is those bytes and their number; a longer
string's is a hash, so that its bytes are compared too.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.jit import inlined
from pipeline.kernels.spans import MIX, span_hash

KEY, NUMBER, COUNT = range(3)
_PACKED = 7
_LONG = 0xFF  # in the lowest byte of a long string's key


def empty_table(rows: int) -> NDArray[np.int64]:
    """A table of at least so many free rows."""
    return np.full((1 << (rows - 1).bit_length(), 3), -1, np.int64)


@inlined
def key_of(data, start, end):  # type: ignore[no-untyped-def]
    """The key of ``data[start:end]``, and whether it is all of it."""
    if end - start > _PACKED:
        return np.int64((span_hash(data, start, end) * MIX) | np.uint64(_LONG)), False
    key = np.int64(0)
    for at in range(start, end):
        key = key << 8 | np.int64(data[at])
    return key << 8 | (end - start), True


@inlined
def slot_of(key, mask):  # type: ignore[no-untyped-def]
    """The row of the table where a key is looked for first."""
    mixed = np.uint64(key) * MIX
    return np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(mask))


@inlined
def find(data, start, end, table, ends, contents):  # type: ignore[no-untyped-def]
    """The row of ``data[start:end]`` and its key; a free row (number -1) if the set does not have it."""
    key, whole = key_of(data, start, end)
    mask = len(table) - 1
    slot = slot_of(key, mask)
    while table[slot, NUMBER] >= 0:
        if table[slot, KEY] == key:
            if whole:
                break
            number = table[slot, NUMBER]
            first = ends[number - 1] if number else 0
            if ends[number] - first == end - start:
                at = 0
                while at < end - start and contents[first + at] == data[start + at]:
                    at += 1
                if at == end - start:
                    break
        slot = (slot + 1) & mask
    return slot, key


@inlined
def add(data, start, end, slot, key, number, table, ends, contents):  # type: ignore[no-untyped-def]
    """Puts ``data[start:end]`` into a free row as string ``number``, with a count of 0; there must be room."""
    first = ends[number - 1] if number else 0
    for at in range(end - start):
        contents[first + at] = data[start + at]
    ends[number] = first + end - start
    table[slot, KEY], table[slot, NUMBER], table[slot, COUNT] = key, number, 0


@numba.njit(cache=True, nogil=True)
def spread(table, larger):  # type: ignore[no-untyped-def]
    """Fills a larger table, empty so far, with the rows of one."""
    mask = len(larger) - 1
    for row in range(len(table)):
        if table[row, NUMBER] >= 0:
            slot = slot_of(table[row, KEY], mask)
            while larger[slot, NUMBER] >= 0:
                slot = (slot + 1) & mask
            larger[slot] = table[row]


@numba.njit(cache=True, nogil=True)
def enter(table, ends, contents, count):  # type: ignore[no-untyped-def]
    """Fills an empty table with ``count`` strings, all different; those that are empty are left out."""
    for number in range(count):
        first = ends[number - 1] if number else 0
        if ends[number] > first:
            slot, key = find(contents, first, ends[number], table, ends, contents)
            table[slot, KEY], table[slot, NUMBER], table[slot, COUNT] = key, number, 0
