"""Alignment of short texts with documents, beside its definition in plain Python."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels.near import EDIT, MOST_EDITS, NEVER, SEED_WORDS, align, seed_hashes

WORDS = [np.uint64(number) for number in range(1, 9)]


def cheapest(words: list[int], text: list[int], weights: list[float], at: int, most: int) -> float:
    """The least cost over all places: ``EDIT`` and its weight for each word of the text that is changed or missing."""
    best = NEVER
    rows = [[0.0 if abs(j - at) <= most else NEVER for j in range(len(words) + 1)]]
    for i, wanted in enumerate(text, 1):
        row: list[float] = []
        for j in range(len(words) + 1):
            if abs(j - i - at) > most:
                row.append(NEVER)
                continue
            costs = [rows[-1][j] + EDIT + weights[i - 1]]
            if j:
                costs.append(rows[-1][j - 1] + (0.0 if words[j - 1] == wanted else EDIT + weights[i - 1]))
                costs.append(row[j - 1] + EDIT + 1.0)
            row.append(min(costs))
        rows.append(row)
    best = min(rows[-1])
    return best if best < EDIT * (most + 1) else NEVER


def scratch() -> tuple[np.ndarray, np.ndarray]:
    return np.empty((2, 2 * MOST_EDITS + 1)), np.empty((2, 2 * MOST_EDITS + 1), np.int64)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_alignment_costs_what_its_definition_says(data: st.DataObject) -> None:
    words = data.draw(st.lists(st.sampled_from(WORDS), max_size=30))
    text = data.draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=20))
    weights = data.draw(st.lists(st.sampled_from([0.25, 0.5, 1.0, 2.0]), min_size=len(text), max_size=len(text)))
    at, most = data.draw(st.integers(-8, 30)), data.draw(st.integers(1, MOST_EDITS))
    document = np.array([9, 9, *words, 9, 9], np.uint64)  # what stands around a document is none of it
    found, first, last = align(
        document, 2, 2 + len(words), 2 + at, np.array(text, np.uint64), np.array(weights, np.float32), most, *scratch()
    )
    expected = cheapest([int(word) for word in words], [int(word) for word in text], weights, at, most)
    assert (found if found < EDIT * (most + 1) else NEVER) == pytest.approx(expected)
    if expected < NEVER:
        assert 2 <= first <= last <= 2 + len(words)


def test_place_of_a_text_is_that_of_its_words() -> None:
    rng = random.Random(3)
    text = np.array(rng.sample(range(100, 999), 20), np.uint64)
    for edit, size in (("replace", 20), ("insert", 21), ("delete", 19)):
        changed = text.tolist()
        changed[10:10] = [7] * (edit == "insert")
        changed[10:11] = [] if edit == "delete" else [7] if edit == "replace" else changed[10:11]
        document = np.array([1] * 12 + changed + [2] * 9, np.uint64)
        cost, first, last = align(document, 0, len(document), 12, text, np.ones(20, np.float32), 2, *scratch())
        assert (cost, first, last) == (EDIT + 1.0, 12, 12 + size)


def test_seeds_are_runs_of_words() -> None:
    hashes = seed_hashes(np.arange(10, dtype=np.uint64))
    assert len(hashes) == 10 - SEED_WORDS + 1
    assert len(set(hashes.tolist())) == len(hashes)
    assert seed_hashes(np.arange(2, 10, dtype=np.uint64)).tolist() == hashes[2:].tolist()
