"""Fits the trees with lightgbm, and writes them as pipeline/kernels/boosted_trees.py reads them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.extraction.model import PAGE_TYPES, page_row
from pipeline.extraction.training.tables import PageTable, in_folds, joined
from pipeline.kernels.boosted_trees import (
    LEAF_UNIT,
    LIMIT,
    PROBABILITY_UNIT,
    STEPS,
    Trees,
    best_choice,
    probability_table,
)

_SAME = {"verbose": -1, "num_threads": 1, "seed": 1, "deterministic": True, "max_bin": 63, "lambda_l2": 5.0}
BLOCKS = {**_SAME, "objective": "cross_entropy", "learning_rate": 0.12, "num_leaves": 40, "min_data_in_leaf": 60,
          "feature_fraction": 0.3, "bagging_fraction": 0.5, "bagging_freq": 1}  # fmt: skip
BLOCK_ROUNDS = 200
PAGES = {**_SAME, "objective": "binary", "learning_rate": 0.1, "num_leaves": 6, "min_data_in_leaf": 20,
         "feature_fraction": 0.4, "bagging_fraction": 0.7, "bagging_freq": 1}  # fmt: skip
TYPE_ROUNDS, QUALITY_ROUNDS = 60, 80


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
    from pipeline.kernels.boosted_trees import sums_of

    found = {}
    for seen, unseen in in_folds(tables):
        trees = fit_blocks(seen, rounds)
        for table in unseen:
            found[id(table)] = sums_of(table.features, *trees)
    return found


def calibrated(sums: NDArray[np.int64], truth: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """A table of probabilities by the sum's step: the mean of what was true there, made to rise.

    Each step counts 50 blocks of mean weight of the logistic's value beside its own, so that rare steps follow it.
    """
    table = probability_table() / PROBABILITY_UNIT
    steps = np.clip((sums * STEPS + LEAF_UNIT // 2) // LEAF_UNIT + LIMIT * STEPS, 0, len(table) - 1)
    prior = 50.0 * weights.mean()
    have = np.bincount(steps, weights, len(table)) + prior
    mean = (np.bincount(steps, weights * truth, len(table)) + prior * table) / have
    return np.rint(_rising(mean, have) * PROBABILITY_UNIT).astype(np.int64)


def _rising(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rising sequence that is nearest to the values: neighbours that fall are pooled."""
    pools: list[list[float]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        pools.append([value, weight, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            late, early = pools.pop(), pools.pop()
            weight = early[1] + late[1]
            pools.append([(early[0] * early[1] + late[0] * late[1]) / weight, weight, early[2] + late[2]])
    return np.concatenate([np.full(int(count), value) for value, _, count in pools])


def page_rows(
    tables: list[PageTable], sums: dict[int, NDArray[np.int64]], wanted: NDArray[np.int64]
) -> tuple[NDArray[np.float32], list[NDArray[np.bool_]]]:
    """Rows of the pages for the trees of types and quality, and what is kept of each."""
    from pipeline.kernels.boosted_trees import probabilities

    rows, kept = [], []
    for table in tables:
        found = probabilities(sums[id(table)], wanted)
        keep, expected = best_choice(found, table.units)
        rows.append(page_row(table.features, found, keep, float(expected)))
        kept.append(keep)
    return np.array(rows, np.float32), kept


def fit_types(rows: NDArray[np.float32], kinds: list[str]) -> tuple[Trees, ...]:
    """One set of trees for each type of page: is it that one?"""
    return tuple(
        fit(PAGES, rows, np.array([kind == wanted for kind in kinds], np.float32), None, TYPE_ROUNDS)
        for wanted in PAGE_TYPES
    )


def fit_quality(rows: NDArray[np.float32], f1: NDArray[np.float32]) -> Trees:
    """Trees for the F1 that the text of a page will have."""
    return fit({**PAGES, "objective": "cross_entropy"}, rows, f1, None, QUALITY_ROUNDS)


def save(path: Path, blocks: Trees, wanted: Any, types: tuple[Trees, ...], quality: Trees, scores: Any) -> None:
    """Writes the model file."""
    named = {"blocks": blocks, "quality": quality, **{f"type.{k}": t for k, t in zip(PAGE_TYPES, types, strict=True)}}
    arrays = {f"{name}.{field}": getattr(trees, field) for name, trees in named.items() for field in Trees._fields}
    np.savez_compressed(path, wanted=wanted, scores=scores, **arrays)
