"""Which elements that give text a shape (lists, tables, headings, quotes, code) a block stands in; whole regions."""

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.html_blocks import IS_HIDDEN, LINK, NODE, NODE_TAG, PARENT, UNITS
from pipeline.kernels.html_names import TAG, TAGS

SHAPES = ("ul", "ol", "menu", "li", "dl", "dt", "dd", "table", "caption", "tr", "td", "th", "thead", "pre",
          "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "figcaption", "summary", "button")  # fmt: skip
DEEPEST = 24  # of those around a block, so many are seen: the innermost
_SHAPES = np.zeros(len(TAGS), np.bool_)
_SHAPES[[TAG[name] for name in SHAPES]] = True
_REGIONS = np.zeros(len(TAGS), np.bool_)
_REGIONS[[TAG[name] for name in ("table", "dl", "ul", "ol", "figure")]] = True
_PLAIN = np.zeros(len(TAGS), np.bool_)  # what holds the text of a list or of a table of data, nothing between
_PLAIN[[TAG[name] for name in ("td", "th", "caption", "li", "dt", "dd")]] = True
_MOST_LINKS = 2  # at most one word in so many of a region that is filled in stands in a link
_PARAGRAPH, _H1, _H6, _DL = TAG["p"], TAG["h1"], TAG["h6"], TAG["dl"]


def chains(nodes: NDArray[np.int32], blocks: NDArray[np.int32], wanted: NDArray[np.int64]) -> list[list[int]]:
    """Of each wanted block, the elements of SHAPES that it stands in, from the outermost on."""
    found, ends = _chains(nodes, blocks, wanted)
    flat, starts = found.tolist(), [0, *ends.tolist()]
    return [flat[starts[i] : starts[i + 1]][::-1] for i in range(len(wanted))]


@numba.njit(cache=True, nogil=True)
def _chains(nodes, blocks, wanted):  # type: ignore[no-untyped-def]
    above = np.full(len(nodes), -1, np.int32)  # the nearest such element, itself included
    for i in range(len(nodes)):
        up = nodes[i, PARENT]
        above[i] = i if _SHAPES[nodes[i, NODE_TAG]] else (above[up] if up >= 0 else -1)
    found = np.empty(len(wanted) * DEEPEST, np.int32)
    ends = np.empty(len(wanted), np.int64)
    at = 0
    for k in range(len(wanted)):
        step = above[blocks[wanted[k], NODE]]
        for _ in range(DEEPEST):
            if step < 0:
                break
            found[at] = step
            at += 1
            up = nodes[step, PARENT]
            step = above[up] if up >= 0 else -1
        ends[k] = at
    return found[:at], ends


@numba.njit(cache=True, nogil=True)
def repeated_parts(nodes, signs, kept_nodes, kept_units, least_units, least_share):  # type: ignore[no-untyped-def]
    """Of each kept block, the element among repeated ones that it stands in; -1 outside of them or without such.

    Repeated are siblings of one sign that each hold ``least_units`` and together ``least_share`` of the kept words; the
    largest such group counts, the outermost of equal ones.
    """
    units = np.zeros(len(nodes), np.int64)
    for k in range(len(kept_nodes)):
        units[kept_nodes[k]] += kept_units[k]
    for i in range(len(nodes) - 1, 0, -1):
        units[nodes[i, PARENT]] += units[i]
    keys = signs * np.uint64(0x9E3779B97F4A7C15) + nodes[:, PARENT].astype(np.uint64)
    order = np.argsort(keys, kind="mergesort")
    best, best_start, best_end, start = 1, 0, 0, 0
    for at in range(1, len(order) + 1):
        if at < len(order) and keys[order[at]] == keys[order[start]]:
            continue
        members, together = 0, np.int64(0)
        tag = nodes[order[start], NODE_TAG]
        if tag == _PARAGRAPH or _H1 <= tag <= _H6:
            start = at
            continue
        for place in range(start, at):
            if units[order[place]] >= least_units:
                members += 1
                together += units[order[place]]
        if members > best and together >= least_share * units[0]:
            best, best_start, best_end = members, start, at
        start = at
    part = np.full(len(nodes), -1, np.int64)
    for place in range(best_start, best_end):
        part[order[place]] = order[place]
    for i in range(1, len(nodes)):
        if part[i] < 0:
            part[i] = part[nodes[i, PARENT]]
    found = np.empty(len(kept_nodes), np.int64)
    for k in range(len(kept_nodes)):
        found[k] = part[kept_nodes[k]]
    return found


@numba.njit(cache=True, nogil=True)
def within_kept_text(nodes, blocks, keep, wanted, least):  # type: ignore[no-untyped-def]
    """Blocks of tables, lists and figures that belong to what is kept: none of these is left with holes.

    All of one that stands in its parent between kept blocks, and is likely enough on average; and the likely enough of
    one that is kept by half, where its cells or items hold nothing but text, or descriptions nothing but paragraphs.

    Args:
        nodes: Elements.
        blocks: Blocks.
        keep: Of each block, whether it is kept.
        wanted: Of each block, how likely it is to be text.
        least: So likely the words of such a region must be on average, or each block of one that is kept by half.
    """
    n = len(blocks)
    first, last = np.full(len(nodes), n, np.int64), np.full(len(nodes), -1, np.int64)
    # words, words in links, words times likelihood, words that are kept, in paragraphs, in other elements between
    sums = np.zeros((len(nodes), 6), np.int64)
    for b in range(n):
        node, units = blocks[b, NODE], np.int64(blocks[b, UNITS])
        first[node], last[node] = min(first[node], b), b
        sums[node, 0] += units
        sums[node, 1] += blocks[b, LINK]
        sums[node, 2] += units * wanted[b]
        sums[node, 3] += units * keep[b]
        tag = nodes[node, NODE_TAG]
        if not _PLAIN[tag]:
            sums[node, 4 if tag == _PARAGRAPH else 5] += units
    for i in range(len(nodes) - 1, 0, -1):
        up = nodes[i, PARENT]
        first[up], last[up] = min(first[up], first[i]), max(last[up], last[i])
        for k in range(6):
            sums[up, k] += sums[i, k]
    before, after = (
        np.full(n + 1, -1, np.int64),
        np.full(n + 1, n, np.int64),
    )  # the kept block before, and from there on
    for b in range(n):
        before[b + 1] = b if keep[b] else before[b]
    for b in range(n - 1, -1, -1):
        after[b] = b if keep[b] else after[b + 1]
    covers = np.zeros(
        (2, n + 1), np.int64
    )  # how many regions between kept blocks, and kept by half, begin less end here
    for i in range(1, len(nodes)):
        up = nodes[i, PARENT]
        if not _REGIONS[nodes[i, NODE_TAG]] or sums[i, 0] == 0:
            continue
        if sums[i, 2] < least * sums[i, 0] or sums[i, 1] * _MOST_LINKS > sums[i, 0]:
            continue
        is_between = before[first[i]] >= first[up] and after[last[i] + 1] <= last[up]
        is_plain = sums[i, 5] == 0 and (sums[i, 4] == 0 or nodes[i, NODE_TAG] == _DL)
        is_kept_by_half = is_plain and 2 * sums[i, 3] >= sums[i, 0]
        for kind, holds in enumerate((is_between, is_kept_by_half)):
            covers[kind, first[i]] += holds
            covers[kind, last[i] + 1] -= holds
    found = np.zeros(n, np.bool_)
    between = by_half = 0
    for b in range(n):
        between += covers[0, b]
        by_half += covers[1, b]
        belongs = between > 0 or (by_half > 0 and wanted[b] >= least)
        found[b] = belongs and not keep[b] and nodes[blocks[b, NODE], IS_HIDDEN] == 0
    return found
