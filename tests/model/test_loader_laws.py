"""Laws of the loader over arbitrary corpora: sources, shards, documents, weights, context lengths."""

import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.data.batches import BatchReader, TokenDataset
from model.network.loss import NOT_SCORED
from pipeline.tokens.shards import token_shard as shards
from tests.pipeline.tokens.shards import make_shard

LENGTHS = st.lists(st.integers(1, 40), max_size=12)
CORPORA = st.dictionaries(
    st.sampled_from(["web", "books", "code"]), st.lists(LENGTHS, min_size=1, max_size=3), min_size=1
)


@pytest.fixture(scope="module", autouse=True)
def small_record_batches() -> Iterator[None]:
    """So that windows cross record batches, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "BATCH_TOKENS", 50)
        yield


def write(folder: Path, corpus: dict[str, list[list[int]]]) -> dict[str, list[int]]:
    """Shards of the corpus, sources taking turns; returns the stream of each source."""
    streams: dict[str, list[int]] = {name: [] for name in corpus}
    number = 0
    for turn in range(3):
        for name, parts in corpus.items():
            if turn < len(parts):
                streams[name] += make_shard(folder, f"{number:05d}", name, parts[turn])
                number += 1
    return streams


def windows_of(streams: dict[str, list[int]], length: int) -> Counter[tuple[int, ...]]:
    return Counter(
        tuple(tokens[start : start + length + 1])
        for tokens in streams.values()
        for start in range(0, len(tokens) - length, length)
    )


@given(CORPORA, st.integers(1, 13), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_laws_hold_for_any_corpus(
    tmp_path_factory: pytest.TempPathFactory, corpus: dict[str, list[list[int]]], length: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("corpus") / "run" / "tokens" / "train"
    expected = windows_of(write(folder, corpus), length)
    if not expected:
        return
    dataset = TokenDataset(folder, length, seed)
    count = len(dataset)
    assert count == expected.total() == dataset.num_windows
    for epoch in range(2):  # every window exactly once an epoch
        assert Counter(tuple(dataset.window(epoch * count + i).tolist()) for i in range(count)) == expected
    assert Counter(
        tuple(w) for w in np.hstack([t.numpy() for t in dataset.in_order(0, count)])[:, :length].tolist()
    ) == (Counter(window[:length] for window in expected.elements()))
    again = TokenDataset(folder, length, seed)  # the whole state is the position
    for step in (7, 0, 3):
        whole = dataset.batch(step, 24)
        for world in (1, 2, 3, 4, 8):
            parts = [again.batch(step, 24, rank, world) for rank in range(world)]
            for side in (0, 1):
                np.testing.assert_array_equal(np.concatenate([part[side] for part in parts]), whole[side])
        pieces = [again.sequences(24 * step + first, 6)[0] for first in range(0, 24, 6)]  # micro-batches
        np.testing.assert_array_equal(np.concatenate(pieces), whole[0])


@given(CORPORA, st.integers(1, 13))
@settings(max_examples=20, deadline=None)
def test_masks_follow_the_documents_and_their_first_tokens_are_not_scored(
    tmp_path_factory: pytest.TempPathFactory, corpus: dict[str, list[list[int]]], length: int
) -> None:
    folder = tmp_path_factory.mktemp("masks") / "run" / "tokens" / "train"
    if not windows_of(write(folder, corpus), length):
        return
    dataset = TokenDataset(folder, length, seed=1)
    inputs, targets = (tensor.numpy() for tensor in dataset.batch(0, 16))
    masked = dataset.masked_batch(0, 16)
    ends = inputs == 0  # documents end with 0 and hold no other
    np.testing.assert_array_equal(masked.inputs, inputs)
    np.testing.assert_array_equal(masked.targets, np.where(ends, NOT_SCORED, targets))
    starts = np.concatenate([np.zeros((16, 1), bool), ends[:, :-1]], axis=1)
    np.testing.assert_array_equal(masked.documents, np.cumsum(starts, axis=1))
    columns = np.arange(length)
    first = np.maximum.accumulate(np.where(starts, columns, 0), axis=1)
    np.testing.assert_array_equal(masked.positions, columns - first)


def test_reader_in_the_background_gives_the_batches_of_the_order(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "tokens" / "train"
    write(folder, {"web": [[30] * 12] * 3})
    dataset = TokenDataset(folder, 8, seed=1)
    with BatchReader(lambda step: dataset.masked_batch(step, 6), first_step=2, steps=40) as reader:
        for step, batch in reader:
            np.testing.assert_array_equal(batch.inputs, dataset.batch(step, 6)[0])


def test_reading_never_copies_more_than_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "BATCH_TOKENS", 200_000)
    folder = tmp_path / "run" / "tokens" / "train"
    make_shard(folder, "00000", "web", [5000] * 200)
    dataset = TokenDataset(folder, 4096, seed=1)
    dataset.batch(0, 8)  # opens the shard
    batch_bytes = 8 * 4096 * 8 * 2  # inputs and targets in 64 bits
    tracemalloc.start()
    try:
        for step in range(1, 12):
            dataset.batch(step, 8)
        batch_peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        with BatchReader(lambda step: dataset.batch(step, 8), first_step=12, steps=12) as reader:
            for _ in reader:
                pass
        reader_peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    corpus_bytes = 200 * 5000 * 2
    assert batch_bytes <= batch_peak < 2.5 * batch_bytes, "one batch that is made beside one that is let go"
    assert reader_peak < 3.5 * batch_bytes < corpus_bytes
