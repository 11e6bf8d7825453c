"""From a page's HTML to its blocks and their features.

lexbor (resiliparse) builds the tree and writes it out again, which costs a third of what extraction with it does; a
kernel reads that (pipeline/kernels/html_blocks.py), so that Python visits no node.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.html_blocks import Layout, read_blocks
from pipeline.kernels.html_features import FACTS, features

_OG_TYPE = re.compile(rb"""og:type["']?\s[^<>]{0,200}?content=["']([a-z.:_]{1,40})""", re.IGNORECASE)
_LD_TYPE = re.compile(rb'"@type"\s{0,8}:\s{0,8}\[?\s{0,8}"([A-Za-z]{1,40})"')
_HEAD_BYTES, _LD_TYPES = 200_000, 400
_LD_KINDS = {
    "ld_product": (b"Product", b"ProductGroup", b"Offer"),
    "ld_article": (b"Article", b"NewsArticle", b"BlogPosting", b"ReportageNewsArticle", b"TechArticle", b"Blog"),
    "ld_forum": (b"DiscussionForumPosting", b"QAPage", b"Question", b"Comment"),
    "ld_faq": (b"FAQPage",),
    "ld_list": (b"ItemList", b"CollectionPage", b"OfferCatalog", b"SearchResultsPage"),
}


@dataclass(slots=True)
class PageTree:
    """A page, read.

    Attributes:
        html: As lexbor writes it, UTF-8; blocks and elements are spans of it.
        layout: Its elements and blocks.
        features: Of each block, float32 (blocks, columns).
    """

    html: bytes
    layout: Layout
    features: NDArray[np.float32]


def page_tree(html: str) -> PageTree:
    """Reads a page."""
    written = _written(html).encode("utf-8", "replace")
    layout = read_blocks(written)
    return PageTree(written, layout, features(layout, said_of_itself(written)))


def _written(html: str) -> str:
    """The page as lexbor writes it; the tree, which is several times as large, is gone when it is."""
    from resiliparse.parse.html import HTMLTree

    document = HTMLTree.parse(html).document
    return "" if document is None else str(document.html)


def said_of_itself(written: bytes) -> NDArray[np.float32]:
    """What a page says of its kind in Open Graph and JSON-LD, as FACTS."""
    found = dict.fromkeys(FACTS, 0.0)
    at = written.find(b"og:type", 0, _HEAD_BYTES)
    if at >= 0 and (said := _OG_TYPE.match(written, at)):
        kind = said.group(1).lower()
        found["og_article"] = float(kind.startswith(b"article"))
        found["og_product"] = float(b"product" in kind)
        found["og_website"] = float(kind == b"website")
    types = set()
    at = written.find(b'"@type"')
    for _ in range(_LD_TYPES):
        if at < 0:
            break
        if said := _LD_TYPE.match(written, at):
            types.add(said.group(1))
        at = written.find(b'"@type"', at + 7)
    for name, kinds in _LD_KINDS.items():
        found[name] = float(any(kind in types for kind in kinds))
    return np.array([found[name] for name in FACTS], np.float32)
