"""A batch deduplicated against earlier documents: the rule, and the dedup stage of a run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.session.stages import run_stage
from pipeline.base.arrow import text_hashes
from pipeline.base.errors import UserError
from pipeline.base.pool import InProcess
from pipeline.dedup.index.query import query
from pipeline.dedup.index.reader import open_index
from pipeline.dedup.index.runs import build_run_index
from pipeline.dedup.index.state import Corpus, run_index
from pipeline.dedup.index.writer import Batch, add_all, build_index, remove_documents
from pipeline.dedup.rule.against import select_against
from pipeline.dedup.rule.policy import by_length, visiting_order
from pipeline.dedup.rule.selection import Records, Rule, Search, select_duplicates
from pipeline.dedup.rule.shingle_sets import SetWriter, SpilledSets
from pipeline.dedup.rule.signing import Signer, band_keys
from pipeline.dedup.stage.plan import run as run_dedup
from pipeline.recipe.minhash import MinHash
from pipeline.recipe.options import Recipe
from pipeline.run.context import Context
from pipeline.run.folder import Run
from pipeline.run.table_files import read_table
from pipeline.run.tables import CLUSTERS
from tests.pipeline.dedup.reference import random_corpus

BASE = " ".join(f"word{number}" for number in range(200))
NEAR = BASE + " and a few more words at the end of it"
OTHER = " ".join(f"other{number}" for number in range(100))


def prepared(texts: list[str], folder: Path):  # type: ignore[no-untyped-def]
    signatures_NP, sets = Signer(5, 112, 1).sign_and_hash(texts)
    keys_BN = band_keys(signatures_NP, 14)
    writer = SetWriter(folder / f"sets{len(texts)}")
    writer.write(sets)
    writer.close()
    sizes = np.diff(sets.offsets).astype(np.int32)
    spilled = SpilledSets([folder / f"sets{len(texts)}"], np.array([0, len(texts)]), sets.offsets[:-1], sizes)
    order = visiting_order([by_length(np.array([len(text) for text in texts]))], len(texts))
    return Records(text_hashes(texts), sizes, order), spilled, lambda band: keys_BN[band]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), threshold=st.sampled_from([0.5, 0.8, 1.0]), parts=st.integers(1, 3))
def test_batch_after_batch_keeps_what_one_pass_over_all_keeps(
    tmp_path_factory: pytest.TempPathFactory, seed: int, threshold: float, parts: int
) -> None:
    folder = tmp_path_factory.mktemp("index")
    generator = np.random.default_rng(seed)
    texts = random_corpus(generator, 8, 6, 60)
    build_index(folder / "index", MinHash(), [])
    pieces = np.array_split(np.arange(len(texts)), parts + 1)
    kept: list[int] = []
    evidence: dict[int, tuple[int, int, int, bool]] = {}
    order: list[int] = []
    for piece in pieces:
        records, sets, keys = prepared([texts[i] for i in piece], folder)
        order += piece[records.order].tolist()
        with open_index(folder / "index") as index:
            found = select_against([index], records, Rule(threshold), Search(sets, keys, 14))
            names = iter(found.names(found.selection.keepers[found.is_earlier]))
            for place, record in enumerate(found.selection.removed.tolist()):
                keeper = found.selection.keepers[place]
                named = int(next(names).id) if keeper >= len(piece) else int(piece[keeper])
                numbers = found.selection.intersections[place], found.selection.unions[place]
                evidence[int(piece[record])] = (named, *map(int, numbers), bool(found.selection.exact[place]))
        left = [int(piece[i]) for i in records.order if piece[i] not in evidence]
        kept += left
        added = Batch([str(i) for i in left], pa.array([texts[i] for i in left], pa.large_string()))
        add_all(folder / "index", Corpus("old"), [added])
    records, sets, keys = prepared(texts, folder)
    records = Records(records.text_hash, records.num_shingles, np.array(order))
    whole = select_duplicates(records, Rule(threshold), Search(sets, keys, 14))
    columns = (whole.keepers, whole.intersections, whole.unions, whole.exact)
    rows = zip(whole.removed.tolist(), *(column.tolist() for column in columns), strict=True)
    expected = {record: tuple(values) for record, *values in rows}
    assert evidence.keys() == expected.keys()
    batch_of = {int(number): place for place, piece in enumerate(pieces) for number in piece}
    first = {text: min(batch_of[i] for i in evidence if texts[i] == text) for text in {texts[i] for i in evidence}}
    for record, found in evidence.items():
        if first[texts[record]] < batch_of[record] and not found[3]:
            # its twin went with an earlier batch, from which the index has what was kept, later records too
            assert found[1] / max(found[2], 1) >= expected[record][1] / max(expected[record][2], 1)
        else:
            assert found == expected[record]
    assert sorted(kept) == sorted(set(range(len(texts))) - set(evidence))


@pytest.fixture
def make_run(tmp_path: Path):  # type: ignore[no-untyped-def]
    def make(name: str, texts: list[str], against: list[Path] = [], **dedup: object) -> Run:  # noqa: B006
        raw = tmp_path / f"{len(texts)}-{len(texts[0])}.jsonl"  # of equal texts, the same file
        raw.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        recipe = {
            "sources": [{"name": "s", "paths": [str(raw)]}],
            "stages": ["clean", "dedup"],
            "dedup": {"against": [str(place) for place in against], **dedup},
        }
        run = Run(str(tmp_path / name), Recipe.model_validate(recipe))
        with run.lock():
            run.write_recipe()
            run_stage("clean", Context(run, InProcess()))
        return run

    return make


def do(run: Run) -> dict[str, object]:
    with run.lock():
        return run_dedup(Context(run, InProcess()))


def evidence(run: Run) -> list[dict[str, object]]:
    return read_table(run.local("clusters/evidence.arrow"), CLUSTERS).to_pylist()


def test_stage_drops_what_an_earlier_run_keeps_and_names_it(make_run) -> None:  # type: ignore[no-untyped-def]
    first = make_run("first", [BASE, OTHER, BASE])
    do(first)
    kept = {row["doc_id"] for row in evidence(first)}
    second = make_run("second", [NEAR, "a text that is new here and long enough", OTHER], [Path(first.root)])
    summary = do(second)
    assert (summary["documents_in"], summary["kept"], summary["dropped"], summary["dropped_earlier"]) == (3, 1, 2, 2)
    near, exact = evidence(second)
    assert (near["rule"], near["similarity"], near["kept_corpus"]) == ("near", 196 / 206, "first")
    assert (exact["rule"], exact["similarity"], exact["kept_corpus"]) == ("exact", 1.0, "first")
    assert near["kept_id"].hex() == near["kept_name"]  # type: ignore[attr-defined]
    assert near["kept_id"] not in kept
    context = Context(second, dry=True)
    assert run_dedup(context) == summary


def test_index_of_the_earlier_run_gives_the_same_bytes_as_its_documents(make_run) -> None:  # type: ignore[no-untyped-def]
    first = make_run("first", [BASE, OTHER])
    do(first)
    texts = [NEAR, OTHER, NEAR, "something else, quite new"]
    plain = make_run("plain", texts, [Path(first.root)])
    do(plain)
    build_run_index(first.root)
    stamp = Path(run_index(first.root), "index.json").stat().st_mtime_ns
    build_run_index(first.root)
    assert Path(run_index(first.root), "index.json").stat().st_mtime_ns == stamp
    shutil.rmtree(Path(first.root) / "documents")  # the index alone must do
    indexed = make_run("indexed", texts, [Path(first.root)])
    do(indexed)
    for path in sorted(Path(plain.root).rglob("clusters/*.arrow")):
        assert path.read_bytes() == (Path(indexed.root) / path.relative_to(plain.root)).read_bytes()


def test_earlier_run_that_changed_runs_the_step_again(make_run) -> None:  # type: ignore[no-untyped-def]
    first = make_run("first", [BASE, NEAR, OTHER])
    do(first)
    build_run_index(first.root)
    second = make_run("second", [BASE, OTHER], [Path(first.root)])
    assert do(second)["kept"] == 0
    changed = Run(
        first.root, first.recipe.model_copy(update={"dedup": first.recipe.dedup.model_copy(update={"threshold": 1.0})})
    )
    do(changed)
    assert do(second)["kept"] == 0
    near, _ = evidence(second)
    assert near["rule"] == "exact"  # the first run keeps both texts now, and its index, behind, is not read


def test_stage_takes_an_index_and_leaves_out_what_came_from_this_run(make_run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    build_index(tmp_path / "index", MinHash(), [(Corpus("books"), [Batch(["b1"], pa.array([BASE]))])])
    run = make_run("run", [NEAR, OTHER], [tmp_path / "index"])
    assert do(run)["dropped_earlier"] == 1
    (row,) = evidence(run)
    assert (row["kept_corpus"], row["kept_name"], len(row["kept_id"])) == ("books", "b1", 16)
    from pipeline.dedup.index.runs import run_batches, run_corpus

    added = add_all(tmp_path / "index", run_corpus(run.root), (Batch(*batch) for batch in run_batches(run.root)))
    assert added == 1
    assert run_dedup(Context(run, dry=True))["kept"] == 1  # what it added itself is no reason to run again
    again = make_run("again", [OTHER], [tmp_path / "index"])
    assert do(again)["kept"] == 0


def test_document_forgotten_by_the_earlier_run_may_come_again(make_run) -> None:  # type: ignore[no-untyped-def]
    first = make_run("first", [BASE, OTHER])
    do(first)
    build_run_index(first.root)
    with open_index(run_index(first.root)) as index:
        (match,) = query(index, [BASE])[0]
    assert match.root == first.root
    assert remove_documents(run_index(first.root), [match.id]) == 1
    with open_index(run_index(first.root)) as index:
        assert query(index, [BASE]) == [[]]


def test_what_cannot_be_compared_is_refused(make_run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    build_index(tmp_path / "index", MinHash(ngram=3), [])
    unfinished = make_run("unfinished", [BASE])
    cases = {
        tmp_path / "index": "ngram: the index has 3, asked for is 5",
        Path(unfinished.root): "its stage dedup is not done",
        tmp_path / "nothing": "neither a dedup index",
        tmp_path / "self": "is this run itself",
    }
    for place, message in cases.items():
        run = make_run("self", [BASE], [place])
        with pytest.raises(UserError, match=message):
            do(run)


def test_paths_of_against_are_relative_to_the_recipe(tmp_path: Path) -> None:
    from pipeline.recipe.load import load_recipe

    (tmp_path / "a.toml").write_text(
        '[[sources]]\nname = "s"\npaths = ["x"]\n[dedup]\nagainst = ["runs/old", "s3://b/run"]\n'
    )
    assert load_recipe(tmp_path / "a.toml").dedup.against == [str(tmp_path / "runs/old"), "s3://b/run"]
