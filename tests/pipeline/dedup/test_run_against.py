"""``tokenmill dedup run --against``: the user's files without what an index or an earlier run has."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.base.errors import UserError
from pipeline.dedup.command.request import Request
from pipeline.dedup.command.run import run
from pipeline.dedup.index.state import Corpus
from pipeline.dedup.index.writer import Batch, build_index
from pipeline.recipe.minhash import MinHash
from pipeline.recipe.options import Dedup
from pipeline.run.table_files import read_table
from pipeline.run.tables import REMOVED

BASE = " ".join(f"word{number}" for number in range(200))
NEAR = BASE + " and a few more words at the end of it"
OTHER = " ".join(f"other{number}" for number in range(100))
TEXTS = [NEAR, OTHER, OTHER + " once more", "something new that nobody has seen before", BASE]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    texts = pa.array([BASE, "x y z"])
    build_index(tmp_path / "index", MinHash(), [(Corpus("books"), [Batch(["a", "b"], texts)])])
    return tmp_path / "index"


@pytest.fixture
def new(tmp_path: Path) -> Path:
    path = tmp_path / "new.jsonl"
    path.write_text("".join(json.dumps({"id": f"n{i}", "text": text}) + "\n" for i, text in enumerate(TEXTS)))
    return path


@pytest.mark.parametrize("exact_only", [False, True])
def test_duplicates_of_earlier_documents_go_and_name_them(
    tmp_path: Path, index: Path, new: Path, exact_only: bool
) -> None:
    options = Dedup(keep="first", against=[str(index)])
    summary = run(Request(inputs=(str(new),), output=tmp_path / "out", options=options, exact_only=exact_only))
    rows = read_table(tmp_path / "out" / "removed.arrow", REMOVED).to_pylist()
    found = [
        tuple(row[name] for name in ("id", "kept_id", "kept_corpus", "kept_path", "kept_row", "rule")) for row in rows
    ]
    near = [
        ("n0", "a", "books", None, None, "near"),
        ("n2", "n1", None, "new.jsonl", 1, "near"),
    ]
    exact = ("n4", "a", "books", None, None, "exact")
    assert found == ([exact] if exact_only else [*near, exact])
    assert rows[-1]["chosen_by"] == "earlier"
    assert summary["records_removed_earlier"] == (1 if exact_only else 2)
    assert summary["records_in"] == summary["records_kept"] + len(rows)
    kept = [json.loads(line)["id"] for line in (tmp_path / "out" / "kept" / "new.jsonl").read_text().splitlines()]
    assert set(kept) == {f"n{i}" for i in range(len(TEXTS))} - {row["id"] for row in rows}


def test_what_is_no_index_or_of_another_definition_is_refused_before_anything_is_read(
    tmp_path: Path, index: Path, new: Path
) -> None:
    for options, message in (
        (Dedup(against=[str(tmp_path)]), "neither a dedup index"),
        (Dedup(ngram=4, against=[str(index)]), "ngram: the index has 5, asked for is 4"),
    ):
        with pytest.raises(UserError, match=message):
            run(Request(inputs=(str(new),), output=tmp_path / "out", options=options))
        assert not (tmp_path / "out").exists()


def test_copies_that_may_stay_are_counted_with_the_earlier_document(tmp_path: Path, index: Path) -> None:
    texts = [BASE, NEAR, BASE, NEAR + " again", OTHER, OTHER, OTHER]
    path = tmp_path / "new.jsonl"
    path.write_text("".join(json.dumps({"id": f"n{i}", "text": text}) + "\n" for i, text in enumerate(texts)))
    options = Dedup(keep="first", copies=2, against=[str(index)])
    summary = run(Request(inputs=(str(path),), output=tmp_path / "out", options=options))
    rows = read_table(tmp_path / "out" / "removed.arrow", REMOVED).to_pylist()
    found = [(row["id"], row["kept_id"], row["kept_corpus"], row["rule"]) for row in rows]
    assert found == [
        ("n1", "a", "books", "near"),
        ("n2", "a", "books", "exact"),
        ("n3", "a", "books", "near"),
        ("n6", "n4", None, "exact"),
    ]
    assert summary["records_removed_earlier"] == 3
