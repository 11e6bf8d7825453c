"""Lineage and the dedup index: texts found by it, and documents that it forgets."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.dedup import shingles
from pipeline.dedup.index.query import query
from pipeline.dedup.index.reader import Index, open_index
from pipeline.dedup.index.runs import build_run_index, run_batches, run_corpus
from pipeline.dedup.index.state import run_index
from pipeline.dedup.index.writer import Batch, build_index
from pipeline.lookup.locate import Located
from pipeline.lookup.near_text import by_text
from pipeline.run.folder import Run
from pipeline.takedown.choose import Choice
from pipeline.takedown.takedown import take_down
from tests.pipeline.lineage.helpers import documents, kept_twin, read_document


@pytest.fixture
def indexed(run: Run) -> Run:
    build_run_index(run.root)
    return run


def test_near_text_is_found_in_the_dedup_index_with_its_exact_similarity(indexed: Run, tmp_path: Path) -> None:
    row = documents(indexed)[7]
    text = str(row["text"])
    (tmp_path / "near.txt").write_text(text + " One word more.")
    located, similarity = by_text(indexed, tmp_path / "near.txt")
    assert located == Located(row["doc_id"], row["shard"], row["row"])  # type: ignore[arg-type]
    one, other = set(shingles(text)), set(shingles(text + " One word more."))
    assert similarity == len(one & other) / len(one | other)


def test_index_of_the_run_forgets_what_is_taken_down(indexed: Run, tmp_path: Path) -> None:
    document = read_document(indexed)
    (tmp_path / "near.txt").write_text(document["text"] + " One word more.")
    assert by_text(indexed, tmp_path / "near.txt")[0].doc_id.hex() == document["doc_id"]
    with open_index(run_index(indexed.root)) as index:
        before = index.documents
    take_down(indexed, Choice(ids=(document["doc_id"],)))
    with open_index(run_index(indexed.root)) as index:
        assert index.documents == before - 1
        assert query(index, [document["text"]]) == [[]]
    with pytest.raises(UserError, match="no document of the run has this text"):
        by_text(indexed, tmp_path / "near.txt")


def test_index_outside_the_run_forgets_too_also_afterwards(run: Run, tmp_path: Path) -> None:
    place = tmp_path / "outside"
    corpus = run_corpus(run.root), (Batch(*batch) for batch in run_batches(run.root))
    build_index(place, run.recipe.dedup.minhash, [corpus])
    document, kept = read_document(run), kept_twin(run)
    found = take_down(run, Choice(ids=(document["doc_id"],)), indexes=[str(place)])
    assert found["forgotten"] == {str(place): 1}
    take_down(run, Choice(ids=(kept,)))
    with Index(place) as index:
        assert query(index, [document["text"]]) == [[]]
    assert take_down(run, Choice(), indexes=[str(place)])["forgotten"] == {str(place): 1}
    assert take_down(run, Choice(), indexes=[str(place)])["status"] == "nothing to do"


def test_folder_that_is_no_index_is_refused_before_anything_is_done(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a dedup index"):
        take_down(run, Choice(ids=(read_document(run)["doc_id"],)), indexes=[str(tmp_path)])
    assert not Path(run.url("takedown.jsonl")).exists()


def test_planning_a_takedown_loads_no_kernels() -> None:
    code = "import sys, flows.cli.questions.lineage, pipeline.takedown.takedown; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
