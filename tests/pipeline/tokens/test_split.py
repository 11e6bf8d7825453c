"""Who is held out, what may not stand on both sides, and what training text stays near validation text."""

import json
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.session.stages import plan
from pipeline.base.pool import InProcess
from pipeline.dedup.rule.definition import shingles
from pipeline.dedup.rule.signing import Signer
from pipeline.recipe.options import Recipe
from pipeline.run import layout
from pipeline.run.context import Context
from pipeline.run.engine import Job, Outputs, Step
from pipeline.run.folder import Run
from pipeline.run.table_files import read_table
from pipeline.run.tables import CLUSTERS, DOCUMENTS, SURVIVORS
from pipeline.takedown.choose import Choice
from pipeline.takedown.takedown import take_down
from pipeline.tokens.documents.split import NearValidation, SharedClusters, below_share, keyed_hash, validation_mask
from pipeline.tokens.leakage import Nearest
from pipeline.tokens.stage import SPLIT_STEP
from tests.pipeline.tokens.runs import do, doc_id, make_run, sentence, sides_of, tokens_of


def ids_of(count: int) -> np.ndarray:
    return np.frombuffer(b"".join(doc_id("s", n) for n in range(count)), np.uint8).reshape(-1, 16)


def column(ids: np.ndarray) -> pa.Array:
    return pa.array([row.tobytes() for row in ids], pa.binary(16))


def test_share_of_the_documents_is_held_out_and_each_alone_decides() -> None:
    ids = ids_of(20_000)
    mask = validation_mask(ids, 1, 0.05)
    assert abs(mask.mean() - 0.05) < 0.005
    order = np.random.default_rng(1).permutation(len(ids))
    np.testing.assert_array_equal(validation_mask(ids[order], 1, 0.05), mask[order])
    larger = validation_mask(ids, 1, 0.08)
    assert (larger >= mask).all(), "a larger share only adds documents"
    assert (validation_mask(ids, 2, 0.05) != mask).any()
    assert not validation_mask(ids, 1, 0.0).any()


def test_split_is_the_one_of_golden_v1() -> None:
    """Runs mixed with one another rely on it."""
    held_out = np.flatnonzero(validation_mask(ids_of(200), 1, 0.05)).tolist()
    assert held_out == [9, 29, 49, 68, 73, 78, 87, 99, 129, 165, 174, 187, 188, 189, 192, 193]
    assert keyed_hash(ids_of(1), "split 1").tolist() == [1072236754389994749]


def test_at_least_one_document_is_held_out_where_the_share_is_less_than_one(tmp_path: Path) -> None:
    texts = [sentence(number) for number in range(37)]
    run = make_run(tmp_path / "run", {"s": texts}, tokenize={"validation_share": 1e-9}, shard_documents=10)
    summary = do(run)
    assert (summary["validation_documents"], summary["train_documents"]) == (1, 36)
    hashes = keyed_hash(ids_of(37), "split 1")
    assert [*tokens_of(run, "validation")] == [doc_id("s", int(hashes.argmin()))]


def test_split_that_held_nothing_out_is_made_again_and_every_other_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [sentence(number) for number in range(37)]
    run = make_run(tmp_path / "run", {"s": texts}, tokenize={"validation_share": 1e-9})
    with monkeypatch.context() as before:
        before.setattr("pipeline.tokens.documents.assign._hold_one_out", lambda *_: None)
        assert do(run)["validation_documents"] == 0
    (planned,) = plan(run, ["tokenize"])
    assert (planned.step, planned.reasons) == ("tokenize.split", {"all": "no document is held out for validation"})
    assert do(run)["validation_documents"] == 1
    assert plan(run, ["tokenize"])[0].state == "done"


@pytest.mark.parametrize(
    "texts", [[sentence(1)], [" ".join(f"w{n}" for n in range(first, first + 60)) for first in (0, 12)]]
)
def test_nothing_is_held_out_where_nothing_would_be_left_to_train_on(tmp_path: Path, texts: list[str]) -> None:
    """One document, or two of one cluster."""
    options = {"dedup": {"threshold": 0.5, "copies": 2}, "tokenize": {"validation_share": 1e-9}}
    run = make_run(tmp_path / "run", {"s": texts}, stages=("clean", "dedup", "tokenize"), **options)
    summary = do(run)
    assert (summary["validation_documents"], summary["train_documents"]) == (0, len(texts))
    assert plan(run, ["tokenize"])[0].state == "done"


@given(st.lists(st.integers(0, 2**64 - 1), max_size=20), st.floats(0.0, 1.0))
@settings(max_examples=50, deadline=None)
def test_below_share_is_the_share_of_all_hashes(values: list[int], share: float) -> None:
    found = below_share(np.array(values, np.uint64), share)
    assert found.tolist() == [share >= 1.0 or value < int(share * 2.0**64) for value in values]


IDS = 5_000  # of a shard


def write_ids(job: Job, outputs: Outputs) -> None:
    with outputs.table(layout.documents(job.shard), DOCUMENTS) as writer:
        rows = np.random.default_rng(int(job.shard)).bytes(16 * IDS)
        ids = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), IDS, [None, pa.py_buffer(rows)])
        columns = [ids if field.name == "doc_id" else filled(field) for field in DOCUMENTS.schema]
        writer.write(pa.record_batch(columns, schema=DOCUMENTS.schema))


def filled(field: pa.Field) -> pa.Array:
    one = "" if pa.types.is_string(field.type) or pa.types.is_large_string(field.type) else 0
    return pa.nulls(IDS, field.type) if field.nullable else pa.array([one] * IDS, field.type)


def test_split_holds_a_byte_of_each_document(tmp_path: Path) -> None:
    recipe = {"sources": [{"name": "s", "paths": ["x"]}], "stages": ["clean", "tokenize"]}
    run, step = Run(str(tmp_path), Recipe.model_validate(recipe)), Step("clean", 1, f"{__name__}:write_ids")
    with run.lock():
        Context(run, InProcess()).run_step(step, [Job(f"{number:05d}", {}) for number in range(100)])
        context = Context(run, InProcess())
        shards = context.document_shards()
        config = {"seed": 1, "validation_share": 0.02, "exclude_near_validation": False, "stages": []}
        inputs = {layout.documents(shard): digest for shard, digest in shards.items()}
        tracemalloc.start()
        made = context.run_step(SPLIT_STEP, [Job("all", {**config, "shards": list(shards)}, inputs)])["all"]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert sum(made.counts.values()) == 100 * IDS
    assert 100 * IDS < peak < 4 * 100 * IDS


def test_documents_of_a_shared_cluster_follow_its_id() -> None:
    ids = ids_of(400)
    clusters = SharedClusters(column(ids[:200]), column(ids[200:300].repeat(2, axis=0)))
    mask = validation_mask(ids, 1, 0.3, clusters)
    alone = validation_mask(ids, 1, 0.3)
    assert (mask[:200].reshape(-1, 2)[:, 0] == mask[:200].reshape(-1, 2)[:, 1]).all()
    np.testing.assert_array_equal(mask[:200:2], alone[200:300])
    np.testing.assert_array_equal(mask[200:], alone[200:])
    assert (alone[:200:2] != alone[1:200:2]).any(), "some would have been parted"
    assert SharedClusters(column(ids[:0]), column(ids[:0])).deciding(ids) is ids


def chain(number: int) -> list[str]:
    """Three texts: the second is near both others, which are not near each other, and is the one that goes."""
    words = [f"c{number}w{n}" for n in range(140)]
    return [" ".join(words[:120]), " ".join(words[10:130]), " ".join(words[20:140])]


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory) -> Run:
    texts = [text for number in range(60) for text in chain(number)]
    run = make_run(
        tmp_path_factory.mktemp("chains"),
        {"web": texts},
        stages=("clean", "dedup", "tokenize"),
        tokenize={"validation_share": 0.3, "exclude_near_validation": False},
        dedup={"keep": "first"},
    )
    do(run)
    return run


def test_cluster_that_keeps_several_documents_stays_on_one_side(chains: Run) -> None:
    evidence = read_table(chains.local("clusters/evidence.arrow"), CLUSTERS).to_pylist()
    survivors = read_table(chains.local("clusters/survivors.arrow"), SURVIVORS).to_pylist()
    sides = sides_of(chains)
    members: dict[bytes, set[bytes]] = {}
    for row in survivors:
        members.setdefault(row["cluster_id"], set()).add(row["doc_id"])
    assert len(members) >= 30, "chains whose ends are both kept must be there"
    named = {row["kept_id"] for row in evidence} | {row["doc_id"] for row in evidence}
    assert any(found - named for found in members.values()), "some are named by no evidence: they straddled before"
    held_out = 0
    for found in members.values():
        assert len(found) > 1
        (side,) = {sides[one]["split"] for one in found}
        held_out += side == "validation"
    assert 0 < held_out < len(members)
    alone = {found: validation_mask(np.frombuffer(found, np.uint8).reshape(1, 16), 1, 0.3)[0] for found in sides}
    assert any(len({alone[one] for one in found}) == 2 for found in members.values())


def test_removed_duplicates_are_on_no_side(chains: Run) -> None:
    evidence = read_table(chains.local("clusters/evidence.arrow"), CLUSTERS).to_pylist()
    sides = sides_of(chains)
    assert len(evidence) >= 30
    assert {sides[row["doc_id"]]["split"] for row in evidence} == {None}


@pytest.mark.parametrize("which", [0, 1, 2])
def test_documents_that_stay_after_a_takedown_keep_their_side(chains: Run, tmp_path: Path, which: int) -> None:
    """``which`` of each chain goes: the first one, whose id decides, the removed one that joins them, or the last."""
    shutil.copytree(chains.root, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    before = sides_of(run)
    gone = [doc_id("web", 3 * number + which).hex() for number in range(0, 60, 2)]
    take_down(run, Choice(ids=tuple(gone)))
    for folder in ("clusters", "verdicts"):
        shutil.rmtree(run.url(folder))
    do(run)
    after = sides_of(run)
    assert {after[bytes.fromhex(one)]["split"] for one in gone} == {None}
    stay = before.keys() - {bytes.fromhex(one) for one in gone}
    assert {one: after[one]["split"] for one in stay} == {one: before[one]["split"] for one in stay}


def relatives(number: int) -> list[str]:
    """Two texts of similarity about 0.7: below the threshold of dedup, above that of the exclusion."""
    words = [f"r{number}w{n}" for n in range(230)]
    return [" ".join(words[:190]), " ".join(words[:150] + words[190:])]


@pytest.mark.parametrize("exclude", [True, False])
def test_training_documents_near_a_validation_document_are_dropped_and_counted(tmp_path: Path, exclude: bool) -> None:
    texts = [text for number in range(80) for text in relatives(number)]
    run = make_run(
        tmp_path,
        {"web": texts},
        stages=("clean", "dedup", "tokenize"),
        tokenize={"validation_share": 0.2, "exclude_near_validation": exclude, "train_exclusion_similarity": 0.5},
    )
    summary = do(run)
    sides = sides_of(run)
    dropped = [found for found, row in sides.items() if row["keep"] is False]
    leakage = json.loads(run.local("tokens/leakage.json").read_bytes())
    assert summary["near_validation"] == len(dropped)
    assert summary["documents"] + len(dropped) == 160, "documents = kept + dropped"
    assert len(tokens_of(run, "train")) + len(tokens_of(run, "validation")) == summary["documents"]
    if not exclude:
        assert not dropped
        assert leakage["validation_documents_at"]["0.6"] > 5
        return
    assert {tuple(sides[found]["reasons"]) for found in dropped} == {("tokenize.near_validation",)}
    assert {sides[found]["split"] for found in dropped} == {None}
    order = {doc_id("web", n): n for n in range(160)}
    partners = [sides[doc_id("web", order[found] ^ 1)]["split"] for found in dropped]
    assert len(dropped) > 5
    assert set(partners) == {"validation"}
    assert leakage["validation_documents_at"]["0.6"] == 0, "what brute force finds after the exclusion"


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 1.0))
@settings(max_examples=30, deadline=None)
def test_near_validation_finds_what_shares_a_band_and_enough_values(seed: int, similarity: float) -> None:
    rng = np.random.default_rng(seed)
    held_out = rng.integers(0, 4, (12, 30), np.uint32)
    documents = rng.integers(0, 4, (25, 30), np.uint32)
    documents[:8, :20] = held_out[:8, :20]
    expected = [
        any(
            (document == other).mean() >= similarity
            and any((document[b : b + 3] == other[b : b + 3]).all() for b in range(0, 30, 3))
            for other in held_out
        )
        for document in documents
    ]
    assert NearValidation(held_out, similarity).mask(documents).tolist() == expected
    assert not NearValidation(held_out[:0], similarity).mask(documents).any()


def plain_nearest(held_out: list[str], training: list[str]) -> list[tuple[float, float]]:
    found = []
    for text in held_out:
        own = set(shingles(text, 3))
        others = [set(shingles(other, 3)) for other in training]
        both = [(len(own & other) / len(own | other), len(own & other) / len(own)) for other in others]
        found.append((max(s for s, _ in both), max(c for _, c in both)))
    return found


def test_leakage_equals_comparing_every_pair_in_plain_python() -> None:
    rng = np.random.default_rng(3)
    base = [sentence(n, 30) for n in range(30)]

    def mixed() -> str:
        words = (base[rng.integers(30)] + " " + base[rng.integers(30)]).split()
        return " ".join(words[: rng.integers(5, 60)])

    held_out, training = [mixed() for _ in range(25)], [mixed() for _ in range(120)]
    signer, expected = Signer(3, 1), plain_nearest(held_out, training)
    for at_once in (1, 40, 120):
        nearest = Nearest(signer.hash(held_out))
        for first in range(0, 120, at_once):
            nearest.add(signer.hash(training[first : first + at_once]), ids_of(120)[first : first + at_once])
        np.testing.assert_allclose(nearest.similarity_V, [s for s, _ in expected])
        np.testing.assert_allclose(nearest.contained_V, [c for _, c in expected])
        numbers = {row.tobytes(): n for n, row in enumerate(ids_of(120))}
        for text, found, (similarity, _) in zip(held_out, nearest.doc_id_V, expected, strict=True):
            if similarity:
                other = training[numbers[found.tobytes()]]
                assert plain_nearest([text], [other])[0][0] == pytest.approx(similarity)
    assert max(s for s, _ in expected) > 0.5


def test_nothing_held_out_measures_no_leakage(tmp_path: Path) -> None:
    run = make_run(tmp_path, {"web": [sentence(n) for n in range(10)]}, tokenize={"validation_share": 0.0})
    summary: dict[str, Any] = do(run)
    assert "leakage_sample" not in summary
    assert not (Path(run.root) / "tokens/leakage.json").exists()
