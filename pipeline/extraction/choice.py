"""Which blocks of a page are its text: what the trees say of each, the best set of them, and rules about whole regions.

The choice is the set whose expected F1, by words, is greatest.  The rules then mend what a choice block by block cannot
know: they take out what no reader would call text, and fill in what belongs to what was kept.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.extraction.model import Model, page_row
from pipeline.extraction.page_tree import PageTree
from pipeline.kernels.boosted_trees import best_choice
from pipeline.kernels.html_blocks import LINK, NODE, NODE_TAG, SEPARATORS, UNITS
from pipeline.kernels.html_chains import chains, spread_down
from pipeline.kernels.html_names import TAG, TAGS

NO_TEXT_BUTTON, NO_TEXT_NOSCRIPT, NO_TEXT_LINKS = "a button", "a notice to those without scripts", "a line of links"
_BUTTON, _NOSCRIPT = TAG["button"], TAG["noscript"]
_HOLD_TEXT = frozenset(("h1", "h2", "h3", "h4", "h5", "h6", "dt", "summary", "th"))  # a button in these is a heading
_NOTICE_UNITS = 30  # of a notice to those without scripts; a page whose text stands there has more
_LINK_LINE_UNITS, _LINK_LINE_SHARE = 40, 0.85


@dataclass(slots=True)
class Choice:
    """What was chosen.

    Attributes:
        keep: Of each block, whether it is text.
        wanted: Of each block, the probability of that, in PROBABILITY_UNIT.
        dropped_by: Blocks that a rule has taken out, and which.
        page_type: One of PAGE_TYPES.
        score: F1 that the text is likely to have, 0 to 1.
    """

    keep: NDArray[np.bool_]
    wanted: NDArray[np.int64]
    dropped_by: dict[int, str]
    page_type: str
    score: float


def choose(tree: PageTree, model: Model) -> Choice:
    """Chooses the blocks of a page."""
    blocks = tree.layout.blocks
    wanted = model.block_probabilities(model.block_sums(tree.features))
    keep, expected = best_choice(wanted, blocks[:, UNITS].astype(np.int64))
    page = page_row(tree.features, wanted, keep, float(expected))
    dropped_by = _take_out(tree, keep)
    return Choice(keep, wanted, dropped_by, model.page_type(page), model.score(page))


def _take_out(tree: PageTree, keep: NDArray[np.bool_]) -> dict[int, str]:
    """Takes out of ``keep`` what is no text."""
    layout = tree.layout
    dropped: dict[int, str] = {}
    kept = np.flatnonzero(keep)
    tags = layout.nodes[layout.blocks[kept, NODE], NODE_TAG]
    units, links = layout.blocks[kept, UNITS], layout.blocks[kept, LINK]
    line = (layout.blocks[kept, SEPARATORS] > 0) & (units <= _LINK_LINE_UNITS) & (links >= _LINK_LINE_SHARE * units)
    for block in kept[line & (links > 0)].tolist():
        dropped[block] = NO_TEXT_LINKS
    notices = kept[(units <= _NOTICE_UNITS) & _inside(tree, _NOSCRIPT)[layout.blocks[kept, NODE]]]
    for block in notices.tolist():
        dropped[block] = NO_TEXT_NOSCRIPT
    buttons = kept[tags == _BUTTON]
    for block, chain in zip(buttons.tolist(), chains(layout.nodes, layout.blocks, buttons), strict=True):
        if not any(TAGS[layout.nodes[node, NODE_TAG]] in _HOLD_TEXT for node in chain):
            dropped[block] = NO_TEXT_BUTTON
    keep[list(dropped)] = False
    return dropped


def _inside(tree: PageTree, tag: int) -> NDArray[np.bool_]:
    """Of each element, whether it is within one of that tag."""
    nodes = tree.layout.nodes
    inside: NDArray[np.bool_] = nodes[:, NODE_TAG] == tag
    if inside.any():
        spread_down(nodes, inside)
    return inside
