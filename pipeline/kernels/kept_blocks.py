"""What is seen of the blocks that were chosen: figures of the whole page, and which of them are no text after all."""

import numba
import numpy as np

from pipeline.kernels.html_blocks import IS_HIDDEN, LINK, NODE, NODE_TAG, PARENT, SEPARATORS, UNITS
from pipeline.kernels.html_names import TAG

_BUTTON, _NOSCRIPT = TAG["button"], TAG["noscript"]
HIDDEN_SHARE = 0.3  # hidden words that are fewer than this share of the kept ones are none; else the page is unhidden
LINK_LINE_UNITS, LINK_LINE_SHARE = 40, 0.85
NOTICE_UNITS = 30  # of a notice to those without scripts; a page whose text stands there has more
TEXT, HIDDEN_TEXT, LINKS, NOTICE, IN_BUTTON = 0, 1, 2, 3, 4


@numba.njit(cache=True, nogil=True)
def kept_figures(rows, wanted, keep, units_at, links_at, mean_columns, heading_columns, found):  # type: ignore[no-untyped-def]
    """Sums over the kept blocks, float64, into ``found``.

    Args:
        rows: Features, (blocks, columns).
        wanted: Probability of each block, of any unit.
        keep: The chosen ones.
        units_at: Column of a block's words.
        links_at: Column of its links.
        mean_columns: Columns that are weighed by words.
        heading_columns: Columns that are counted.
        found: Words of all blocks, those of the kept ones, kept blocks, probabilities weighed by words, headings,
            links, then the columns weighed by words.
    """
    found[:] = 0.0
    for i in range(len(rows)):
        units = np.float64(rows[i, units_at])
        found[0] += units
        if not keep[i]:
            continue
        found[1] += units
        found[2] += 1.0
        found[3] += units * wanted[i]
        for column in heading_columns:
            found[4] += rows[i, column]
        found[5] += rows[i, links_at]
        for place in range(len(mean_columns)):
            found[6 + place] += units * np.float64(rows[i, mean_columns[place]])


@numba.njit(cache=True, nogil=True)
def kinds_of_kept(nodes, blocks, keep):  # type: ignore[no-untyped-def]
    """Of each kept block whether it is TEXT or what else, uint8; TEXT of the others.

    IN_BUTTON is added to that where it stands in a button, which is text all the same if an element around it says so.
    """
    noscript = np.zeros(len(nodes), np.bool_)
    for i in range(len(nodes)):
        noscript[i] = nodes[i, NODE_TAG] == _NOSCRIPT or (i > 0 and noscript[nodes[i, PARENT]])
    all_units = hidden_units = 0
    for i in range(len(blocks)):
        if keep[i]:
            all_units += blocks[i, UNITS]
            hidden_units += blocks[i, UNITS] * (nodes[blocks[i, NODE], IS_HIDDEN] > 0)
    hides = hidden_units < HIDDEN_SHARE * all_units
    kinds = np.zeros(len(blocks), np.uint8)
    for i in range(len(blocks)):
        if not keep[i]:
            continue
        node, units, links = blocks[i, NODE], blocks[i, UNITS], blocks[i, LINK]
        is_line = blocks[i, SEPARATORS] > 0 and units <= LINK_LINE_UNITS
        if units <= NOTICE_UNITS and noscript[node]:
            kinds[i] = NOTICE
        elif is_line and links > 0 and links >= LINK_LINE_SHARE * units:
            kinds[i] = LINKS
        elif hides and nodes[node, IS_HIDDEN] > 0:
            kinds[i] = HIDDEN_TEXT
        if nodes[node, NODE_TAG] == _BUTTON:
            kinds[i] += IN_BUTTON
    return kinds
