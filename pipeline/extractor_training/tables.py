"""Features and labels of the blocks of gold pages, and which pages are trained on.

A domain is on one side only, in all sets alike: WCXB's test domains and every other domain of the other sets, by a hash
of its name, are held out; a page of WCXB's dev set on one of those is left out altogether.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.extraction.page_tree import page_tree
from pipeline.extractor_training.gold import GoldPage, read_set
from pipeline.extractor_training.labels import labels, labels_of_segments, plain
from pipeline.kernels.html_blocks import FROM, TO, UNITS, Layout

TRAINED = ("wcxb-dev", "trafilatura", "scrapinghub", "magic-article", "magic-forum")
FOLDS = 3


@dataclass
class PageTable:
    """The blocks of one page.

    Attributes:
        layout: Its elements and blocks.
        features: float32 (blocks, columns).
        share: Of each block, how much of it is wanted; -1: not known. float32 (blocks).
        units: Its words, int64 (blocks).
        texts: Its text.
    """

    page: GoldPage
    layout: Layout
    features: NDArray[np.float32]
    share: NDArray[np.float32]
    units: NDArray[np.int64]
    texts: list[str]

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weight of each block: all pages count about alike, and in a page its words."""
        weights = (self.units + 0.3) / (self.units.sum() + 50.0)
        return np.where(self.share < 0, 0.0, weights)


def is_held_out(domain: str) -> bool:
    """Whether a domain of a set without a test set of its own is held out: half of them are."""
    return zlib.crc32(domain.encode()) & 1 == 1


def fold_of(domain: str) -> int:
    """In which fold of cross-validation a domain is."""
    return zlib.crc32(b"f" + domain.encode()) % FOLDS


def held_out_domains(sets: Iterable[tuple[str, list[PageTable]]]) -> set[str]:
    """Every domain that no tree may see."""
    return {
        table.page.domain
        for name, tables in sets
        for table in tables
        if name == "wcxb-test" or (name != "wcxb-dev" and is_held_out(table.page.domain))
    }


def read_tables(name: str, clones: Path, workers: int = 1) -> list[PageTable]:
    """The pages of a set as tables, in their order; a page without any block is left out of training, not of scores."""
    if workers == 1:
        return list(map(page_table, read_set(name, clones)))
    with get_context("forkserver").Pool(workers) as pool:
        return list(pool.imap(page_table, read_set(name, clones), chunksize=8))


def page_table(page: GoldPage) -> PageTable:
    """The table of one page."""
    tree = page_tree(page.html)
    blocks = tree.layout.blocks
    texts = [plain(tree.html[start:end]) for start, end in blocks[:, [FROM, TO]].tolist()]
    known = page.text is not None
    share = labels(texts, page.text or "") if known else labels_of_segments(texts, page.wanted, page.unwanted)
    return PageTable(page, tree.layout, tree.features, share, blocks[:, UNITS].astype(np.int64), texts)


def joined(tables: list[PageTable]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """Features, labels and weights of all known blocks of many pages; the weights' mean is 1."""
    features = np.concatenate([table.features for table in tables])
    share = np.concatenate([table.share for table in tables])
    weights = np.concatenate([table.weights for table in tables])
    known = weights > 0
    return features[known], share[known], weights[known] / weights[known].mean()


def in_folds(tables: list[PageTable]) -> Iterator[tuple[list[PageTable], list[PageTable]]]:
    """For each fold the tables to train on and those to judge."""
    for fold in range(FOLDS):
        here = [fold_of(table.page.domain) == fold for table in tables]
        yield (
            [table for table, mine in zip(tables, here, strict=True) if not mine],
            [table for table, mine in zip(tables, here, strict=True) if mine],
        )
