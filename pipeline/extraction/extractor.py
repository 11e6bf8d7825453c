"""One page to its text, with our own extractor: ``clean.extractor = "tokenmill"``."""

from dataclasses import dataclass

import numpy as np

from pipeline.extraction.choice import Choice, choose
from pipeline.extraction.model import load_model
from pipeline.extraction.page_tree import PageTree, page_tree
from pipeline.extraction.posts import first_blocks_of_posts
from pipeline.extraction.shapes import shapes_of
from pipeline.extraction.writing import write


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a page became.

    Attributes:
        text: Empty where the page has none.
        page_type: One of ``model.PAGE_TYPES``; None where the page has no text.
        score: F1 that the text is likely to have, 0 to 1; None where there is none.
    """

    text: str
    page_type: str | None
    score: float | None


def extract_page(html: str, *, markdown: bool = False) -> Extracted:
    """The text of a page."""
    tree = page_tree(html)
    if not len(tree.layout.blocks):
        return Extracted("", None, None)
    choice = choose(tree, load_model())
    tree.features = tree.features[:0].copy()  # several times the page where its paragraphs are short; needed no more
    text = text_of(tree, choice, markdown=markdown)
    return Extracted(text, choice.page_type, choice.score) if text else Extracted("", None, None)


def text_of(tree: PageTree, choice: Choice, *, markdown: bool) -> str:
    """The text of what was chosen."""
    kept = np.flatnonzero(choice.keep)
    posts = first_blocks_of_posts(tree, kept) if choice.page_type == "forum" else frozenset[int]()
    return write(tree, shapes_of(tree, kept, markdown=markdown), markdown=markdown, posts=posts)
