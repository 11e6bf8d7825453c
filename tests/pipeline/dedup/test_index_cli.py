"""``tokenmill dedup index`` as it is typed."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.cli.app import main
from pipeline.run.table_files import read_table
from pipeline.run.tables import INDEX_MATCHES

BASE = " ".join(f"word{number}" for number in range(200))
NEAR = BASE + " and a few more words at the end of it"
OTHER = " ".join(f"other{number}" for number in range(100))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.jsonl.gz"
    rows = [{"id": "a", "text": BASE}, {"text": OTHER}, {"id": "c"}]
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return path


@pytest.fixture
def new(tmp_path: Path) -> Path:
    path = tmp_path / "new.parquet"
    texts = [NEAR, OTHER, "something new that nobody has seen before today", NEAR + " twice"]
    pq.write_table(pa.table({"id": [1, 2, 3, 4], "body": texts}), path)
    return path


def call(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any]:
    with pytest.raises(SystemExit) as ended:
        main(["dedup", "index", *map(str, arguments), "--json"])
    return int(ended.value.code or 0), json.loads(capfd.readouterr().out)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_build_query_add_remove_and_verify(
    tmp_path: Path, old: Path, new: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "index"
    code, built = call(capfd, "build", index, old, "--corpus", "books")
    assert (code, built["documents"], built["quarantined"]) == (0, 2, 1)
    assert built["corpora"] == [{"name": "books", "root": None, "documents": 2}]
    fields = ("--text-field", "body")
    _, found = call(capfd, "query", index, new, *fields)
    assert (found["documents"], found["matched"]) == (4, 3)
    assert [(m["id"], m["kept_corpus"], m["kept_id"], m["rule"]) for m in found["matches"]] == [
        ("1", "books", "a", "near"),
        ("2", "books", "old.jsonl.gz:1", "exact"),
        ("4", "books", "a", "near"),
    ]
    assert found["matches"][0]["similarity"] == 196 / 206
    _, shown = call(capfd, "query", index, new, *fields, "--output", tmp_path / "matches.arrow")
    assert shown["matches"] == []
    assert read_table(tmp_path / "matches.arrow", INDEX_MATCHES).to_pylist() == found["matches"]
    removed = tmp_path / "removed.arrow"
    _, added = call(capfd, "add", index, new, *fields, "--removed", removed)
    assert [added[name] for name in ("documents", "added", "unchanged", "removed")] == [4, 1, 0, 3]
    assert read_table(removed, INDEX_MATCHES).to_pylist() == found["matches"]
    _, forced = call(capfd, "add", index, new, *fields, "--all")
    assert forced["added"] == 3
    _, gone = call(capfd, "remove", index, "--ids", "a", "4", "nobody")
    assert (gone["asked"], gone["removed"]) == (3, 2)
    (tmp_path / "ids.txt").write_text("old.jsonl.gz:1\n\n")
    _, gone = call(capfd, "remove", index, "--ids-file", tmp_path / "ids.txt", "--corpus", "elsewhere")
    assert gone["removed"] == 0
    _, gone = call(capfd, "remove", index, "--ids-file", tmp_path / "ids.txt")
    assert gone["removed"] == 1
    _, verified = call(capfd, "verify", index)
    assert [(c["name"], c["documents"]) for c in verified["corpora"]] == [("books", 0), ("new.parquet", 3)]
    assert verified["definition"]["ngram"] == 5


def test_lines_for_a_person(tmp_path: Path, old: Path, capfd: pytest.CaptureFixture[str]) -> None:
    index = tmp_path / "index"
    lines = []
    for arguments in (["build", index, old], ["query", index, old], ["add", index, old], ["verify", index]):
        with pytest.raises(SystemExit) as ended:
            main(["dedup", "index", *map(str, arguments)])
        assert ended.value.code == 0
        lines += capfd.readouterr().out.splitlines()
    assert lines == [
        f"{index}: 2 documents of 1 corpus",
        "a\texact 1.0000\told.jsonl.gz\ta",
        "old.jsonl.gz:1\texact 1.0000\told.jsonl.gz\told.jsonl.gz:1",
        "duplicates of an earlier document: 2 of 2",
        f"{index}: 2 documents, 0 added, 2 unchanged, 0 removed",
        f"{index}: 2 documents, no file is damaged",
        "             2 old.jsonl.gz",
    ]
    with pytest.raises(SystemExit):
        main(["inspect", str(index)])
    shown = capfd.readouterr().out.splitlines()
    assert shown[:2] == [f"{index}: dedup index, 2 documents", "             2 old.jsonl.gz"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "INDEX", "nothing.jsonl"], "no file at"),
        (["build", "INDEX", "old.jsonl.gz", "--bands", "1000", "--rows", "10"], "bands x rows"),
        (["add", "nowhere", "old.jsonl.gz"], "not a dedup index"),
        (["add", "made", "old.jsonl.gz", "--keep", "shortest"], "--keep shortest: expected longest or first"),
        (["add", "made", "old.jsonl.gz", "--threshold", "1.5"], "--threshold 1.5"),
        (["add", "made", "old.jsonl.gz", "--all", "--removed", "x"], "removes nothing"),
        (["query", "made", "new.parquet"], "no column text"),
        (["query", "made", "old.jsonl.gz", "--threshold", "0"], "--threshold 0"),
        (["build", "made", "old.jsonl.gz"], "there is an index"),
        (["remove", "made"], "--ids"),
        (["remove", "made", "--ids-file", "absent.txt"], "cannot be read"),
        (["build", "INDEX"], "INPUT"),
        (["build", "new.parquet", "old.jsonl.gz"], "a file is there; name another"),
        (["build", "s3://bucket/index", "old.jsonl.gz"], "expected a local path, got the URL s3://bucket/index"),
        (["query", "made", "old.jsonl.gz", "--output", "s3://bucket/a"], "expected a local path"),
        (["query", "made", "old.jsonl.gz", "--output", "old.jsonl.gz"], "something else than a table of matches"),
        (["add", "made", "old.jsonl.gz", "--removed", "made"], "something else than a table of matches"),
        (["add", "made", "old.jsonl.gz", "--removed", "old.jsonl.gz/x"], "cannot be written: "),
    ],
)
def test_what_cannot_be_done_is_refused(
    tmp_path: Path,
    old: Path,
    new: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if "made" in arguments:
        assert call(capfd, "build", "made", old)[0] == 0
    before = contents(tmp_path)
    code, answer = call(capfd, *arguments)
    assert (code, answer["exit_code"]) == (2, 2)
    assert contents(tmp_path) == before
    assert message in answer["error"]
    assert not Path("INDEX").exists()
