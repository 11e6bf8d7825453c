"""The arithmetic of the order: the keyed permutation and the mixture of sources."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.order.mixture import MAX_SEQUENCES, Mixture, Quota
from pipeline.order.permutation import Permutation


@given(st.integers(1, 3000), st.text(max_size=5))
@settings(max_examples=60, deadline=None)
def test_permutation_is_a_bijection_and_its_inverse_undoes_it(size: int, key: str) -> None:
    permutation, everything = Permutation(size, key), np.arange(size)
    image = permutation(everything)
    assert (np.sort(image) == everything).all()
    assert (permutation.inverse(image) == everything).all()


def test_permutation_of_a_large_range_needs_no_table() -> None:
    permutation = Permutation(2_900_000_000, "k")
    values = np.array([0, 1, 2_899_999_999, 123_456_789])
    image = permutation(values)
    assert len(set(image.tolist())) == 4
    assert (image < 2_900_000_000).all()
    assert (permutation.inverse(image) == values).all()


def test_permutations_of_two_keys_and_neighbours_are_unrelated() -> None:
    """Mean distance of neighbours under a random permutation is n / 3; correlation of two keys is near 0."""
    size = 10_000
    first, second = Permutation(size, "1")(np.arange(size)), Permutation(size, "2")(np.arange(size))
    assert abs(np.abs(np.diff(first)).mean() / (size / 3) - 1) < 0.05
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05
    assert (first == np.arange(size)).sum() < 10


def test_small_permutations_reach_every_place_about_equally_often() -> None:
    size, keys = 7, 2000
    hits = np.zeros((size, size), int)
    for key in range(keys):
        hits[np.arange(size), Permutation(size, str(key))(np.arange(size))] += 1
    assert hits.sum() == size * keys
    assert np.abs(hits / keys * size - 1).max() < 0.25


QUOTAS = st.lists(st.builds(Quota, st.integers(0, 9), st.one_of(st.none(), st.integers(0, 40))), min_size=1, max_size=6)


@given(QUOTAS, st.lists(st.builds(Quota, st.integers(0, 9), st.none(), st.integers(0, 3)), max_size=3))
@settings(max_examples=100, deadline=None)
def test_source_that_joins_later_leaves_the_epochs_before_as_they_are(quotas: list[Quota], later: list[Quota]) -> None:
    try:
        before = Mixture(quotas)
    except ValueError:
        return
    joining = sorted(later, key=lambda quota: quota.first_epoch)
    mixture = Mixture([*quotas, *joining])
    length = mixture.total if mixture.total is not None else 150
    first = min((quota.first_epoch for quota in joining), default=0)
    start = next((i for i in range(length) if mixture.epoch_of(i) >= first), length) if joining else length
    start = min(start, before.total if before.total is not None else start)
    assert mixture.locate(np.arange(start))[0].tolist() == before.locate(np.arange(start))[0].tolist()
    sources, ordinals = mixture.locate(np.arange(length))
    seen = [0] * len(mixture.quotas)
    for i, (source, ordinal) in enumerate(zip(sources.tolist(), ordinals.tolist(), strict=True)):
        assert ordinal == seen[source]
        assert mixture.epoch_of(i) >= mixture.quotas[source].first_epoch
        seen[source] += 1
        assert mixture.position(source, ordinal) == i
        assert mixture.counts(i + 1) == seen


def test_next_epoch_starts_where_no_sequence_of_it_was_given() -> None:
    mixture = Mixture([Quota(5), Quota(3)])
    assert [mixture.next_epoch(n) for n in (0, 1, 8, 9)] == [(0, 0), (1, 8), (1, 8), (2, 16)]


@given(QUOTAS)
@settings(max_examples=200, deadline=None)
def test_locate_position_and_counts_agree_with_counting(quotas: list[Quota]) -> None:
    try:
        mixture = Mixture(quotas)
    except ValueError:
        assert not any(quota.per_epoch and quota.used_before(1) for quota in quotas)
        return
    length = mixture.total if mixture.total is not None else 150
    sources, ordinals = mixture.locate(np.arange(length))
    seen = [0] * len(quotas)
    for i, (source, ordinal) in enumerate(zip(sources.tolist(), ordinals.tolist(), strict=True)):
        assert ordinal == seen[source]
        seen[source] += 1
        assert mixture.position(source, ordinal) == i
        assert mixture.counts(i + 1) == seen


def test_position_beyond_the_cap_is_none() -> None:
    mixture = Mixture([Quota(5, 7), Quota(5)])
    assert mixture.position(0, 6) is not None
    assert mixture.position(0, 7) is None


def test_mixture_without_sequences_or_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="no source gives any sequence"):
        Mixture([Quota(0)])
    with pytest.raises(ValueError, match="max_epochs is too small"):
        Mixture([Quota(3, 0)])
    with pytest.raises(ValueError, match="an epoch of more than"):
        Mixture([Quota(MAX_SEQUENCES + 1)])
