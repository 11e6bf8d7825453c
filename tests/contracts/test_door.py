"""``import tokenmill``: what a program gets from a run through it is what the run has found itself."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tokenmill
from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run
from tests.model.runs import make_run
from tests.pipeline.lineage.conftest import run_stages, write_inputs


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> tokenmill.Run:
    folder = tmp_path_factory.mktemp("door")
    run_stages(Run(str(folder / "run"), load_recipe(write_inputs(folder, sample))))
    return tokenmill.Run(folder / "run")


def test_lsh_of_datasketch_finds_the_clusters_that_ours_has(corpus: tokenmill.Run) -> None:
    from datasketch import MinHashLSH

    options = corpus.recipe.dedup
    lsh = MinHashLSH(num_perm=options.bands * options.rows, params=(options.bands, options.rows))
    signatures = dict(corpus.signatures())
    for doc_id, signature in signatures.items():
        lsh.insert(doc_id, signature)
    columns = ["doc_id", "kept_id", "similarity"]
    evidence = [row for batch in corpus.table("clusters", columns) for row in batch.to_pylist()]
    pairs = {(row["doc_id"].hex(), row["kept_id"].hex()) for row in evidence}
    # every pair that we have verified is a candidate of theirs, and its estimate is near to what we computed
    for doc_id, kept_id in pairs:
        assert kept_id in lsh.query(signatures[doc_id])
    for row in evidence:
        one, other = (signatures[row[name].hex()] for name in ("doc_id", "kept_id"))
        assert abs(one.jaccard(other) - row["similarity"]) < 0.15
    # what they find beside is below the threshold: it was compared, and kept
    found = {(a, b) for a, signature in signatures.items() for b in lsh.query(signature) if a != b}
    in_clusters = {doc_id for pair in pairs for doc_id in pair}
    assert {doc_id for pair in found for doc_id in pair} >= in_clusters
    assert len(pairs) == 3


def test_forest_of_datasketch_has_each_duplicate_next_to_its_keeper(corpus: tokenmill.Run) -> None:
    from datasketch import MinHashLSHForest

    options = corpus.recipe.dedup
    forest = MinHashLSHForest(num_perm=options.bands * options.rows, l=options.bands)
    signatures = dict(corpus.signatures())
    for doc_id, signature in signatures.items():
        forest.add(doc_id, signature)
    forest.index()
    for batch in corpus.table("clusters", ["doc_id", "kept_id"]):
        for row in batch.to_pylist():
            assert row["kept_id"].hex() in forest.query(signatures[row["doc_id"].hex()], 4)


def test_tokens_are_a_dataset_for_the_loader_of_torch(tmp_path: Path) -> None:
    from torch.utils.data import DataLoader

    run = make_run(tmp_path)
    dataset = tokenmill.Run(run.root).tokens()
    batches = list(DataLoader(dataset, batch_size=8, shuffle=False))
    assert sum(len(inputs) for inputs, _ in batches) == len(dataset)
    for step, (inputs, targets) in enumerate(batches[:-1]):
        expected = dataset.batch(step, 8)
        assert inputs.equal(expected[0])
        assert targets.equal(expected[1])
    again = pickle.loads(pickle.dumps(dataset))  # as for the processes of a loader
    assert all(again[n][0].equal(dataset[n][0]) for n in range(len(dataset)))
    assert dataset[-1][0].equal(dataset[len(dataset) - 1][0])
    with pytest.raises(IndexError, match="the epoch has"):
        dataset[len(dataset)]


def test_tokens_come_in_the_order_of_training_weights_included(tmp_path: Path) -> None:
    from model.data.corpus import open_corpus

    run = make_run(tmp_path, overrides=("sources.facts.weight=3.0", "train.seed=5"))
    trained = open_corpus(run, 32).train
    run.write_recipe()
    door = tokenmill.Run(run.root)
    assert door.tokens().fingerprint == trained.fingerprint
    assert door.tokens(seed=5, context_length=32).fingerprint == trained.fingerprint
    assert door.tokens(seed=6).fingerprint != trained.fingerprint
    assert len(door.tokens("validation")) > 0
    assert not np.array_equal(door.tokens().window(0), door.tokens(seed=6).window(0))
    with pytest.raises(ValueError, match="split = 'test': expected train or validation"):
        door.tokens("test")


@pytest.mark.parametrize(
    ("use", "absent"),
    [
        ("pass", "torch numpy pyarrow pydantic numba datatrove datasketch prefect scipy"),
        ("tokenmill.clean; tokenmill.verdict; tokenmill.deduplicate", "torch datatrove prefect"),
        ("next(tokenmill.Run(ROOT).documents(columns=['text']))", "torch datatrove datasketch prefect"),
        ("dict(tokenmill.Run(ROOT).signatures())", "torch datatrove prefect"),
        ("tokenmill.Run(ROOT).status()", "torch datatrove prefect"),
    ],
)
def test_only_what_is_used_is_loaded(use: str, absent: str, corpus: tokenmill.Run, repository: Path) -> None:
    shown = f"print(*sorted(set({absent.split()!r}) & set(sys.modules)))"
    code = f"import sys, tokenmill\nROOT = {corpus.root!r}\n{use}\n{shown}"
    ran = subprocess.run([sys.executable, "-c", code], cwd=repository, check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == ""


def test_one_column_needs_no_list_and_a_doc_id_is_taken_as_tables_hold_it(corpus: tokenmill.Run) -> None:
    assert next(corpus.documents(columns="text")).schema.names == ["text"]
    assert next(corpus.table("signals", "word_count")).schema.names == ["word_count"]
    raw = next(corpus.table("documents"))["doc_id"][0].as_py()
    assert corpus.explain(raw)["doc_id"] == raw.hex()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tokenmill.clean(None), "texts: expected a string or several, got NoneType"),  # type: ignore[call-overload]
        (lambda: tokenmill.clean(b"x"), "texts: expected strings, got bytes"),  # type: ignore[call-overload]
        (
            lambda: tokenmill.extract("<p>x"),
            r"html: expected the bytes of a page, got str; of a string give html\.encode",
        ),  # type: ignore[arg-type]
        (lambda: tokenmill.signals("Buy milk."), "texts must be several strings, got one; put it into a list"),
        (lambda: tokenmill.signals([b"Buy"]), "texts must be several strings, got bytes among them"),  # type: ignore[list-item]
        (lambda: tokenmill.judge(tokenmill.signals(["a"]), "c4"), r"rules = 'c4': expected a list of rule sets"),
    ],
)
def test_texts_and_pages_of_another_type_are_told(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_wrong_names_are_told_and_leave_nothing(corpus: tokenmill.Run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no column 'txt'; did you mean text"):
        corpus.documents(columns=["txt"])
    with pytest.raises(ValueError, match="--select kpt: expected one of kept, dropped, all"):
        corpus.documents("kpt")
    with pytest.raises(ValueError, match=r"signalz: no table of .*did you mean signals"):
        corpus.table("signalz")
    with pytest.raises(ValueError, match="not a run folder"):
        tokenmill.Run(tmp_path)
    with pytest.raises(ValueError, match="no such document"):
        corpus.explain("00000000")
    with pytest.raises(ValueError, match="checkpoint"):
        corpus.sample("a")
    with pytest.raises(ValueError, match="no such file"):
        tokenmill.run_recipe(tmp_path / "no.toml", root=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
