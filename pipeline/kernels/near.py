"""Finds short texts that a document holds with a few words changed: seeds, then an alignment of words.

A text of m words of which at most k are changed, missing or put in leaves one of k + 1 pieces whole.  So each piece has
one seed, ``SEED_WORDS`` words in a row, and wherever a seed stands in a document, the text is aligned with the words
around it.
"""

import numba
import numpy as np

from pipeline.kernels.overlap import flag_shift, flagged
from pipeline.kernels.spans import BASE, MIX

SEED_WORDS = 4
EDIT = 1024.0  # the cost of a change is this and the word's weight: fewest changes first, then the lightest words
MOST_EDITS = 8
BAND = 2 * MOST_EDITS + 1
NEVER = 1e12


@numba.njit(nogil=True, inline="always")
def seed_hash(words, at):  # type: ignore[no-untyped-def]
    """Hash of the ``SEED_WORDS`` words that begin at ``at``."""
    value = np.uint64(0)
    for k in range(SEED_WORDS):
        value = value * BASE + words[at + k]
    mixed = (value ^ (value >> np.uint64(31))) * MIX
    return mixed ^ (mixed >> np.uint64(29))


@numba.njit(cache=True, nogil=True)
def seed_hashes(words):  # type: ignore[no-untyped-def]
    """The hash of every run of ``SEED_WORDS`` words, shape (max(0, words - SEED_WORDS + 1),)."""
    count = max(0, len(words) - SEED_WORDS + 1)
    result = np.empty(count, np.uint64)
    for i in range(count):
        result[i] = seed_hash(words, i)
    return result


@numba.njit(nogil=True)
def align(words, start, end, at, text, weights, most, costs, starts):  # type: ignore[no-untyped-def]
    """The cheapest place of a text around word ``at`` of a document's words ``start`` to ``end``.

    Args:
        words: Word hashes.
        start: The document's first word.
        end: The one after its last.
        at: Where the text would begin if nothing before its seed were changed; may lie before the document.
        text: Word hashes of the text.
        weights: What each of its words counts.
        most: Changes allowed, at most ``MOST_EDITS``.
        costs: Scratch, shape (2, BAND).
        starts: Scratch of int64, shape (2, BAND).

    Returns:
        Cost (``EDIT`` for each change, and the weights of the words), first word, the one after the last.
    """
    band = 2 * most + 1
    for d in range(band):
        place = at + d - most
        costs[0, d] = 0.0 if start <= place <= end else NEVER
        starts[0, d] = place
    now, before = 0, 1
    for i in range(1, len(text) + 1):
        now, before = before, now
        weight = EDIT + weights[i - 1]
        least = NEVER
        for d in range(band):
            j = at + i + d - most
            cost, first = NEVER, np.int64(0)
            if start <= j <= end:
                if j > start:
                    cost = costs[before, d] + (0.0 if words[j - 1] == text[i - 1] else weight)
                    first = starts[before, d]
                if d + 1 < band and costs[before, d + 1] + weight < cost:
                    cost, first = costs[before, d + 1] + weight, starts[before, d + 1]
                if d > 0 and costs[now, d - 1] + EDIT + 1.0 < cost:
                    cost, first = costs[now, d - 1] + EDIT + 1.0, starts[now, d - 1]
            costs[now, d], starts[now, d] = cost, first
            least = min(least, cost)
        if least >= EDIT * (most + 1):
            return NEVER, np.int64(0), np.int64(0)
    best = 0
    for d in range(1, band):
        if costs[now, d] < costs[now, best]:
            best = d
    return costs[now, best], starts[now, best], at + len(text) + best - most


@numba.njit(cache=True, nogil=True)
def find_near(  # type: ignore[no-untyped-def]
    words, word_offsets, bits, seeds, owners, places, texts, text_offsets, weights, most_edits, least_share, out
):
    """Which texts the documents hold with few changes.

    Args:
        words: Word hashes of all documents.
        word_offsets: Where each document's words start, shape (N + 1,).
        bits: Flags by the highest bits of a seed's hash, eight in a byte; a power of two of them.
        seeds: Sorted hashes of the seeds of all texts.
        owners: The text of each seed.
        places: Where in its text each seed begins.
        texts: Word hashes of all texts.
        text_offsets: Where each text's words start, shape (T + 1,).
        weights: What each word of ``texts`` counts; the mean within a text is 1.
        most_edits: Changes allowed in each text.
        least_share: Of the weights of a text, how much must be there unchanged.
        out: Out, int64, shape (room, 5): document, text, first word, the one after the last, changes.

    Returns:
        The number of hits; beyond the room in ``out``, hits are only counted.
    """
    shift = flag_shift(len(bits))
    costs, starts = np.empty((2, BAND), np.float64), np.empty((2, BAND), np.int64)
    tried_row = np.full(len(most_edits), -1, np.int64)
    tried_at = np.zeros(len(most_edits), np.int64)
    found_to = np.zeros(len(most_edits), np.int64)
    found = 0
    for row in range(len(word_offsets) - 1):
        start, end = word_offsets[row], word_offsets[row + 1]
        for i in range(start, end - SEED_WORDS + 1):
            hashed = seed_hash(words, i)
            if not flagged(bits, hashed >> shift):
                continue
            slot = np.searchsorted(seeds, hashed)
            while slot < len(seeds) and seeds[slot] == hashed:
                owner, at = owners[slot], i - places[slot]
                slot += 1
                if tried_row[owner] == row and (tried_at[owner] == at or found_to[owner] > i):
                    continue
                if tried_row[owner] != row:
                    found_to[owner] = 0
                tried_row[owner], tried_at[owner] = row, at
                first, last = text_offsets[owner], text_offsets[owner + 1]
                most = most_edits[owner]
                cost, begins, ends = align(
                    words, start, end, at, texts[first:last], weights[first:last], most, costs, starts
                )
                edits = np.int64(cost // EDIT)
                if edits > most or cost - edits * EDIT > (1.0 - least_share) * (last - first):
                    continue
                found_to[owner] = ends
                if found < len(out):
                    out[found, 0], out[found, 1] = row, owner
                    out[found, 2], out[found, 3], out[found, 4] = begins - start, ends - start, edits
                found += 1
    return found
