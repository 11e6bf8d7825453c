"""Which blocks of a page are its text: what the trees say of each, the best set of them, and rules about whole regions.

The choice is the set whose expected F-measure, by words, is greatest.  The rules then mend what a choice block by block
cannot know: they take out what no reader would call text, and fill in what belongs to what was kept.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.extraction.model import Model, page_row
from pipeline.extraction.page_tree import PageTree
from pipeline.kernels.boosted_trees import PROBABILITY_UNIT, best_choice
from pipeline.kernels.html_blocks import NODE_TAG, UNITS
from pipeline.kernels.html_chains import chains, within_kept_text
from pipeline.kernels.html_names import TAGS
from pipeline.kernels.kept_blocks import HIDDEN_TEXT, IN_BUTTON, LINKS, NOTICE, kinds_of_kept

NO_TEXT_HIDDEN = "hidden beside text that is not"
FILLED = "within kept text"
NO_TEXT_BUTTON, NO_TEXT_NOSCRIPT, NO_TEXT_LINKS = "a button", "a notice to those without scripts", "a line of links"
_NO_TEXT = {HIDDEN_TEXT: NO_TEXT_HIDDEN, LINKS: NO_TEXT_LINKS, NOTICE: NO_TEXT_NOSCRIPT}
_HOLD_TEXT = frozenset(("h1", "h2", "h3", "h4", "h5", "h6", "dt", "summary", "th"))  # a button in these is a heading
_FILLED_PROBABILITY = 0.15  # by scripts, and a region within kept text so likely on average is kept


@dataclass(slots=True)
class Choice:
    """What was chosen.

    Attributes:
        keep: Of each block, whether it is text.
        wanted: Of each block, the probability of that, in PROBABILITY_UNIT.
        rules: Blocks that a rule has taken out or filled in, and which.
        page_type: One of PAGE_TYPES.
        score: F1 that the text is likely to have, 0 to 1.
    """

    keep: NDArray[np.bool_]
    wanted: NDArray[np.int64]
    rules: dict[int, str]
    page_type: str
    score: float


def choose(tree: PageTree, model: Model) -> Choice:
    """Chooses the blocks of a page."""
    layout = tree.layout
    sums = model.block_sums(tree.features)
    wanted = model.block_probabilities(sums)
    keep, expected = best_choice(sums, wanted, layout.blocks[:, UNITS].astype(np.int64))
    page = page_row(tree.features, wanted, keep, float(expected))
    least = int(_FILLED_PROBABILITY * PROBABILITY_UNIT)
    filled = within_kept_text(layout.nodes, layout.blocks, keep, wanted, least)
    keep |= filled
    rules = dict.fromkeys(np.flatnonzero(filled).tolist(), FILLED) | _take_out(tree, keep)
    return Choice(keep, wanted, rules, model.page_type(page), model.score(page))


def _take_out(tree: PageTree, keep: NDArray[np.bool_]) -> dict[int, str]:
    """Takes out of ``keep`` what is no text."""
    layout = tree.layout
    kinds = kinds_of_kept(layout.nodes, layout.blocks, keep)
    found = np.flatnonzero(kinds)
    if not len(found):
        return {}
    dropped = {block: _NO_TEXT[kinds[block] % IN_BUTTON] for block in found.tolist() if kinds[block] % IN_BUTTON}
    buttons = found[kinds[found] >= IN_BUTTON]
    for block, chain in zip(buttons.tolist(), chains(layout.nodes, layout.blocks, buttons), strict=True):
        if not any(TAGS[layout.nodes[node, NODE_TAG]] in _HOLD_TEXT for node in chain):
            dropped[block] = NO_TEXT_BUTTON
    keep[list(dropped)] = False
    return dropped
