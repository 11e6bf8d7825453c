"""Boosted trees, and the choice of blocks by what they say: whole numbers throughout, so that every machine agrees.

A leaf is worth a whole number of 2^-16; their sum is looked up in a table of probabilities, also whole numbers, so that
neither the order of a sum nor a machine's ``exp`` can move a choice.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.jit import inlined

LEAF_UNIT = 1 << 16  # a leaf of 1.0
PROBABILITY_UNIT = 1 << 16  # a probability of 1.0
STEPS = 64  # entries of the table of probabilities for each unit of the sum
RECALL_WEIGHT = 0.8  # of recall beside precision in the choice (the square of beta); chosen on training pages
LIMIT = 16  # sums beyond are as good as certain
F32_2D = numba.types.Array(numba.float32, 2, "C", readonly=True)


class Trees(NamedTuple):
    """Trees one after another; a child below 0 is a leaf, ``~child`` its place among the values.

    Attributes:
        roots: First node of each tree, int32 (trees).
        columns: Feature that a node looks at, int16 (nodes).
        thresholds: It goes left up to this value, float32 (nodes).
        children: Left and right, int32 (nodes, 2).
        values: Leaves, in LEAF_UNIT, int32 (leaves).
    """

    roots: NDArray[np.int32]
    columns: NDArray[np.int16]
    thresholds: NDArray[np.float32]
    children: NDArray[np.int32]
    values: NDArray[np.int32]


@inlined
def _down(rows, i, node, columns, thresholds, children):  # type: ignore[no-untyped-def]
    """The child of a node that a row goes to; a leaf stays."""
    if node < 0:
        return node
    return np.int64(children[node, np.int64(rows[i, columns[node]] > thresholds[node])])


@numba.njit(cache=True, nogil=True)
def sums_of(rows, roots, columns, thresholds, children, values):  # type: ignore[no-untyped-def]
    """Sum of the leaves that each row falls into, int64 (rows) in LEAF_UNIT.

    Eight rows go down a tree side by side, without a branch that depends on what they hold, so that none of them waits
    for the memory of another.
    """
    rows_n = len(rows)
    sums = np.zeros(rows_n, np.int64)
    for root in roots:
        i = 0
        while i + 8 <= rows_n:
            a = b = c = d = e = f = g = h = np.int64(root)
            while a & b & c & d & e & f & g & h >= 0:  # until all are leaves
                a = _down(rows, i, a, columns, thresholds, children)
                b = _down(rows, i + 1, b, columns, thresholds, children)
                c = _down(rows, i + 2, c, columns, thresholds, children)
                d = _down(rows, i + 3, d, columns, thresholds, children)
                e = _down(rows, i + 4, e, columns, thresholds, children)
                f = _down(rows, i + 5, f, columns, thresholds, children)
                g = _down(rows, i + 6, g, columns, thresholds, children)
                h = _down(rows, i + 7, h, columns, thresholds, children)
            for place, leaf in enumerate((a, b, c, d, e, f, g, h)):
                sums[i + place] += values[~leaf]
            i += 8
        while i < rows_n:
            node = np.int64(root)
            while node >= 0:
                node = _down(rows, i, node, columns, thresholds, children)
            sums[i] += values[~node]
            i += 1
    return sums


@numba.njit(cache=True, nogil=True)
def probabilities(sums, table):  # type: ignore[no-untyped-def]
    """Probability of each sum, in PROBABILITY_UNIT."""
    found = np.empty(len(sums), np.int64)
    for i in range(len(sums)):
        step = (sums[i] * STEPS + LEAF_UNIT // 2) // LEAF_UNIT + LIMIT * STEPS
        found[i] = table[min(max(step, 0), len(table) - 1)]
    return found


@numba.njit(cache=True, nogil=True)
def best_choice(sums, wanted, sizes):  # type: ignore[no-untyped-def]
    """The rows that make the expected F-measure greatest, and the expected F1 of that choice.

    Args:
        sums: What the trees say of each row: the surest come first.
        wanted: Probability of each row, in PROBABILITY_UNIT.
        sizes: What each row counts.
    """
    order = np.argsort(-sums, kind="mergesort")
    keep = np.zeros(len(wanted), np.bool_)
    all_hits = np.int64(0)
    for i in range(len(wanted)):
        all_hits += wanted[i] * sizes[i]
    best, best_f1, best_at, hits, said = -1.0, 0.0, 0, np.int64(0), np.int64(0)
    for place in range(len(order)):
        i = order[place]
        hits += wanted[i] * sizes[i]
        said += sizes[i]
        value = hits / max(said * PROBABILITY_UNIT + RECALL_WEIGHT * all_hits, 1.0)
        if value > best:
            best, best_at = value, place + 1
            best_f1 = 2.0 * hits / max(said * PROBABILITY_UNIT + all_hits, 1)
    for place in range(best_at):
        keep[order[place]] = True
    return keep, best_f1
