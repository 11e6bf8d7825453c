"""Finds the n-grams of documents that are in an index: rolling hashes of words, a bit table, then a binary search."""

import numba
import numpy as np

from pipeline.kernels.spans import BASE, MIX
from pipeline.kernels.words import scan_words


@numba.njit(cache=True, nogil=True)
def ngram_hashes(words, n):  # type: ignore[no-untyped-def]
    """Hash of each run of ``n`` words (64-bit word hashes), shape (max(0, words - n + 1),)."""
    count = max(0, len(words) - n + 1)
    result = np.empty(count, np.uint64)
    oldest = np.uint64(1)
    for _ in range(n - 1):
        oldest *= BASE
    value = np.uint64(0)
    for i in range(len(words)):
        if i >= n:
            value -= words[i - n] * oldest
        value = value * BASE + words[i]
        if i >= n - 1:
            mixed = (value ^ (value >> np.uint64(31)) ^ np.uint64(n)) * MIX
            result[i - n + 1] = mixed ^ (mixed >> np.uint64(29))
    return result


@numba.njit(cache=True, nogil=True)
def find_ngrams(words, word_offsets, n, bits, known, rows, positions, slots):  # type: ignore[no-untyped-def]
    """Which n-grams of the documents are among ``known``.

    Args:
        words: Word hashes of all documents.
        word_offsets: Where each document's words start, shape (N + 1,).
        n: Words in an n-gram.
        bits: Flags by the highest bits of a hash; a power of two of them.
        known: Sorted hashes.
        rows: Out: the document of each hit.
        positions: Out: the first word of each hit in its document.
        slots: Out: the place in ``known`` of each hit.

    Returns:
        The number of hits; beyond the room in ``rows``, hits are only counted.
    """
    shift = np.uint64(64)
    size = len(bits)
    while size > 1:
        shift -= np.uint64(1)
        size //= 2
    found = 0
    for row in range(len(word_offsets) - 1):
        hashes = ngram_hashes(words[word_offsets[row] : word_offsets[row + 1]], n)
        for i in range(len(hashes)):
            if not bits[hashes[i] >> shift]:
                continue
            slot = np.searchsorted(known, hashes[i])
            if slot < len(known) and known[slot] == hashes[i]:
                if found < len(rows):
                    rows[found], positions[found], slots[found] = row, i, slot
                found += 1
    return found


@numba.njit(cache=True, nogil=True)
def word_ends(data, tables, count):  # type: ignore[no-untyped-def]
    """Byte offset after each word of one text, with the separator after it."""
    ends = np.empty(count, np.int64)
    scratch = np.empty(4, np.uint64)
    position, found = 0, 0
    while position < len(data) and found < count:
        position, number = scan_words(data, position, len(data), tables, scratch, 0, 1)
        for _ in range(number):  # a character that is a word ends the word before it, too
            if found < count:
                ends[found] = position
                found += 1
    return ends[:found]
