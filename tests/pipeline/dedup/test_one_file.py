"""Standard input and output, one file instead of a folder, and a look before anything is done."""

import csv
import gzip
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from flows.cli.app import main
from pipeline.run.table_files import read_table
from pipeline.run.tables import INDEX_MATCHES, REMOVED
from tests.pipeline.dedup.helpers import json_lines, write_jsonl

RECORDS = [{"id": "a", "text": "one text"}, {"id": "b", "text": "another text"}, {"id": "c", "text": "one text"}]


def call(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["dedup", *map(str, arguments)])
    captured = capfd.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def piped(data: bytes, *arguments: str, command: str = "cat") -> tuple[int, bytes, bytes]:
    """The program between two pipes."""
    words = " ".join([sys.executable, "-m", "flows.cli", "dedup", "run", "-", "--output", "-", *arguments])
    done = subprocess.run(["bash", "-o", "pipefail", "-c", f"{words} | {command}"], input=data, capture_output=True)
    return done.returncode, done.stdout, done.stderr


def test_lines_go_through_pipes_and_the_summary_beside_them(tmp_path: Path) -> None:
    removed = tmp_path / "removed.jsonl"
    code, out, error = piped(gzip.compress(json_lines(RECORDS)), "--removed", str(removed), "--workers", "1")
    assert (code, out) == (0, json_lines(RECORDS[:2]))
    assert b"3 records: 2 kept, 1 removed" in error
    (row,) = map(json.loads, removed.read_text().splitlines())
    assert (row["id"], row["kept_id"], row["path"], row["row"]) == ("c", "a", "stdin.jsonl", 2)


def as_table(write: Callable[[pa.Table, io.BytesIO], object]) -> bytes:
    sink = io.BytesIO()
    write(pa.Table.from_pylist(RECORDS), sink)
    return sink.getvalue()


def as_zip() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("in/a.jsonl", json_lines(RECORDS))
    return sink.getvalue()


CSV = b"id;text\na;one text\nb;another text\nc;one text\n"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (as_table(pq.write_table), "parquet"),
        (as_table(feather.write_feather), "arrow"),
        (as_zip(), "zip"),
        (json.dumps(RECORDS).encode(), "json"),
        (CSV, "csv"),
        (gzip.compress(CSV, mtime=0), "csv"),
        (b"\xef\xbb\xbf" + json_lines(RECORDS), "jsonl"),
        (CSV.decode().encode("utf-16"), "csv"),
        (CSV.decode().encode("utf-16-be"), "csv"),
        (gzip.compress(CSV.decode().encode("utf-16-le"), mtime=0), "csv"),
    ],
)
def test_standard_input_is_what_its_first_bytes_tell(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], data: bytes, kind: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
    with pytest.raises(SystemExit) as ended:
        main(["dedup", "run", "-", "--output", "-", "--exact-only", "--workers", "1"])
    assert not ended.value.code
    kept = [json.loads(line) for line in capfdbinary.readouterr().out.removeprefix(b"\xef\xbb\xbf").splitlines()]
    assert [{name: row[name] for name in ("id", "text")} for row in kept] == RECORDS[:2], kind


def test_damaged_compression_on_standard_input_is_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(CSV)[:10] + b"\xff" * 40), encoding="utf-8")
    )
    code, _, error = call(capfd, "run", "-", "--output", "-", "--workers", "1")
    assert code == 2
    assert "stdin.jsonl: corrupt_compression" in error


def test_table_without_the_text_s_name_is_taken_for_lines_and_refused(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CSV.replace(b"text", b"body", 1)), encoding="utf-8"))
    code, _, error = call(capfd, "run", "-", "--output", "-", "--workers", "1")
    assert code == 2
    assert "stdin.jsonl: json_invalid" in error


def test_reader_that_has_seen_enough_ends_the_command_quietly() -> None:
    records = [{"id": str(number), "text": f"text {number} " * 30} for number in range(3000)]
    code, out, error = piped(json_lines(records), "--exact-only", "--workers", "1", command="head -n 1")
    assert (code, out) == (0, json_lines(records[:1]))
    assert b"Traceback" not in error
    assert b"Broken pipe" not in error


def test_all_kept_records_in_one_file(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", RECORDS)
    (tmp_path / "b.csv").write_text("id,text\nd,one text\ne,a third\n")
    (tmp_path / "c.txt").write_text("a fourth")
    pq.write_table(pa.table({"text": ["a fifth"], "raw": [b"\xff"]}), tmp_path / "d.parquet")
    output = tmp_path / "kept.jsonl.gz"
    arguments = ["run", tmp_path, "--output", output, "--one-file", "--removed", tmp_path / "gone.csv", "--workers", 1]
    code, _, error = call(capfd, *arguments)
    assert code == 0, error
    assert [json.loads(line) for line in gzip.decompress(output.read_bytes()).splitlines()] == [
        *RECORDS[:2],
        {"id": "e", "text": "a third"},
        {"text": "a fourth", "path": "c.txt"},
        {"text": "a fifth", "raw": "/w=="},
    ]
    with open(tmp_path / "gone.csv", encoding="utf-8", newline="") as file:
        assert [(row["id"], row["kept_id"]) for row in csv.DictReader(file)] == [("c", "a"), ("d", "a")]
    code, _, error = call(capfd, *arguments)
    assert (code, "holds a file of" in error) == (2, True)
    (tmp_path / "gone.csv").unlink()
    code, _, error = call(capfd, *arguments, "--overwrite")
    assert (code, "passed over (the output of this command): kept.jsonl.gz" in error) == (0, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("a.jsonl", "b.csv", "c.txt", "d.parquet", "gone.csv", "kept.jsonl.gz")
    ]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_one_file_of_a_format_becomes_one_of_that_format(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    if name == "a.csv":
        (tmp_path / name).write_text("text;n\nx;1\nx;2\ny;3\n")
    else:
        pq.write_table(pa.table({"text": ["x", "x", "y"], "n": [1, 2, 3]}), tmp_path / name)
    output = tmp_path / f"kept.{name[2:]}"
    code, _, error = call(capfd, "run", tmp_path / name, "--output", output, "--one-file", "--workers", 1)
    assert code == 0, error
    if name == "a.csv":
        assert output.read_text() == "text;n\nx;1\ny;3\n"
    else:
        assert pq.read_table(output).to_pylist() == [{"text": "x", "n": 1}, {"text": "y", "n": 3}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.jsonl", "--one-file", "--output", "kept.parquet"], "one file is written as JSON Lines"),
        (["-", "a.jsonl", "--output", "out"], "standard input is read alone"),
        (["a.jsonl", "--output", "-", "--json"], "--json with --output -"),
        (["a.jsonl", "--thresold", "0.8", "--output", "o"], "has no option --thresold; did you mean --threshold?"),
        (["a.jsonl", "--output", "--text-field"], "--output needs a value"),
        (["a.jsonl", "--output", "-", "--removed", "x.docx"], "expected a name that ends in .jsonl"),
        (["a.jsonl", "--output", "-", "--removed", "a.jsonl", "--overwrite"], "something else than a table of removed"),
    ],
)
def test_what_does_not_go_together_is_refused(
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    write_jsonl(tmp_path / "a.jsonl", RECORDS)
    monkeypatch.chdir(tmp_path)
    code, _, error = call(capfd, "run", *arguments)
    assert (code, message in error) == (2, True), error
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_dry_run_tells_what_would_be_read_and_writes_nothing(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", RECORDS)
    (tmp_path / "b.txt").write_text("some text")
    (tmp_path / "c.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    code, out, error = call(capfd, "run", tmp_path, "--output", tmp_path / "new/out", "--dry-run")
    assert (code, out) == (
        0,
        f"would read 2 files (1 jsonl, 1 text) and write {tmp_path}/new/out; nothing is written\n",
    )
    assert "passed over (PNG picture): c.png" in error
    assert "memory about" in error
    code, out, _ = call(capfd, "run", tmp_path, "--output", tmp_path / "new/out", "--dry-run", "--json")
    found: dict[str, Any] = json.loads(out)
    assert (code, found["files"], found["formats"], found["files_passed_over"]) == (0, 2, {"jsonl": 1, "text": 1}, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "b.txt", "c.png"]


@pytest.mark.parametrize("name", ["m.jsonl", "m.csv", "m.tsv", "m.parquet", "m.arrow", "m", "m.jsonl.gz"])
def test_matches_are_written_as_their_name_says(capfd: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    write_jsonl(tmp_path / "old.jsonl", RECORDS[:2])
    call(capfd, "index", "build", tmp_path / "index", tmp_path / "old.jsonl")
    for again in ([], ["--overwrite"] if not name.endswith("gz") else None):
        if again is None:
            continue
        code, _, error = call(
            capfd, "index", "query", tmp_path / "index", tmp_path / "old.jsonl", "--output", tmp_path / name, *again
        )
        assert code == 0, error
    rows = read_any(tmp_path / name)
    assert [(row["id"], row["kept_id"], float(row["similarity"])) for row in rows] == [("a", "a", 1.0), ("b", "b", 1.0)]
    assert [list(row) for row in rows] == [[column.name for column in INDEX_MATCHES.columns]] * 2


def read_any(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return list(pq.read_table(path).to_pylist())
    if path.suffix in (".csv", ".tsv"):
        with open(path, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, delimiter="," if path.suffix == ".csv" else "\t"))
    if ".jsonl" in path.name:
        data = path.read_bytes()
        lines = (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines()
        return [json.loads(line) for line in lines]
    return list(read_table(path, INDEX_MATCHES).to_pylist())


def test_removed_records_also_beside_a_folder(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", RECORDS)
    arguments = ["run", tmp_path / "a.jsonl", "--output", tmp_path / "out", "--removed", tmp_path / "r.arrow"]
    assert call(capfd, *arguments, "--workers", 1)[0] == 0
    assert read_table(tmp_path / "r.arrow", REMOVED).equals(read_table(tmp_path / "out/removed.arrow", REMOVED))


def test_folder_whose_name_looks_like_a_file_is_told(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", RECORDS)
    code, out, _ = call(capfd, "run", tmp_path / "a.jsonl", "--output", tmp_path / "b.jsonl", "--workers", 1)
    assert (code, (tmp_path / "b.jsonl/kept/a.jsonl").read_bytes()) == (0, json_lines(RECORDS[:2]))
    assert "b.jsonl is a folder; one file of all kept records is written with --one-file" in out
