"""Where the posts of a thread begin."""

import numpy as np
from numpy.typing import NDArray

from pipeline.extraction.page_tree import PageTree
from pipeline.kernels.html_blocks import NODE, UNITS
from pipeline.kernels.html_chains import repeated_parts

POST_UNITS = 5  # a repeated element with fewer words is no post
THREAD_SHARE = 0.5  # posts hold at least this share of the kept words


def first_blocks_of_posts(tree: PageTree, kept: NDArray[np.int64]) -> frozenset[int]:
    """The first kept block of each post but the first; empty where there are no posts.

    Posts are elements that look alike, stand in one parent, and hold most of what was kept: the most of such.
    """
    layout = tree.layout
    parts = repeated_parts(
        layout.nodes, layout.signs, layout.blocks[kept, NODE], layout.blocks[kept, UNITS], POST_UNITS, THREAD_SHARE
    )
    begins = np.flatnonzero((parts[1:] != parts[:-1]) & (parts[1:] >= 0)) + 1
    first = int(np.argmax(parts >= 0)) if len(parts) else 0
    return frozenset(kept[begins[begins > first]].tolist())
