from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.base.errors import UserError
from pipeline.dedup.index.add import Policy, add_new
from pipeline.dedup.index.reader import open_index
from pipeline.dedup.index.state import Corpus
from pipeline.dedup.index.writer import Batch, build_index
from pipeline.recipe.minhash import MinHash
from tests.pipeline.dedup.reference import random_corpus, reference

BASE = " ".join(f"word{number}" for number in range(200))
NEAR = BASE + " and a few more words at the end of it"
OTHER = " ".join(f"other{number}" for number in range(100))


def batch(ids: list[str], texts: list[str]) -> Batch:
    return Batch(ids, pa.array(texts, pa.large_string()))


@pytest.mark.parametrize("memory_bytes", [1 << 30, 4096])
@pytest.mark.parametrize("longest", [True, False])
def test_what_is_added_is_what_the_rule_keeps_of_everything_so_far(
    tmp_path: Path, longest: bool, memory_bytes: int
) -> None:
    texts = random_corpus(np.random.default_rng(11), 10, 6, 60)
    root = tmp_path / "index"
    build_index(root, MinHash(), [])
    order: list[int] = []
    removed: dict[int, tuple[int, float, str]] = {}
    for piece in np.array_split(np.arange(len(texts)), 3):
        ids, part = [str(number) for number in piece], [texts[number] for number in piece]
        halves = [batch(ids[:5], part[:5]), batch(ids[5:], part[5:])]
        done = add_new(root, Corpus("c"), halves, Policy(0.7, longest, memory_bytes))
        assert done.documents == len(piece) == done.added + done.unchanged + len(done.removed)
        for row in done.removed.to_pylist():
            removed[int(row["id"])] = (int(row["kept_id"]), row["similarity"], row["rule"])
            assert row["kept_corpus"] == "c"
        order += sorted(piece.tolist(), key=lambda number: -len(texts[number]) if longest else 0)
    expected, _ = reference(texts, order, 0.7)
    assert removed == {
        record: (
            found.keeper,
            found.intersection / found.union if found.union else 1.0,
            "exact" if found.exact else "near",
        )
        for record, found in expected.items()
    }
    with open_index(root) as index:
        assert index.documents == len(texts) - len(removed)
        index.verify()


def test_same_batch_again_is_unchanged_and_an_edited_document_is_its_own_duplicate(tmp_path: Path) -> None:
    root = tmp_path / "index"
    build_index(root, MinHash(), [])
    first = add_new(root, Corpus("c"), [batch(["a", "b", "c"], [BASE, OTHER, BASE])])
    assert (first.added, first.unchanged, len(first.removed)) == (2, 0, 1)
    again = add_new(root, Corpus("c"), [batch(["a", "b", "c"], [BASE, OTHER, BASE])])
    assert (again.added, again.unchanged) == (0, 2)
    assert again.removed.to_pylist() == first.removed.to_pylist()
    edited = add_new(root, Corpus("c"), [batch(["a"], [NEAR])])
    assert [(row["id"], row["kept_id"], row["rule"]) for row in edited.removed.to_pylist()] == [("a", "a", "near")]
    elsewhere = add_new(root, Corpus("d"), [batch(["b"], [OTHER])])
    assert [(row["kept_corpus"], row["rule"]) for row in elsewhere.removed.to_pylist()] == [("c", "exact")]


def test_empty_batch_and_texts_without_words(tmp_path: Path) -> None:
    root = tmp_path / "index"
    build_index(root, MinHash(), [])
    assert add_new(root, Corpus("c"), []).documents == 0
    done = add_new(root, Corpus("c"), [batch(["a", "b", "c", "d"], ["", "...", "", "word"])])
    assert (done.added, [row["rule"] for row in done.removed.to_pylist()]) == (3, ["exact"])
    assert add_new(root, Corpus("d"), [batch(["x", "y"], ["?!", "..."])]).added == 1


def test_index_of_another_definition_takes_no_batch(tmp_path: Path) -> None:
    build_index(tmp_path / "index", MinHash(seed=3), [])
    with pytest.raises(UserError, match="seed: the index has 3, asked for is 1"):
        add_new(tmp_path / "index", Corpus("c"), [], wanted=MinHash())
    with pytest.raises(UserError, match="not a dedup index"):
        add_new(tmp_path / "nothing", Corpus("c"), [])
    assert not (tmp_path / "nothing").exists()
