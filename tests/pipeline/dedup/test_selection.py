import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.arrow import text_hashes
from pipeline.dedup.rule import join
from pipeline.dedup.rule.join import Ints, Keys
from pipeline.dedup.rule.selection import Records, Rule, Search, Selection, select_duplicates
from pipeline.dedup.rule.signing import Signer, band_keys
from tests.pipeline.dedup.reference import Removed, random_corpus, reference


class MemorySets:
    def __init__(self, texts: list[str], ngram: int, bands: int, rows: int) -> None:
        self.signatures_NP, self.sets = Signer(ngram, bands * rows).sign_and_hash(texts)
        self.keys_BN = band_keys(self.signatures_NP, bands)
        self.num_shingles = np.diff(self.sets.offsets).astype(np.int32)

    def prepare(self, records: Ints) -> None:
        self.prepared = set(records.tolist())

    def load(self, records: Ints) -> tuple[Keys, Ints]:
        assert self.prepared.issuperset(records.tolist())
        parts = [self.sets.hashes[self.sets.offsets[r] : self.sets.offsets[r + 1]] for r in records]
        return np.concatenate(parts), np.append(0, np.cumsum([len(part) for part in parts]))

    def signatures(self, records: Ints) -> np.ndarray:
        return self.signatures_NP[records]


def select(
    texts: list[str],
    order: list[int],
    rule: Rule,
    *,
    bands: int = 14,
    rows: int = 8,
    ngram: int = 5,
    memory_bytes: int = 1 << 30,
    threads: int = 1,
) -> Selection:
    sets = MemorySets(texts, ngram, bands, rows)
    records = Records(text_hashes(texts), sets.num_shingles, np.array(order, np.int64))
    return select_duplicates(records, rule, Search(sets, lambda band: sets.keys_BN[band], bands, memory_bytes, threads))


def as_dict(found: Selection) -> dict[int, Removed]:
    columns = (found.removed, found.keepers, found.intersections, found.unions, found.exact)
    return {
        int(record): Removed(int(keeper), int(common), int(union), bool(exact))
        for record, keeper, common, union, exact in zip(*columns, strict=True)
    }


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.4, 0.7, 0.8, 1.0]))
@settings(max_examples=60, deadline=None)
def test_selection_equals_the_rule_in_plain_python(seed: int, threshold: float) -> None:
    generator = np.random.default_rng(seed)
    texts = random_corpus(generator, families=6, members=6, words=60)
    order = generator.permutation(len(texts)).tolist()
    expected, clusters = reference(texts, order, threshold)
    found = select(texts, order, Rule(threshold))
    assert as_dict(found) == expected
    assert found.clusters.tolist() == clusters
    for record, evidence in zip(found.removed, found.similarities, strict=True):
        row = expected[int(record)]
        assert evidence == (1.0 if row.exact else row.intersection / row.union)
        assert evidence >= threshold


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_neither_memory_nor_threads_change_the_result(seed: int) -> None:
    generator = np.random.default_rng(seed)
    texts = random_corpus(generator, families=8, members=5, words=40)
    order = generator.permutation(len(texts)).tolist()
    wide = select(texts, order, Rule(0.7))
    narrow = select(texts, order, Rule(0.7), memory_bytes=300, threads=2)
    assert as_dict(narrow) == as_dict(wide)
    assert narrow.clusters.tolist() == wide.clusters.tolist()


@pytest.mark.parametrize("large", [3, 12])
@pytest.mark.parametrize("seed", range(8))
def test_large_buckets_follow_the_rule(monkeypatch: pytest.MonkeyPatch, seed: int, large: int) -> None:
    monkeypatch.setattr(join, "LARGE_BUCKET", large)
    generator = np.random.default_rng(seed)
    texts = random_corpus(generator, families=3, members=40, words=80)
    order = generator.permutation(len(texts)).tolist()
    expected, clusters = reference(texts, order, 0.75, bands=6, rows=2, large=large)
    found = select(texts, order, Rule(0.75), bands=6, rows=2)
    assert found.large_buckets > 0
    assert len(expected) > 10
    assert as_dict(found) == expected
    assert found.clusters.tolist() == clusters


def test_pages_that_share_a_template_only_stay_apart_in_a_large_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join, "LARGE_BUCKET", 20)
    template = " ".join(f"template{number}" for number in range(100))
    texts = [template + " " + " ".join(f"page{page}word{number}" for number in range(60)) for page in range(200)]
    texts += [f"{text} one more" for text in texts[:5]]
    found = select(texts, list(range(len(texts))), Rule(0.8), bands=20, rows=2)
    assert found.large_buckets > 0
    assert dict(zip(found.removed.tolist(), found.keepers.tolist(), strict=True)) == {200 + n: n for n in range(5)}


def test_chain_does_not_collapse_into_one_record() -> None:
    words = [f"w{number}" for number in range(400)]
    texts = [" ".join(words[start : start + 200]) for start in range(0, 200, 10)]  # neighbours at 0.905, ends at 0
    found = select(texts, list(range(len(texts))), Rule(0.8), bands=40, rows=3)
    kept = sorted(set(range(len(texts))) - set(found.removed.tolist()))
    assert len(set(found.clusters.tolist())) == 1
    assert 5 <= len(kept) <= 10
    assert found.similarities.min() >= 0.8


def test_twin_of_a_removed_record_points_to_its_keeper_and_is_no_exact_duplicate() -> None:
    base = " ".join(f"w{number}" for number in range(100))
    texts = [base, base + " x", base + " x", base]
    found = as_dict(select(texts, [0, 1, 2, 3], Rule(0.8)))
    assert found[1] == found[2] == Removed(0, 96, 97, False)
    assert found[3] == Removed(0, 96, 96, True)


def test_texts_without_words_are_duplicates_only_where_they_are_equal() -> None:
    found = select(["", "?", "", "!!", "?"], [0, 1, 2, 3, 4], Rule(0.1))
    assert as_dict(found) == {2: Removed(0, 0, 0, True), 4: Removed(1, 0, 0, True)}
    assert found.similarities.tolist() == [1.0, 1.0]


def test_same_words_in_other_typography_are_near_duplicates_of_similarity_one() -> None:
    texts = ["One fine day, in May it rained", "one FINE day; in may -- it rained!"]
    assert as_dict(select(texts, [0, 1], Rule(1.0))) == {1: Removed(0, 3, 3, False)}


def test_up_to_k_similar_records_are_kept() -> None:
    base = " ".join(f"w{number}" for number in range(100))
    texts = [base, base, base + " x", base + " y", base, "another text altogether, so it is kept"] + ["lonely"] * 5
    found = as_dict(select(texts, list(range(len(texts))), Rule(0.8, copies=3)))
    assert set(found) == {3, 4, 9, 10}
    assert found[4] == Removed(0, 96, 96, True)
    assert found[3].keeper == 0
    assert found[9] == Removed(6, 1, 1, True)


def test_unverified_selection_goes_by_the_estimate() -> None:
    base = " ".join(f"w{number}" for number in range(200))
    texts = [base, base + " x y", "something else entirely here with words"]
    found = select(texts, [0, 1, 2], Rule(0.8, verify=False))
    assert found.removed.tolist() == [1]
    assert found.unions.tolist() == [112]
    assert found.similarities[0] >= 0.8


def test_forced_records_are_kept_though_they_are_similar() -> None:
    base = " ".join(f"w{number}" for number in range(100))
    texts = [base + " x", base, base + " y", base + " z", base]
    found = select(texts, [1, 2, 0, 3, 4], Rule(0.8, forced=2))
    assert as_dict(found)[4] == Removed(1, 96, 96, True)
    assert sorted(as_dict(found)) == [0, 3, 4]


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.sampled_from([3, 1000]))
@settings(max_examples=30, deadline=None)
def test_earlier_records_that_would_stay_anyway_change_nothing_by_being_forced(
    seed: int, copies: int, large: int
) -> None:
    generator = np.random.default_rng(seed)
    texts = random_corpus(generator, families=5, members=8, words=60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(join, "LARGE_BUCKET", large)
        removed = set(select(texts, list(range(len(texts))), Rule(0.7)).removed.tolist())
        earlier = [record for record in range(len(texts) // 2) if record not in removed]
        order = earlier + [record for record in range(len(texts)) if record not in set(earlier)]
        forced = select(texts, order, Rule(0.7, copies=copies, forced=len(earlier)))
        free = select(texts, order, Rule(0.7, copies=copies))
    assert as_dict(forced) == as_dict(free)
    assert not set(forced.removed.tolist()) & set(earlier)
    assert forced.clusters.tolist() == free.clusters.tolist()


def test_twin_of_an_earlier_record_is_a_copy_like_any_other() -> None:
    base = " ".join(f"w{number}" for number in range(100))
    texts = [base, "lonely", base, base, base + " x", "lonely", "lonely"]
    found = as_dict(select(texts, list(range(7)), Rule(0.8, copies=2, forced=2)))
    assert sorted(found) == [3, 4, 6]
    assert found[3] == Removed(0, 96, 96, True)
    assert found[6].keeper == 1


def template_pages(count: int, words: int, own: int) -> list[str]:
    """Pages of one template with ``own`` words of their own in the middle: the licence header, the error page."""
    template = [f"template{number}" for number in range(words)]
    first, second = " ".join(template[: words // 2]), " ".join(template[words // 2 :])
    own_words = [" ".join(f"page{page}n{place}" for place in range(own)) for page in range(count)]
    return [f"{first} {mine} {second}" for mine in own_words]


@pytest.mark.parametrize(
    ("words", "own", "similar"),
    [(80, 1, True), (52, 1, True), (46, 1, False), (40, 1, False), (30, 1, False), (80, 40, False)],
)
def test_comparisons_in_a_huge_bucket_grow_with_its_records_only(
    monkeypatch: pytest.MonkeyPatch, words: int, own: int, similar: bool
) -> None:
    monkeypatch.setattr(join, "LARGE_BUCKET", 50)
    for count in (1000, 2000):
        found = select(template_pages(count, words, own), list(range(count)), Rule(0.8), bands=14, rows=2)
        assert found.large_buckets > 0
        assert len(found.removed) == (count - 1 if similar else 0)
        assert found.work <= 20 * count  # of two million pairs


def test_hashes_that_agree_in_their_first_half_only_are_different_texts() -> None:
    text_hash = np.array([[7, 1], [7, 2], [7, 1], [3, 1]], np.uint64)
    nodes = join.find_nodes(text_hash, np.array([3, 2, 1, 0]))
    assert nodes.of_record.tolist() == [1, 2, 1, 0]
    assert nodes.representative.tolist() == [3, 2, 1]
    assert nodes.weight.tolist() == [1, 2, 1]


def test_no_records_at_all() -> None:
    found = select([], [], Rule())
    assert len(found.removed) == len(found.clusters) == 0
