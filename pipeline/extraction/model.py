"""The trees that judge blocks and pages, as they lie in model.npz; MODEL.md tells what they were trained on."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.boosted_trees import PROBABILITY_UNIT, Trees, probabilities, sums_of
from pipeline.kernels.html_features import COLUMNS, N_COLUMNS, N_PAGE
from pipeline.kernels.kept_blocks import kept_figures

MODEL_FILE = Path(__file__).with_name("model.npz")
PAGE_TYPES = ("article", "collection", "documentation", "forum", "listing", "product", "service")
# of the whole page, for its type and the quality of its text: what it says of itself, and what was kept
KEPT_COLUMNS = ("expected", "kept_units", "kept_share", "kept_blocks", "sure", "kept_links", "kept_punctuation",
                "kept_alike", "kept_in_best", "kept_lists", "kept_table", "kept_post", "kept_comment", "kept_product",
                "kept_price", "kept_doc", "kept_code", "kept_card", "kept_headings", "kept_links_blocks")  # fmt: skip
PAGE_COLUMNS = (*COLUMNS[-N_PAGE:], *KEPT_COLUMNS)
# features of the blocks whose mean over the kept words says something of the page
_MEANS = ("links_share", "punctuation", "alike", "in_best", "in_lists", "in_table", "says_post", "says_comment",
          "says_product", "says_price", "says_doc", "says_code", "says_card")  # fmt: skip
_AT = {name: number for number, name in enumerate(COLUMNS)}
_MEAN_COLUMNS = np.array([_AT[name] for name in _MEANS])
_UNITS, _LINKS = _AT["units"], _AT["links"]
_HEADING_COLUMNS = np.array([_AT[f"tag_h{level}"] for level in range(1, 6)])


@dataclass(frozen=True)
class Model:
    """Trees and tables.

    Attributes:
        blocks: Whether a block is the page's text.
        wanted: Probability of each step of their sum.
        types: One set of trees for each of PAGE_TYPES.
        quality: How good the text is likely to be.
        scores: F1 of each step of their sum.
    """

    blocks: Trees
    wanted: NDArray[np.int64]
    types: tuple[Trees, ...]
    quality: Trees
    scores: NDArray[np.int64]

    def block_sums(self, rows: NDArray[np.float32]) -> NDArray[np.int64]:
        """What the trees say of each block."""
        return sums_of(rows, *self.blocks)  # type: ignore[no-any-return]

    def block_probabilities(self, sums: NDArray[np.int64]) -> NDArray[np.int64]:
        """Probability that a block is wanted, in PROBABILITY_UNIT."""
        return probabilities(sums, self.wanted)  # type: ignore[no-any-return]

    def type_sums(self, page: NDArray[np.float32]) -> list[int]:
        """How much speaks for each of PAGE_TYPES, in LEAF_UNIT."""
        return [int(sums_of(page[None], *trees)[0]) for trees in self.types]

    def score(self, page: NDArray[np.float32]) -> float:
        """F1 that the text is likely to have, 0 to 1."""
        return float(probabilities(sums_of(page[None], *self.quality), self.scores)[0]) / PROBABILITY_UNIT


def type_of(sums: list[int]) -> str:
    """The type that most speaks for, the first of several."""
    return PAGE_TYPES[sums.index(max(sums))]


def page_row(
    rows: NDArray[np.float32], wanted: NDArray[np.int64], keep: NDArray[np.bool_], expected: float
) -> NDArray[np.float32]:
    """What the trees of the whole page look at, float32 (PAGE_COLUMNS)."""
    page = np.zeros(len(PAGE_COLUMNS), np.float32)
    if not len(rows):
        return page
    page[:N_PAGE] = rows[0, N_COLUMNS - N_PAGE :]
    sums = np.empty(6 + len(_MEAN_COLUMNS))
    kept_figures(rows, wanted, keep, _UNITS, _LINKS, _MEAN_COLUMNS, _HEADING_COLUMNS, sums)
    units, kept, blocks, sure, headings, links = sums[:6].tolist()
    kept = max(kept, 1.0)
    page[N_PAGE : N_PAGE + 5] = (expected, kept, kept / max(units, 1.0), blocks, sure / PROBABILITY_UNIT / kept)
    page[N_PAGE + 5 : -2] = sums[6:] / kept
    page[-2:] = headings, links
    return page


@cache
def load_model(path: Path = MODEL_FILE) -> Model:
    """The model; ``path`` is another one's, for its training."""
    with np.load(path, allow_pickle=False) as file:
        trees = {
            name: Trees(*(np.ascontiguousarray(file[f"{name}.{field}"]) for field in Trees._fields))
            for name in ("blocks", "quality", *(f"type.{kind}" for kind in PAGE_TYPES))
        }
        return Model(
            trees["blocks"],
            file["wanted"],
            tuple(trees[f"type.{kind}"] for kind in PAGE_TYPES),
            trees["quality"],
            file["scores"],
        )
