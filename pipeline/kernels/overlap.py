"""What documents share with an index.

N-grams of a set are found by rolling hashes of words, a bit table and a binary search; the sets of hashes that are most
alike by a bit table and a hash table.
"""

import numba
import numpy as np

from pipeline.kernels.jit import bare, inlined
from pipeline.kernels.spans import BASE, MIX
from pipeline.kernels.words import scan_words


@numba.njit(nogil=True, inline="always")
def flag_shift(size):  # type: ignore[no-untyped-def]
    """By how much a hash is shifted to be the number of its flag, in a table of ``size`` bytes."""
    shift = np.uint64(61)
    while size > 1:
        shift -= np.uint64(1)
        size //= 2
    return shift


@numba.njit(nogil=True, inline="always")
def flagged(bits, number):  # type: ignore[no-untyped-def]
    """Whether a flag is set."""
    return (bits[number >> np.uint64(3)] >> np.uint8(number & np.uint64(7))) & np.uint8(1)


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
        bits: Flags by the highest bits of a hash, eight in a byte; a power of two of them.
        known: Sorted hashes.
        rows: Out: the document of each hit.
        positions: Out: the first word of each hit in its document.
        slots: Out: the place in ``known`` of each hit.

    Returns:
        The number of hits; beyond the room in ``rows``, hits are only counted.
    """
    shift = flag_shift(len(bits))
    found = 0
    for row in range(len(word_offsets) - 1):
        hashes = ngram_hashes(words[word_offsets[row] : word_offsets[row + 1]], n)
        for i in range(len(hashes)):
            if not flagged(bits, hashes[i] >> shift):
                continue
            slot = np.searchsorted(known, hashes[i])
            if slot < len(known) and known[slot] == hashes[i]:
                if found < len(rows):
                    rows[found], positions[found], slots[found] = row, i, slot
                found += 1
    return found


@inlined
def _place(value, table, known):  # type: ignore[no-untyped-def]
    """The slot of the table that has the number of ``value`` among ``known``, or the free one where it belongs."""
    mask = len(table) - 1
    slot = np.int64((value * MIX) >> np.uint64(32)) & mask
    while table[slot] >= 0 and known[table[slot]] != value:
        slot = (slot + 1) & mask
    return slot


@bare
def number_hashes(known, table):  # type: ignore[no-untyped-def]
    """Writes the number of each hash of ``known``, all distinct, into a larger table: a power of two of -1."""
    for number in range(len(known)):
        table[_place(known[number], table, known)] = number


@bare
def most_alike(  # type: ignore[no-untyped-def]
    hashes, offsets, bits, table, known, starts, owners_H, sizes_V, common_V, met_V, similarity_V, contained_V, nearest
):
    """Compares the sets of D documents with V known ones by their exact Jaccard similarity.

    Args:
        hashes: Distinct hashes of each document, one after the other.
        offsets: Where each document's begin, shape (D + 1,).
        bits: Flags by the highest bits of the known hashes, eight in a byte; a power of two of them.
        table: As ``number_hashes`` leaves it.
        known: Distinct hashes of the known sets.
        starts: Where the owners of each of them begin, shape (len(known) + 1,).
        owners_H: The known sets that have it.
        sizes_V: Hashes of each known set.
        common_V: Scratch of zeros, which it is again at the end.
        met_V: Scratch.
        similarity_V: Highest similarity so far; changed where there is a higher one.
        contained_V: Largest share of a known set in one document; changed likewise.
        nearest: Out: number of the document with a similarity that is new in ``similarity_V``.
    """
    shift = flag_shift(len(bits))
    for document in range(len(offsets) - 1):
        met = 0
        for at in range(offsets[document], offsets[document + 1]):
            value = hashes[at]
            if not flagged(bits, value >> shift):
                continue
            number = table[_place(value, table, known)]
            if number < 0:
                continue
            for place in range(starts[number], starts[number + 1]):
                owner = owners_H[place]
                if common_V[owner] == 0:
                    met_V[met] = owner
                    met += 1
                common_V[owner] += 1
        size = offsets[document + 1] - offsets[document]
        for place in range(met):
            owner = met_V[place]
            common, own = common_V[owner], sizes_V[owner]
            common_V[owner] = 0
            contained_V[owner] = max(contained_V[owner], common / own)
            similarity = common / (size + own - common)
            if similarity > similarity_V[owner]:
                similarity_V[owner], nearest[owner] = similarity, document


@numba.njit(cache=True, nogil=True)
def cut_lines(data, offsets, flags):  # type: ignore[no-untyped-def]
    """Flags the texts in which a line ends with a hyphen (``-`` or U+2010) after a letter, and the next goes on.

    Args:
        data: UTF-8 bytes.
        offsets: Where each text starts and the last one ends, shape (N + 1,).
        flags: Out, bool, shape (N,).
    """
    for row in range(len(offsets) - 1):
        flags[row] = False
        for i in range(offsets[row] + 2, offsets[row + 1] - 1):
            if data[i] != 0x0A or data[i + 1] < 0x20:
                continue
            if (data[i - 1] == 0x2D and (data[i - 2] | 0x20) > 0x60) or (data[i - 1] == 0x90 and data[i - 2] == 0x80):
                flags[row] = True
                break


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
