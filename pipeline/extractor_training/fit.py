"""Fits the trees with lightgbm, and writes them as pipeline/kernels/boosted_trees.py reads them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.extraction.choice import chosen, likeliest
from pipeline.extraction.model import PAGE_TYPES, page_row
from pipeline.extractor_training.tables import FOLDS, PageTable, in_folds, joined
from pipeline.kernels.boosted_trees import (
    LEAF_UNIT,
    LIMIT,
    PROBABILITY_UNIT,
    STEPS,
    Trees,
    probabilities,
    sums_of,
)

_SAME = {"verbose": -1, "num_threads": 1, "seed": 1, "deterministic": True, "max_bin": 63, "lambda_l2": 5.0}
BLOCKS = {**_SAME, "objective": "cross_entropy", "learning_rate": 0.1, "num_leaves": 56, "min_data_in_leaf": 60,
          "feature_fraction": 0.3, "bagging_fraction": 0.5, "bagging_freq": 1}  # fmt: skip
BLOCK_ROUNDS = 230
PAGES = {**_SAME, "objective": "binary", "learning_rate": 0.1, "num_leaves": 6, "min_data_in_leaf": 20,
         "feature_fraction": 0.4, "bagging_fraction": 0.7, "bagging_freq": 1}  # fmt: skip
TYPE_ROUNDS, QUALITY_ROUNDS = 60, 80
NEWTON_STEPS = 30


def fit(params: dict[str, Any], rows: Any, wanted: Any, weights: Any, rounds: int) -> Trees:
    """Fits trees, and takes them out of the library's model."""
    import lightgbm

    data = lightgbm.Dataset(rows, wanted, weight=weights, params={"verbose": -1, "max_bin": params["max_bin"]})
    return trees_of(lightgbm.train(params, data, rounds).dump_model())


def trees_of(dumped: dict[str, Any]) -> Trees:
    """A dumped model as arrays.  A threshold becomes the greatest float32 that is not above it: features are such."""
    roots: list[int] = []
    columns: list[int] = []
    thresholds: list[np.float32] = []
    children: list[list[int]] = []
    values: list[int] = []

    def place(node: dict[str, Any]) -> int:
        if "leaf_value" in node:
            values.append(round(node["leaf_value"] * LEAF_UNIT))
            return ~(len(values) - 1)
        assert node["decision_type"] == "<=", node["decision_type"]
        number = len(columns)
        columns.append(node["split_feature"])
        threshold = np.float32(node["threshold"])
        below = threshold if float(threshold) <= node["threshold"] else np.nextafter(threshold, np.float32(-np.inf))
        thresholds.append(np.float32(below))
        children.append([0, 0])
        children[number] = [place(node["left_child"]), place(node["right_child"])]
        return number

    for tree in dumped["tree_info"]:
        roots.append(place(tree["tree_structure"]))
    return Trees(
        np.array(roots, np.int32),
        np.array(columns, np.int16),
        np.array(thresholds, np.float32),
        np.array(children, np.int32).reshape(-1, 2),
        np.array(values, np.int32),
    )


def fit_blocks(tables: list[PageTable], rounds: int = BLOCK_ROUNDS) -> Trees:
    """The trees that judge blocks."""
    return fit(BLOCKS, *joined(tables), rounds)


def unseen_sums(tables: list[PageTable], rounds: int = BLOCK_ROUNDS) -> dict[int, NDArray[np.int64]]:
    """Of each page, by the id of its table, what trees say of its blocks that were fitted to the other folds."""
    found = {}
    for seen, unseen in in_folds(tables):
        trees = fit_blocks(seen, rounds)
        for table in unseen:
            found[id(table)] = sums_of(table.features, *trees)
    return found


def calibrated(sums: NDArray[np.int64], truth: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """A table of probabilities by the sum's step: the logistic of a line of the sum that fits what was true (Platt)."""
    x = np.column_stack([sums / LEAF_UNIT, np.ones(len(sums))])
    line = np.array([1.0, 0.0])
    for _ in range(NEWTON_STEPS):
        guess = 1 / (1 + np.exp(-(x @ line)))
        slope = weights * guess * (1 - guess)
        line -= np.linalg.solve((x * slope[:, None]).T @ x + 1e-9 * np.eye(2), x.T @ (weights * (guess - truth)))
    steps = np.arange(-LIMIT * STEPS, LIMIT * STEPS + 1) / STEPS
    table: NDArray[np.int64] = np.rint(PROBABILITY_UNIT / (1 + np.exp(-(line[0] * steps + line[1])))).astype(np.int64)
    return table


def page_rows(
    tables: list[PageTable], sums: dict[int, NDArray[np.int64]], wanted: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Rows of the pages for the trees of types and quality."""
    return np.array(
        [
            page_row(table.features, likely, *likeliest(table.layout, sums[id(table)], likely))
            for table, likely in _likely(tables, sums, wanted)
        ],
        np.float32,
    )


def _likely(
    tables: list[PageTable], sums: dict[int, NDArray[np.int64]], wanted: NDArray[np.int64]
) -> Iterator[tuple[PageTable, NDArray[np.int64]]]:
    """Each page, and how likely each of its blocks is wanted."""
    for table in tables:
        yield table, probabilities(sums[id(table)], wanted)


def kept_of(
    tables: list[PageTable],
    sums: dict[int, NDArray[np.int64]],
    wanted: NDArray[np.int64],
    type_sums: NDArray[np.int64],
) -> list[NDArray[np.bool_]]:
    """What is kept of each page; ``type_sums``: what speaks for each type, a row a page."""
    return [
        chosen(table.layout, table.features, likeliest(table.layout, sums[id(table)], likely)[0], likely, of_types)[0]
        for (table, likely), of_types in zip(_likely(tables, sums, wanted), type_sums.tolist(), strict=True)
    ]


def fit_types(rows: NDArray[np.float32], kinds: list[str]) -> tuple[Trees, ...]:
    """One set of trees for each type of page: is it that one?"""
    return tuple(
        fit(PAGES, rows, np.array([kind == wanted for kind in kinds], np.float32), None, TYPE_ROUNDS)
        for wanted in PAGE_TYPES
    )


def fit_quality(rows: NDArray[np.float32], f1: NDArray[np.float32]) -> Trees:
    """Trees for the F1 that the text of a page will have."""
    return fit({**PAGES, "objective": "cross_entropy"}, rows, f1, None, QUALITY_ROUNDS)


def unseen_quality(rows: NDArray[np.float32], f1: NDArray[np.float32], folds: NDArray[np.int64]) -> NDArray[np.int64]:
    """What quality trees that were fitted to the other folds say of each page."""
    found = np.zeros(len(rows), np.int64)
    for fold in range(FOLDS):
        here = folds == fold
        found[here] = sums_of(rows[here], *fit_quality(rows[~here], f1[~here]))
    return found


def unseen_types(rows: NDArray[np.float32], kinds: list[str], folds: NDArray[np.int64]) -> NDArray[np.int64]:
    """What speaks for each type of each page, by trees that were fitted to the other folds; a kind may be ""."""
    found = np.zeros((len(rows), len(PAGE_TYPES)), np.int64)
    typed = np.array([bool(kind) for kind in kinds])
    for fold in range(FOLDS):
        here, seen = folds == fold, np.flatnonzero((folds != fold) & typed)
        for number, trees in enumerate(fit_types(rows[seen], [kinds[place] for place in seen.tolist()])):
            found[here, number] = sums_of(rows[here], *trees)
    return found


def save(path: Path, blocks: Trees, wanted: Any, types: tuple[Trees, ...], quality: Trees, scores: Any) -> None:
    """Writes the model file."""
    named = {"blocks": blocks, "quality": quality, **{f"type.{k}": t for k, t in zip(PAGE_TYPES, types, strict=True)}}
    arrays = {f"{name}.{field}": getattr(trees, field) for name, trees in named.items() for field in Trees._fields}
    np.savez_compressed(path, wanted=wanted, scores=scores, **arrays)
