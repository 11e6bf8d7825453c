"""Which blocks of a page are its text: what the trees say of each, the best set of them, and rules about whole regions.

The choice is the set whose expected F-measure, by words, is greatest.  The rules then mend what a choice block by block
cannot know: they take out what no reader would call text, and fill in what belongs to what was kept.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.extraction.model import PAGE_TYPES, Model, page_row, type_of
from pipeline.extraction.page_tree import PageTree
from pipeline.kernels.boosted_trees import LEAF_UNIT, PROBABILITY_UNIT, best_choice
from pipeline.kernels.html_blocks import IS_HIDDEN, LINK, NODE, NODE_TAG, UNITS, Layout
from pipeline.kernels.html_chains import chains, within_kept_text
from pipeline.kernels.html_features import COLUMNS
from pipeline.kernels.html_names import TAG, TAGS
from pipeline.kernels.kept_blocks import HIDDEN_TEXT, IN_BUTTON, LINKS, NOTICE, kinds_of_kept

# of recall beside precision in articles, beside whose text stands more that is none; this and the figures below were
# chosen on training pages, by trees of the other folds
ARTICLE_RECALL_WEIGHT = 0.6
NO_TEXT_HIDDEN = "hidden beside text that is not"
FILLED = "within kept text"
FILLED_BARE = "what a page without links or navigation shows"
NO_TEXT_BUTTON, NO_TEXT_NOSCRIPT, NO_TEXT_LINKS = "a button", "a notice to those without scripts", "a line of links"
NO_TEXT_AGAIN, NO_TEXT_COMMENT = "the same text again", "a comment on an article"
_NO_TEXT = {HIDDEN_TEXT: NO_TEXT_HIDDEN, LINKS: NO_TEXT_LINKS, NOTICE: NO_TEXT_NOSCRIPT}
_HOLD_TEXT = frozenset(("h1", "h2", "h3", "h4", "h5", "h6", "dt", "summary", "th"))  # a button in these is a heading
_AROUND_TEXT = [TAG[name] for name in ("nav", "header", "footer", "aside", "form")]
_FILLED_PROBABILITY = 0.15  # by scripts, and a region within kept text so likely on average is kept
_AGAIN_UNITS = 8  # a block of so many words stands in a text once, but for cells, code and documentation
_REPEATED = [TAG["td"], TAG["th"], TAG["pre"]]
_SUBHEADINGS = [TAG[f"h{level}"] for level in range(2, 7)]  # they give a text its structure, and are few words
_SURE_ARTICLE = 2 * LEAF_UNIT  # by so much an article rather than a thread: what is called a comment is one
_ARTICLE_UNITS = 30  # words that such an article has beside its comments
_COMMENT = COLUMNS.index("says_comment")


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
    sums = model.block_sums(tree.features)
    wanted = model.block_probabilities(sums)
    keep, expected = likeliest(tree.layout, sums, wanted)
    page = page_row(tree.features, wanted, keep, expected)
    type_sums = model.type_sums(page)
    keep, rules = chosen(tree.layout, tree.features, keep, wanted, type_sums)
    return Choice(keep, wanted, rules, type_of(type_sums), model.score(page))


def likeliest(layout: Layout, sums: NDArray[np.int64], wanted: NDArray[np.int64]) -> tuple[NDArray[np.bool_], float]:
    """The blocks of a page whose expected F-measure is greatest, before its type is known; and that F-measure."""
    keep, expected = best_choice(sums, wanted, _sizes(layout))
    return keep, float(expected)


def chosen(
    layout: Layout,
    features: NDArray[np.float32],
    keep: NDArray[np.bool_],
    wanted: NDArray[np.int64],
    type_sums: list[int],
) -> tuple[NDArray[np.bool_], dict[int, str]]:
    """The blocks of a page that are its text, and those of them that a rule has filled in or taken out.

    Args:
        layout: The page.
        features: Of its blocks.
        keep: The likeliest of them; written over.
        wanted: How likely each is, in PROBABILITY_UNIT.
        type_sums: How much speaks for each of PAGE_TYPES.
    """
    page_type = type_of(type_sums)
    if page_type == "article":
        subheadings = np.isin(layout.nodes[layout.blocks[:, NODE], NODE_TAG], _SUBHEADINGS)
        keep = stricter(keep, wanted, _sizes(layout)) | (keep & subheadings)
    rules = _fill_in(layout, keep, wanted) | _take_out(layout, keep)
    if page_type != "documentation":
        rules |= dict.fromkeys(_without(keep, _again(layout, keep)), NO_TEXT_AGAIN)
    article, forum = (type_sums[PAGE_TYPES.index(name)] for name in ("article", "forum"))
    if article - forum >= _SURE_ARTICLE:
        comments = keep & (features[:, _COMMENT] > 0)
        if _sizes(layout)[keep & ~comments].sum() >= _ARTICLE_UNITS:
            rules |= dict.fromkeys(_without(keep, np.flatnonzero(comments)), NO_TEXT_COMMENT)
    return keep, rules


def stricter(keep: NDArray[np.bool_], wanted: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The choice whose expected F-measure is greatest with ARTICLE_RECALL_WEIGHT, found from that with more recall.

    The best choice is of all blocks likelier than what it is worth; each step makes that worth greater, or ends.
    """
    hits = wanted * sizes
    while keep.any():
        worth = hits[keep].sum() / (sizes[keep].sum() + ARTICLE_RECALL_WEIGHT * hits.sum() / PROBABILITY_UNIT)
        likelier = keep & (wanted > worth)
        if likelier.sum() == keep.sum() or not likelier.any():
            break
        keep = likelier
    return keep


def _sizes(layout: Layout) -> NDArray[np.int64]:
    return layout.blocks[:, UNITS].astype(np.int64)


def _without(keep: NDArray[np.bool_], blocks: NDArray[np.int64]) -> list[int]:
    """Takes blocks out of ``keep``; which these are."""
    keep[blocks] = False
    found: list[int] = blocks.tolist()
    return found


def _again(layout: Layout, keep: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Kept blocks whose text another kept block has before them."""
    blocks = layout.blocks
    tags = layout.nodes[blocks[:, NODE], NODE_TAG]
    once = np.flatnonzero(keep & (blocks[:, UNITS] >= _AGAIN_UNITS) & ~np.isin(tags, _REPEATED))
    _, first = np.unique(layout.hashes[once], return_index=True)
    return np.delete(once, first)


def _fill_in(layout: Layout, keep: NDArray[np.bool_], wanted: NDArray[np.int64]) -> dict[int, str]:
    """Adds to ``keep`` what belongs to it; of a page that leads nowhere else, all that it shows."""
    nodes, blocks = layout.nodes, layout.blocks
    if blocks[:, LINK].any() or np.isin(nodes[:, NODE_TAG], _AROUND_TEXT).any():
        rule, least = FILLED, int(_FILLED_PROBABILITY * PROBABILITY_UNIT)
        filled = within_kept_text(nodes, blocks, keep, wanted, least)
    else:
        rule, filled = FILLED_BARE, ~keep & (nodes[blocks[:, NODE], IS_HIDDEN] == 0)
    keep |= filled
    return dict.fromkeys(np.flatnonzero(filled).tolist(), rule)


def _take_out(layout: Layout, keep: NDArray[np.bool_]) -> dict[int, str]:
    """Takes out of ``keep`` what is no text."""
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
