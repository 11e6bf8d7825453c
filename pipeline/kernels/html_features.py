"""What the trees look at: a row of numbers for each block of a page, and one for the page.

Of a block: its own counts, its neighbours, where it stands, what its elements are called, how its five nearest elements
are filled, and how it lies to the element with most prose.  None of it is a word of any language.  Everything is one
pass up or down the elements, or a sort; nothing is quadratic in depth or breadth.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.html_blocks import (
    BOLD,
    BREAKS,
    CHARS,
    CODE,
    DIGITS,
    FIRST,
    IMAGES,
    INDEX,
    IS_HIDDEN,
    LAST,
    LETTERS,
    LEVEL,
    LINK,
    LINKS,
    MONEY,
    NODE,
    NODE_TAG,
    PARENT,
    PUNCT,
    SEPARATORS,
    UNITS,
    UPPER,
    Layout,
)
from pipeline.kernels.html_names import GROUP_NAMES, TAG, TAGS

_OWN = ("units", "chars", "word_length", "links_share", "links", "bold", "code", "breaks", "images", "punctuation",
        "ends_sentence", "upper", "digits", "capital", "copies", "separators", "money")  # fmt: skip
_NEAR = ("units", "links_share", "punctuation", "same_tag")
_OFFSETS = (-2, -1, 1, 2)
_PLACE = ("window_units", "window_links", "place", "number", "number_from_end", "from_best", "to_end_of_best",
          "in_best", "from_h1", "to_best", "level", "hidden", "index", "alike", "alike_share", "since_heading",
          "heading_level", "prose_before", "siblings_alike", "in_lists", "in_table", "in_form", "in_quote",
          "up_from_before", "up_to_next", "article_share", "main_share", "content_share", "group_size", "group_up",
          "group_units", "group_links", "group_share")  # fmt: skip
_TAGS = ("p", "li", "h1", "h2", "h3", "h4", "h5", "td", "th", "div", "section", "article", "pre", "blockquote", "dt",
         "dd", "figcaption", "button", "label", "summary", "caption", "body", "form", "header", "footer",
         "span")  # fmt: skip
_ANCESTORS = ("units", "links_share", "blocks", "prose", "share")
_UP = 5
_PAGE = ("units", "links_share", "blocks", "articles", "mains", "prose_share", "longest", "best_share",
         "comment_blocks", "lists_share", "table_share", "code_share", "headings", "images", "forms")  # fmt: skip
# what the page says of itself, as the caller reads it off the bytes
FACTS = ("og_article", "og_product", "og_website", "ld_product", "ld_article", "ld_forum", "ld_faq", "ld_list")
COLUMNS = (
    *_OWN,
    *(f"{name}{offset:+}" for offset in _OFFSETS for name in _NEAR),
    *_PLACE,
    *(f"tag_{name}" for name in _TAGS),
    *(f"says_{name}" for name in GROUP_NAMES),
    *(f"{name}^{up}" for up in range(_UP) for name in _ANCESTORS),
    *(f"page_{name}" for name in (*_PAGE, *FACTS)),
)
N_COLUMNS = len(COLUMNS)
N_PAGE = len(_PAGE) + len(FACTS)
_TAG_NUMBERS = np.array([TAG[name] for name in _TAGS])
_N_PLACED = len(_PAGE)
_GROUPS = len(GROUP_NAMES)
_COMMENT = np.uint64(1 << GROUP_NAMES.index("comment") | 1 << GROUP_NAMES.index("reply"))
_HEADINGS = (TAG["h1"], TAG["h6"])
_H1, _LI, _TABLE, _FORM, _QUOTE, _PRE, _ARTICLE, _MAIN, _UL, _OL = (
    TAG[name] for name in ("h1", "li", "table", "form", "blockquote", "pre", "article", "main", "ul", "ol")
)
_FAR = 999
_CONTENT = np.uint64(1 << GROUP_NAMES.index("content"))
_LEAST_GROUP = 3  # siblings that look alike make a group from here on
_GROUP_UP = 8  # elements up that a group is looked for
_COMMON_UP = 20  # and the common one of two neighbours
ONE = np.uint64(1)
PROSE_UNITS, PROSE_LINKS = 8, 0.35  # a block of so many words, and at most so much of them links, is prose
_FADE = 0.75  # how much of its prose an element passes on to its parent
F32 = np.float32
__all__ = ["COLUMNS", "FACTS", "N_COLUMNS", "TAGS", "features"]


def features(layout: Layout, facts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of numbers for the blocks of a page.

    Args:
        layout: The page.
        facts: What it says of itself, FACTS.

    Returns:
        float32 (blocks, N_COLUMNS).
    """
    return _features(*layout, facts)  # type: ignore[no-any-return]


@numba.njit(cache=True, nogil=True)
def _alike(values):  # type: ignore[no-untyped-def]
    """How many of the values are the same as each, and a number for each class of same ones."""
    order = np.argsort(values, kind="mergesort")
    counts, classes = np.empty(len(values), np.int32), np.empty(len(values), np.int32)
    start = number = 0
    for i in range(1, len(values) + 1):
        if i == len(values) or values[order[i]] != values[order[start]]:
            for j in range(start, i):
                counts[order[j]], classes[order[j]] = i - start, number
            start = i
            number += 1
    return counts, classes, number


@numba.njit(cache=True, nogil=True)
def _path_signs(nodes, signs):  # type: ignore[no-untyped-def]
    """A hash of the signs of each element and the two above it."""
    paths = np.empty(len(nodes), np.uint64)
    for i in range(len(nodes)):
        value = signs[i]
        up = nodes[i, PARENT]
        for _ in range(2):
            value = value * np.uint64(0x9E3779B97F4A7C15) + (signs[up] if up >= 0 else np.uint64(7))
            up = nodes[up, PARENT] if up >= 0 else -1
        paths[i] = value ^ (value >> np.uint64(29))
    return paths


@numba.njit(cache=True, nogil=True)
def _filling(nodes, blocks):  # type: ignore[no-untyped-def]
    """Of each element: words, words in links, blocks, and prose, which fades from an element to its parent."""
    sums = np.zeros((len(nodes), 3), np.int64)
    prose = np.zeros(len(nodes), np.float64)
    for b in range(len(blocks)):
        node, units = blocks[b, NODE], blocks[b, UNITS]
        sums[node, 0] += units
        sums[node, 1] += blocks[b, LINK]
        sums[node, 2] += 1
        if units >= PROSE_UNITS and blocks[b, LINK] < PROSE_LINKS * units:
            prose[node] += units
    for i in range(len(nodes) - 1, 0, -1):
        up = nodes[i, PARENT]
        for k in range(3):
            sums[up, k] += sums[i, k]
        prose[up] += _FADE * prose[i]
    return sums, prose


@numba.njit(cache=True, nogil=True)
def _inherited(nodes, bits, best):  # type: ignore[no-untyped-def]
    """What holds below an element, too: groups, distance to the best one's ancestors, and within what it stands."""
    above = np.zeros(len(nodes), np.uint64)
    distance, within = np.zeros(len(nodes), np.int32), np.zeros((len(nodes), 5), np.int32)
    on_path = np.zeros(len(nodes), np.bool_)
    step = best
    place = 0
    while step >= 0:
        on_path[step], distance[step] = True, place
        step = nodes[step, PARENT]
        place += 1
    for i in range(len(nodes)):
        up, tag = nodes[i, PARENT], nodes[i, NODE_TAG]
        above[i] = bits[i]
        if up >= 0:
            above[i] |= above[up]
            within[i] = within[up]
            if not on_path[i]:
                distance[i] = distance[up]
        within[i, 0] += tag in (_UL, _OL)
        within[i, 1] += tag == _TABLE
        within[i, 2] += tag == _FORM
        within[i, 3] += tag == _QUOTE
        within[i, 4] += i == best
    return above, distance, within


@numba.njit(cache=True, nogil=True)
def _steps_to_common(nodes, here, there):  # type: ignore[no-untyped-def]
    """How far above one element the first is that holds another, too; _COMMON_UP where it is further."""
    steps = 0
    for _ in range(4 * _COMMON_UP):
        if here == there or steps == _COMMON_UP:
            break
        if nodes[here, LEVEL] >= nodes[there, LEVEL]:
            here = nodes[here, PARENT]
            steps += 1
        else:
            there = nodes[there, PARENT]
    return steps


@numba.njit(cache=True, nogil=True)
def _shares_within(nodes, bits, sums):  # type: ignore[no-untyped-def]
    """Of each element, the words of the nearest article, main and content element that it stands in; 0 without."""
    within = np.zeros((len(nodes), 3), np.int64)
    for i in range(len(nodes)):
        up, tag = nodes[i, PARENT], nodes[i, NODE_TAG]
        if up >= 0:
            within[i] = within[up]
        if tag == _ARTICLE:
            within[i, 0] = sums[i, 0]
        if tag == _MAIN:
            within[i, 1] = sums[i, 0]
        if bits[i] & _CONTENT != 0:
            within[i, 2] = sums[i, 0]
    return within


@numba.njit(cache=True, nogil=True)
def _own(row, block, copies):  # type: ignore[no-untyped-def]
    units, chars = max(block[UNITS], 1), max(block[CHARS], 1)
    row[0], row[1], row[2] = block[UNITS], block[CHARS], chars / units
    row[3], row[4], row[5] = block[LINK] / units, block[LINKS], block[BOLD] / units
    row[6], row[7], row[8] = block[CODE] / units, block[BREAKS], block[IMAGES]
    row[9], row[10], row[11] = block[PUNCT] / units, block[LAST], block[UPPER] / max(block[LETTERS], 1)
    row[12], row[13], row[14] = block[DIGITS] / chars, block[FIRST], copies
    row[15], row[16] = block[SEPARATORS] > 0, block[MONEY] > 0


@numba.njit(cache=True, nogil=True)
def _page(nodes, blocks, sums, prose, best, above, within, facts):  # type: ignore[no-untyped-def]
    """What is the same for all blocks of a page."""
    row = np.zeros(_N_PLACED + len(facts), F32)
    total, linked = max(sums[0, 0], 1), sums[0, 1]
    text = longest = comments = listed = tabled = coded = images = 0
    for b in range(len(blocks)):
        units, node = blocks[b, UNITS], blocks[b, NODE]
        if units >= 20 and blocks[b, LINK] < PROSE_LINKS * units:
            text += units
        longest = max(longest, units)
        comments += above[node] & _COMMENT != 0
        listed += units if within[node, 0] > 0 else 0
        tabled += units if within[node, 1] > 0 else 0
        coded += units if nodes[node, NODE_TAG] == _PRE else 0
        images += blocks[b, IMAGES]
    articles = mains = headings = forms = 0
    for i in range(len(nodes)):
        tag = nodes[i, NODE_TAG]
        articles += tag == _ARTICLE
        mains += tag == _MAIN
        headings += _HEADINGS[0] <= tag <= _HEADINGS[1]
        forms += tag == _FORM
    row[0], row[1], row[2] = total, linked / total, len(blocks)
    row[3], row[4], row[5], row[6] = articles, mains, text / total, longest
    row[7], row[8] = prose[best] / total, comments / max(len(blocks), 1)
    row[9], row[10], row[11] = listed / total, tabled / total, coded / total
    row[12], row[13], row[14] = headings, images, forms
    row[_N_PLACED:] = facts
    return row


@numba.njit(cache=True, nogil=True)
def _features(nodes, bits, signs, blocks, hashes, facts):  # type: ignore[no-untyped-def]
    n = len(blocks)
    out = np.zeros((n, N_COLUMNS), F32)
    if n == 0:
        return out
    sums, prose = _filling(nodes, blocks)
    best = 0
    for i in range(len(nodes)):
        if prose[i] > prose[best]:
            best = i
    above, distance, within = _inherited(nodes, bits, best)
    copies, _, _ = _alike(hashes)
    paths = _path_signs(nodes, signs)
    alike, classes, n_classes = _alike(paths[blocks[:, NODE]])
    of_class = np.zeros(n_classes, np.int64)
    for b in range(n):
        of_class[classes[b]] += blocks[b, UNITS]
    siblings, groups, n_groups = _alike(signs * np.uint64(0x9E3779B97F4A7C15) + nodes[:, PARENT].astype(np.uint64))
    of_group = np.zeros((n_groups, 2), np.int64)
    for i in range(len(nodes)):
        of_group[groups[i], 0] += sums[i, 0]
        of_group[groups[i], 1] += sums[i, 1]
    containers = _shares_within(nodes, bits, sums)
    page = _page(nodes, blocks, sums, prose, best, above, within, facts)
    total, all_prose = max(sums[0, 0], 1), 1.0
    first, last, h1 = 0, n - 1, -1
    seen = False
    for b in range(n):
        node = blocks[b, NODE]
        if within[node, 4]:
            if not seen:
                first, seen = b, True
            last = b
        if h1 < 0 and nodes[node, NODE_TAG] == _H1:
            h1 = b
        if blocks[b, UNITS] >= PROSE_UNITS and blocks[b, LINK] < PROSE_LINKS * blocks[b, UNITS]:
            all_prose += blocks[b, UNITS]
        _own(out[b], blocks[b], copies[b])
    prose_before, heading, heading_level = 0.0, -1, 0
    near_at, place_at = len(_OWN), len(_OWN) + len(_OFFSETS) * len(_NEAR)
    tag_at = place_at + len(_PLACE)
    group_at = tag_at + len(_TAG_NUMBERS)
    up_at = group_at + _GROUPS
    page_at = up_at + _UP * len(_ANCESTORS)
    for b in range(n):
        row, node, units = out[b], blocks[b, NODE], blocks[b, UNITS]
        tag = nodes[node, NODE_TAG]
        column = near_at
        for offset in _OFFSETS:
            other = b + offset
            if 0 <= other < n:
                row[column], row[column + 1], row[column + 2] = out[other, 0], out[other, 3], out[other, 9]
                row[column + 3] = nodes[blocks[other, NODE], NODE_TAG] == tag
            else:
                row[column : column + 4] = -1
            column += 4
        near, near_links = 0, 0
        low, high = max(0, b - 6), min(n, b + 7)
        for other in range(low, high):
            near += blocks[other, UNITS]
            near_links += blocks[other, LINK]
        if _HEADINGS[0] <= tag <= _HEADINGS[1]:
            heading, heading_level = b, tag - _HEADINGS[0] + 1
        row[place_at], row[place_at + 1] = near / (high - low), near_links / max(near, 1)
        row[place_at + 2], row[place_at + 3], row[place_at + 4] = b / n, b, n - b
        row[place_at + 5], row[place_at + 6], row[place_at + 7] = b - first, last - b, within[node, 4]
        row[place_at + 8], row[place_at + 9] = b - h1 if h1 >= 0 else -_FAR, distance[node]
        row[place_at + 10], row[place_at + 11], row[place_at + 12] = (
            nodes[node, LEVEL],
            nodes[node, IS_HIDDEN],
            nodes[node, INDEX],
        )
        row[place_at + 13], row[place_at + 14] = alike[b], of_class[classes[b]] / total
        row[place_at + 15], row[place_at + 16] = b - heading if heading >= 0 else -_FAR, heading_level
        row[place_at + 17], row[place_at + 18] = prose_before / all_prose, siblings[node]
        for k in range(4):
            row[place_at + 19 + k] = within[node, k]
        row[place_at + 23] = _steps_to_common(nodes, node, blocks[b - 1, NODE]) if b > 0 else _COMMON_UP
        row[place_at + 24] = _steps_to_common(nodes, node, blocks[b + 1, NODE]) if b + 1 < n else _COMMON_UP
        for k in range(3):
            row[place_at + 25 + k] = containers[node, k] / total
        step = node
        for _ in range(_GROUP_UP):
            if step < 0 or siblings[step] >= _LEAST_GROUP:
                break
            step = nodes[step, PARENT]
        if step >= 0 and siblings[step] >= _LEAST_GROUP:
            group = of_group[groups[step]]
            row[place_at + 28], row[place_at + 29] = siblings[step], nodes[node, LEVEL] - nodes[step, LEVEL]
            row[place_at + 30], row[place_at + 31] = group[0] / siblings[step], group[1] / max(group[0], 1)
            row[place_at + 32] = group[0] / total
        if units >= PROSE_UNITS and blocks[b, LINK] < PROSE_LINKS * units:
            prose_before += units
        for k in range(len(_TAG_NUMBERS)):
            row[tag_at + k] = _TAG_NUMBERS[k] == tag
        up = nodes[node, PARENT]
        close = bits[node] | (bits[up] if up >= 0 else np.uint64(0))
        middle = close
        step = up
        for _ in range(2):
            step = nodes[step, PARENT] if step >= 0 else -1
            middle |= bits[step] if step >= 0 else np.uint64(0)
        for k in range(_GROUPS):
            shift = np.uint64(k)
            row[group_at + k] = ((close >> shift) & ONE) + ((middle >> shift) & ONE) + ((above[node] >> shift) & ONE)
        step, column = node, up_at
        for _ in range(_UP):
            if step >= 0:
                size = max(sums[step, 0], 1)
                row[column], row[column + 1], row[column + 2] = sums[step, 0], sums[step, 1] / size, sums[step, 2]
                row[column + 3], row[column + 4] = prose[step] / size, sums[step, 0] / total
                step = nodes[step, PARENT]
            else:
                row[column : column + 5] = -1
            column += 5
        row[page_at:] = page
    return out
