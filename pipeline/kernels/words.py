"""Words of UTF-8 text, as 64-bit hashes, straight from an Arrow string column's buffers.

A word is a run of Unicode letters, marks, numbers or ``_``, lower-cased; in scripts written without spaces each
character is a word (unicode_tables.py).  ``pipeline.dedup.rule.definition`` says the same in plain Python.

Hash of a word: its lower-cased UTF-8 bytes in little-endian groups of eight, the last one padded with zeros:

    h = WORD_SEED;  for each group:  h = (h ^ group) * WORD_MULTIPLIER;  h ^= h >> 32
    at the end:     h *= WORD_FINISH;  h ^= h >> 29

Words of up to eight bytes therefore never collide.  All arithmetic is modulo 2^64.
"""

from functools import cache

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.kernels import hash_constants
from pipeline.kernels.unicode_tables import LETTER, SEPARATOR, SINGLE, unicode_tables

SEED = np.uint64(hash_constants.WORD_SEED)
MULTIPLIER = np.uint64(hash_constants.WORD_MULTIPLIER)
FINISH = np.uint64(hash_constants.WORD_FINISH)
ZERO, EIGHT, SIXTY_FOUR = np.uint64(0), np.uint64(8), np.uint64(64)
SHIFT_32, SHIFT_29 = np.uint64(32), np.uint64(29)

# read-only arrays accept writable ones too, so one compiled signature serves both
U8, I32, I64, U64 = (
    numba.types.Array(dtype, 1, "C", readonly=True) for dtype in (numba.uint8, numba.int32, numba.int64, numba.uint64)
)
U64_OUT = numba.types.Array(numba.uint64, 1, "C")
I64_OUT = numba.types.Array(numba.int64, 1, "C")
TABLES = numba.types.Tuple((U8, U8, I32))


@cache
def word_tables() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int32]]:
    """The tables argument of the kernels: lower-case byte of each ASCII character (0 = separator), stage1, stage2."""
    tables = unicode_tables()
    ascii_lower = np.zeros(128, np.uint8)
    for code_point in range(128):
        kind, lowered = tables.lookup(code_point)
        ascii_lower[code_point] = lowered if kind == LETTER else 0
    ascii_lower.setflags(write=False)
    return ascii_lower, tables.stage1, tables.stage2


@numba.njit(nogil=True, inline="always")
def decode(data, position, end):  # type: ignore[no-untyped-def]
    """Code point and length of the multi-byte character at ``position``; a cut one counts as U+FFFD, one byte."""
    lead = np.int64(data[position])
    if 0xC0 <= lead < 0xE0 and position + 1 < end:
        return ((lead & 0x1F) << 6) | (np.int64(data[position + 1]) & 0x3F), 2
    if 0xE0 <= lead < 0xF0 and position + 2 < end:
        second, third = np.int64(data[position + 1]) & 0x3F, np.int64(data[position + 2]) & 0x3F
        return ((lead & 0x0F) << 12) | (second << 6) | third, 3
    if 0xF0 <= lead < 0xF5 and position + 3 < end:
        second, third = np.int64(data[position + 1]) & 0x3F, np.int64(data[position + 2]) & 0x3F
        code_point = ((lead & 0x07) << 18) | (second << 12) | (third << 6) | (np.int64(data[position + 3]) & 0x3F)
        return min(code_point, 0x10FFFF), 4
    return 0xFFFD, 1


@numba.njit(nogil=True, inline="always")
def lookup(code_point, stage1, stage2):  # type: ignore[no-untyped-def]
    """Class and lower case of a code point."""
    entry = np.int64(stage2[(np.int64(stage1[code_point >> 7]) << 7) | (code_point & 127)])
    return entry & 3, code_point + (entry >> 2)


@numba.njit(nogil=True, inline="always")
def utf8(code_point):  # type: ignore[no-untyped-def]
    """The UTF-8 bytes of a code point as a little-endian number, and how many bits they fill."""
    if code_point < 0x80:
        return np.uint64(code_point), np.uint64(8)
    if code_point < 0x800:
        return np.uint64((0xC0 | (code_point >> 6)) | ((0x80 | (code_point & 0x3F)) << 8)), np.uint64(16)
    low = 0x80 | (code_point & 0x3F)
    middle = 0x80 | ((code_point >> 6) & 0x3F)
    if code_point < 0x10000:
        return np.uint64((0xE0 | (code_point >> 12)) | (middle << 8) | (low << 16)), np.uint64(24)
    high = 0x80 | ((code_point >> 12) & 0x3F)
    return np.uint64((0xF0 | (code_point >> 18)) | (high << 8) | (middle << 16) | (low << 24)), np.uint64(32)


@numba.njit(nogil=True, inline="always")
def absorb(state, group):  # type: ignore[no-untyped-def]
    """Takes eight bytes into the state of a word's hash."""
    state = (state ^ group) * MULTIPLIER
    return state ^ (state >> SHIFT_32)


@numba.njit(nogil=True, inline="always")
def finish(state, group, bits):  # type: ignore[no-untyped-def]
    """The hash of a word whose last, partly filled group is ``group``."""
    if bits != ZERO:
        state = absorb(state, group)
    state *= FINISH
    return state ^ (state >> SHIFT_29)


@numba.njit(nogil=True)
def scan_words(data, position, end, tables, hashes, count, limit):  # type: ignore[no-untyped-def]
    """Hashes words from ``position`` on, until ``end`` or until ``limit`` words are in ``hashes``.

    ``hashes`` must have room for ``limit + 1``: a character that is a word ends the word before it, too.

    Returns:
        Where to go on, and how many words are in ``hashes`` now.
    """
    ascii_lower, stage1, stage2 = tables
    while position < end and count < limit:
        state, group, bits = SEED, ZERO, ZERO
        started = False
        while position < end:
            byte = data[position]
            if byte < 0x80:
                position += 1
                lowered = ascii_lower[byte]
                if lowered == 0:
                    if started:
                        break
                    continue
                started = True
                group |= np.uint64(lowered) << bits
                bits += EIGHT
                if bits == SIXTY_FOUR:
                    state, group, bits = absorb(state, group), ZERO, ZERO
                continue
            code_point, size = decode(data, position, end)
            kind, lowered_point = lookup(code_point, stage1, stage2)
            position += size
            if kind == SEPARATOR:
                if started:
                    break
                continue
            encoded, width = utf8(lowered_point)
            if kind == SINGLE:
                if started:
                    hashes[count] = finish(state, group, bits)
                    count += 1
                state, group, bits, started = SEED, encoded, width, True
                break
            started = True
            group |= encoded << bits
            bits += width
            if bits >= SIXTY_FOUR:
                bits -= SIXTY_FOUR
                state = absorb(state, group)
                group = ZERO if bits == ZERO else encoded >> (width - bits)
        if started:
            hashes[count] = finish(state, group, bits)
            count += 1
    return position, count


@numba.njit(numba.int64(U8, I64, TABLES, U64_OUT, I64_OUT), cache=True, nogil=True)
def hash_words(data, offsets, tables, hashes, word_offsets):  # type: ignore[no-untyped-def]
    """Word hashes of every text.

    Args:
        data: UTF-8 bytes.
        offsets: Where each text starts and the last one ends, shape (N + 1,).
        tables: From ``word_tables()``.
        hashes: Out; (bytes of text) // 2 + N + 1 are always enough.
        word_offsets: Out, shape (N + 1,): where each text's words start in ``hashes``.

    Returns:
        Words in all.
    """
    count = 0
    word_offsets[0] = 0
    for text in range(len(offsets) - 1):
        _, count = scan_words(data, offsets[text], offsets[text + 1], tables, hashes, count, len(hashes) - 1)
        word_offsets[text + 1] = count
    return count
