"""Trees that tests can follow by hand, the best choice against every choice, and what the training makes of trees."""

import itertools
import random

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.extraction.choice import ARTICLE_RECALL_WEIGHT, stricter
from pipeline.extraction.model import MODEL_FILE, PAGE_TYPES, load_model
from pipeline.extraction.page_tree import page_tree
from pipeline.extractor_training.fit import calibrated, trees_of
from pipeline.extractor_training.labels import labels, labels_of_segments, words
from pipeline.extractor_training.tables import fold_of, is_held_out
from pipeline.kernels.boosted_trees import LEAF_UNIT, PROBABILITY_UNIT, RECALL_WEIGHT, best_choice, sums_of
from pipeline.kernels.html_chains import within_kept_text
from pipeline.kernels.html_features import N_COLUMNS

DUMPED = {
    "tree_info": [
        {
            "tree_structure": {
                "split_feature": 1,
                "threshold": 0.1,
                "decision_type": "<=",
                "left_child": {"leaf_value": -1.0},
                "right_child": {
                    "split_feature": 0,
                    "threshold": 2.0,
                    "decision_type": "<=",
                    "left_child": {"leaf_value": 0.25},
                    "right_child": {"leaf_value": 2.0},
                },
            }
        },
        {"tree_structure": {"leaf_value": 0.5}},
    ]
}


@pytest.mark.parametrize("rows", [1, 8, 19])
def test_rows_fall_into_their_leaves(rows: int) -> None:
    trees = trees_of(DUMPED)
    cases = [((5, 0.09), -0.5), ((5, 0.2), 2.5), ((2, 0.2), 0.75), ((3, 0.05), -0.5)]
    table = np.array([cases[i % 4][0] for i in range(rows)], np.float32)
    wanted = [cases[i % 4][1] for i in range(rows)]
    assert (sums_of(table, *trees) / LEAF_UNIT).tolist() == wanted


def test_threshold_is_the_greatest_single_below_it() -> None:
    threshold = trees_of(DUMPED).thresholds[0]
    assert float(threshold) <= 0.1 < float(np.nextafter(threshold, np.float32(1)))


@pytest.mark.parametrize("seed", range(30))
def test_choice_is_the_best_of_all(seed: int) -> None:
    draw = random.Random(seed)
    n = draw.randrange(1, 9)
    sums = np.array([draw.randrange(-300_000, 300_000) for _ in range(n)], np.int64)
    wanted = np.rint(PROBABILITY_UNIT / (1 + np.exp(-sums / LEAF_UNIT))).astype(np.int64)
    sizes = np.array([draw.randrange(1, 50) for _ in range(n)], np.int64)
    keep, f1 = best_choice(sums, wanted, sizes)
    likely = wanted / PROBABILITY_UNIT

    def value(chosen: tuple[bool, ...], recall_weight: float) -> float:
        mask = np.array(chosen)
        return float((likely * sizes)[mask].sum() / (sizes[mask].sum() + recall_weight * (likely * sizes).sum()))

    best = max(value(chosen, RECALL_WEIGHT) for chosen in itertools.product((False, True), repeat=n))
    assert value(tuple(keep.tolist()), RECALL_WEIGHT) == pytest.approx(best)
    assert f1 == pytest.approx(2 * value(tuple(keep.tolist()), 1.0))


@pytest.mark.parametrize("seed", range(30))
def test_choice_for_articles_is_the_best_of_all_with_less_recall(seed: int) -> None:
    draw = random.Random(seed)
    n = draw.randrange(1, 9)
    wanted = np.array([draw.randrange(1, PROBABILITY_UNIT) for _ in range(n)], np.int64)
    sizes = np.array([draw.randrange(1, 50) for _ in range(n)], np.int64)
    keep, _ = best_choice(wanted, wanted, sizes)
    likely = wanted / PROBABILITY_UNIT

    def value(mask: NDArray[np.bool_]) -> float:
        hits = likely * sizes
        return float(hits[mask].sum() / (sizes[mask].sum() + ARTICLE_RECALL_WEIGHT * hits.sum()))

    every = (np.array(chosen) for chosen in itertools.product((False, True), repeat=n))
    assert value(stricter(keep, wanted, sizes)) == pytest.approx(max(map(value, every)))


TABLE = "<table><tr><th>Item</th><th>Limit</th></tr><tr><td>field size</td><td>1 GB</td></tr></table>"


@pytest.mark.parametrize(
    ("region", "kept", "likely", "expected"),
    [
        (TABLE, [2, 3], 0.3, [0, 1]),
        (TABLE, [2, 3], 0.1, []),
        (TABLE, [0], 0.3, []),
        (TABLE.replace("Item", "<div>Item</div>"), [2, 3], 0.3, []),
        ("<ul><li>one<li>two<li>three</ul>", [0, 2], 0.3, [1]),
        ("<ul><li>one<li><p>two</p><li>three</ul>", [0, 2], 0.3, []),
        ("<dl><dt>-v<dd><p>says what it does</p><dt>-q<dd><p>says nothing</p></dl>", [1, 3], 0.3, [0, 2]),
    ],
    ids=["table", "unlikely", "less-than-half", "layout", "list", "list-of-paragraphs", "descriptions"],
)
def test_region_that_is_kept_by_half_has_no_holes(
    region: str, kept: list[int], likely: float, expected: list[int]
) -> None:
    layout = page_tree(f"<html><body><div>{region}</div></body></html>").layout
    keep = np.zeros(len(layout.blocks), np.bool_)
    keep[kept] = True
    wanted = np.where(keep, PROBABILITY_UNIT, round(likely * PROBABILITY_UNIT)).astype(np.int64)
    filled = within_kept_text(layout.nodes, layout.blocks, keep, wanted, round(0.15 * PROBABILITY_UNIT))
    assert np.flatnonzero(filled).tolist() == expected


def test_table_of_probabilities_fits_what_was_true() -> None:
    draw = np.random.default_rng(1)
    sums = draw.normal(0, 2, 20_000)
    truth = (draw.random(20_000) < 1 / (1 + np.exp(-(0.5 * sums + 0.3)))).astype(np.float64)
    table = calibrated((sums * LEAF_UNIT).astype(np.int64), truth, np.ones(20_000))
    middle = len(table) // 2
    assert table[middle] / PROBABILITY_UNIT == pytest.approx(1 / (1 + np.exp(-0.3)), abs=0.02)
    assert np.all(np.diff(table) >= 0)


def test_model_looks_at_the_columns_that_there_are() -> None:
    model = load_model(MODEL_FILE)
    assert model.blocks.columns.max() < N_COLUMNS
    assert len(model.types) == len(PAGE_TYPES)
    assert MODEL_FILE.stat().st_size < 500_000


def test_labels_are_the_share_that_stands_in_the_gold_text() -> None:
    gold = "The ferry was late again on Tuesday.\nTickets"
    found = labels(
        ["The ferry was late again on Tuesday.", "was late on", "Tickets", "ferry", "late again on Friday"], gold
    )
    assert found.tolist() == [1.0, 0.0, 1.0, 1.0, 0.75][:3] + found.tolist()[3:]
    assert found[4] == 0.0


def test_segments_label_what_they_touch_and_nothing_else() -> None:
    found = labels_of_segments(
        ["A long text about mills.", "Share this", "Other"], ["text about mills"], ["share this"]
    )
    assert found.tolist() == [1.0, 0.0, -1.0]


def test_characters_of_chinese_are_words() -> None:
    assert words("水车 mill") == ["水", "车", "mill"]


def test_a_domain_is_on_one_side_always() -> None:
    sides = {
        domain: (is_held_out(domain), fold_of(domain))
        for domain in ("a.example", "b.example", "c.example", "d.example")
    }
    assert len({side for side, _ in sides.values()}) == 2
    assert {domain: (is_held_out(domain), fold_of(domain)) for domain in sides} == sides
