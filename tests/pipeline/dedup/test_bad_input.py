import gzip
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.cli.app import main
from pipeline.base.errors import RunError, UserError
from pipeline.dedup.command import output_folder, scan
from pipeline.dedup.command import run as command
from pipeline.dedup.command.run import run
from tests.encrypted_parquet import encrypted
from tests.months_arrow import write_months
from tests.pipeline.dedup.helpers import edited_corpus, removed, request, write_jsonl, write_parquet


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "a.jsonl"
    path.parent.mkdir()
    write_jsonl(path, edited_corpus())
    return path


def left_behind(folder: Path) -> list[str]:
    """What stands beside the input."""
    return sorted(path.name for path in folder.iterdir() if path.name != "in")


def call(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["dedup", "run", *arguments])
    captured = capfd.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threshold", "1.01"], "--threshold 1.01"),
        (["--threshold", "0"], "--threshold 0"),
        (["--bands", "2000"], "--bands 2000"),
        (["--bands", "1000", "--rows", "9"], "at most 4,096"),
        (["--ngram", "0"], "--ngram 0"),
        (["--seed", "-1"], "--seed -1"),
        (["--memory", "much"], "--memory much: expected a number and its unit, such as 500MB or 2GB"),
        (["--workers", "-1"], "--workers -1"),
        (["--copies", "0"], "--copies 0"),
        (["--keep", "nonsense"], "--keep nonsense: no record has this field"),
        (
            ["--text-field", "body"],
            "no body; fields: id, score, text; another field with the text is named by --text-field",
        ),
        (["--id-field", "key"], "--id-field key: no record has it"),
        (["--same-url"], "--same-url: no record has a URL in the field url; --url-field names another"),
        (["--output", "s3://bucket/out"], "expected a local path, got the URL s3://bucket/out"),
        (["--prefer-licence", "CC*"], "--licence-field licence: no record has this field"),
        (["--thresold", "0.8"], "--thresold"),
    ],
)
def test_wrong_option_is_exit_code_2_and_leaves_nothing(
    capfd: pytest.CaptureFixture[str], corpus: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    options = options if "--workers" in options else ["--workers", "1", *options]
    options = options if "--output" in options else ["--output", str(tmp_path / "out"), *options]
    code, shown, error = call(capfd, str(corpus), *options)
    assert (code, shown) == (2, "")
    assert message in error
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("name", ["text", "id"])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, name: str) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"]), pa.array(["c"])], ["text", "id", name])
    pq.write_table(table, tmp_path / "a.parquet")
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    for path in (tmp_path / "a.parquet", tmp_path / "a.arrow"):
        with pytest.raises(UserError, match=f"2 columns are named {name}; rename all but one"):
            run(request([path], tmp_path / "out"))


def test_file_of_damaged_lines_only_is_not_blamed_on_the_field(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{no\n")
    with pytest.raises(UserError, match=r"json_invalid: .*; fix it or leave it out"):
        run(request([tmp_path / "a.jsonl"], tmp_path / "out"))


def test_error_is_one_json_object_too(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, shown, _ = call(capfd, str(tmp_path / "none.jsonl"), "--output", str(tmp_path / "out"), "--json")
    assert code == 2
    found = json.loads(shown)
    assert found["exit_code"] == 2
    assert "none.jsonl" in found["error"]


def test_result_is_one_json_object(capfd: pytest.CaptureFixture[str], corpus: Path, tmp_path: Path) -> None:
    code, shown, error = call(capfd, str(corpus), "--output", str(tmp_path / "out"), "--workers", "1", "--json")
    assert code == 0
    assert json.loads(shown)["records_in"] == len(edited_corpus())
    assert "memory about" in error
    assert "free" in error


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"body": ["a"]}, "no column text; columns: body"),
        ({"text": [1]}, "column text is of type int64, not string"),
        ({"text": pa.nulls(2)}, "column text is null throughout"),
    ],
)
def test_columnar_file_without_texts_is_refused(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=message):
        run(request([tmp_path / "a.parquet"], tmp_path / "out"))
    assert left_behind(tmp_path) == ["a.parquet"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.parquet", b"PAR1 no parquet", "not parquet, or damaged: .*; fix it or leave it out"),
        ("a.arrow", b"ARROW1 no arrow", "not arrow, or damaged: .*; fix it or leave it out"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(64), r"not read \(PNG picture\); expected text"),
    ],
)
def test_file_of_another_kind_is_refused(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=message):
        run(request([tmp_path / name], tmp_path / "out"))
    assert left_behind(tmp_path) == [name]


def test_command_of_its_own_loads_no_package_that_it_does_not_use(corpus: Path, tmp_path: Path) -> None:
    unwanted = {"pandas", "awkward", "scipy", *(["coverage"] if "coverage" not in sys.modules else [])}
    code = (
        "import sys; from flows.cli.app import main\n"
        "try: main()\n"
        f"finally: print(sorted({unwanted} & set(sys.modules)))"
    )
    arguments = ["dedup", "run", str(corpus), "--output", str(tmp_path / "out"), "--workers", "2"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert removed(tmp_path / "out")


def test_other_files_of_a_folder_are_passed_over_and_counted(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "b.png"):
        (corpus.parent / name).write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    (corpus.parent / "gone.txt").symlink_to("nowhere.txt")
    summary = run(request([corpus.parent], tmp_path / "out"))
    assert (summary["files"], summary["files_passed_over"]) == (1, 3)
    said = capsys.readouterr().err
    assert "passed over (PNG pictures): 2 files, such as a.png\n" in said
    assert "passed over (link to nothing): gone.txt\n" in said


@pytest.mark.parametrize("columns", [["records", "kept"], ["README"]])
def test_output_folder_that_is_not_empty_is_refused_and_stays(corpus: Path, tmp_path: Path, columns: list[str]) -> None:
    (tmp_path / "out").mkdir()
    for name in columns:
        (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        run(request([corpus], tmp_path / "out"))
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == dict.fromkeys(columns, "mine")


def test_output_that_is_a_file_is_refused(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UserError, match="must be a folder"):
        run(request([corpus], tmp_path / "out"))


@pytest.mark.parametrize("exists", [False, True])
def test_what_a_killed_run_left_is_cleared(corpus: Path, tmp_path: Path, exists: bool) -> None:
    partial = (tmp_path / "out" if exists else tmp_path) / ".out.partial"
    (partial / "kept").mkdir(parents=True)
    (partial / "kept" / "a.jsonl").write_text("half")
    run(request([corpus], tmp_path / "out"))
    assert left_behind(tmp_path) == ["out"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("clusters.arrow", "kept", "removed.arrow", "summary.json"),
    ]


def after_scan(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Calls ``act`` once, when every record has been read for the first time."""
    found = command.deduplicate  # type: ignore[attr-defined]

    def acting(*arguments: Any, **named: Any) -> Any:
        act()
        return found(*arguments, **named)

    monkeypatch.setattr(command, "deduplicate", acting)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
@pytest.mark.parametrize("deleted", [True, False])
def test_input_that_goes_or_changes_midway_stops_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, deleted: bool
) -> None:
    path = tmp_path / "in" / name
    path.parent.mkdir()
    if name.endswith("parquet"):
        write_parquet(path, edited_corpus())
    else:
        write_jsonl(path, edited_corpus())
        path.write_bytes(gzip.compress(path.read_bytes()) if name.endswith("gz") else path.read_bytes())
    after_scan(monkeypatch, path.unlink if deleted else lambda: path.write_bytes(path.read_bytes() + b" "))
    with pytest.raises(RunError, match="is gone" if deleted else "was changed"):
        run(request([path], tmp_path / "out"))
    assert left_behind(tmp_path) == []


def test_input_that_is_deleted_while_it_is_copied_stops_the_command(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = command.copy_ranges  # type: ignore[attr-defined]
    monkeypatch.setattr(command, "copy_ranges", lambda *given: (corpus.unlink(), copy(*given)))
    with pytest.raises(RunError, match="is gone"):
        run(request([corpus], tmp_path / "out"))
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_command_leaves_nothing(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool, workers: int
) -> None:
    if exists:
        (tmp_path / "out").mkdir()

    def interrupt() -> None:
        raise KeyboardInterrupt

    after_scan(monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(request([corpus], tmp_path / "out", workers))
    assert left_behind(tmp_path) == (["out"] if exists else [])
    assert not exists or list((tmp_path / "out").iterdir()) == []


def test_interrupt_between_two_renames_leaves_nothing(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    rename, calls = os.rename, []

    def interrupted(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 3:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(output_folder.os, "rename", interrupted)  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        run(request([corpus], tmp_path / "out"))
    assert len(calls) == 3
    assert list((tmp_path / "out").iterdir()) == []


CHILD = """
import resource, signal, sys
from flows.cli.app import main
from pipeline.dedup.command import run as command

what, source, target = sys.argv[1:]
if what == "interrupt":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts a background job with it ignored
    command.deduplicate = lambda *given, **named: signal.raise_signal(signal.SIGINT)
else:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(what), int(what)))
main(["dedup", "run", source, "--output", target, "--workers", "1"])
"""


def child(what: str, source: Path, target: Path) -> tuple[int, str]:
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-c", CHILD, what, str(source), str(target)]
    done = subprocess.run(command, env=unmeasured, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_ctrl_c_is_exit_code_130(corpus: Path, tmp_path: Path) -> None:
    code, error = child("interrupt", corpus, tmp_path / "out")
    assert code == 130
    assert "Traceback" not in error
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("size", [2_000, 20_000])
def test_disk_that_takes_no_more_is_exit_code_1_and_leaves_nothing(corpus: Path, tmp_path: Path, size: int) -> None:
    assert resource.RLIMIT_FSIZE  # a limit on the size of a file stands in for a full disk
    code, error = child(str(size), corpus, tmp_path / "out")
    assert code == 1
    assert "a file may not be larger here" in error
    assert "bytes of the disk are free" in error
    assert "Traceback" not in error
    assert left_behind(tmp_path) == []


def test_duplicate_ids_are_told_apart_by_path_and_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["one text", "another text", "one text", "and another"]
    write_jsonl(tmp_path / "a.jsonl", [{"id": "same", "text": text} for text in texts])
    summary = run(request([tmp_path / "a.jsonl"], tmp_path / "out"))
    assert summary["duplicate_ids"] == 3
    assert "'same'" in capsys.readouterr().err
    (row,) = removed(tmp_path / "out")
    assert (row["row"], row["kept_row"]) == (2, 0)


def test_empty_texts_and_texts_of_one_word(tmp_path: Path) -> None:
    texts = ["", "word", "", "Word!", "?", "word", "other"]
    write_jsonl(tmp_path / "a.jsonl", [{"id": str(n), "text": text} for n, text in enumerate(texts)])
    run(request([tmp_path / "a.jsonl"], tmp_path / "out"))
    assert [(row["id"], row["kept_id"], row["rule"]) for row in removed(tmp_path / "out")] == [
        ("2", "0", "exact"),
        ("3", "1", "near"),
        ("5", "1", "exact"),
    ]


def test_no_records_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\n\n")
    (tmp_path / "b.jsonl").write_bytes(b"")
    summary = run(request([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], tmp_path / "out"))
    assert (summary["records_in"], summary["clusters"]) == (0, 0)
    assert (tmp_path / "out/kept/b.jsonl").read_bytes() == b""


def test_field_that_mixes_numbers_and_text_has_no_order(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"text": "a", "score": 1}, {"text": "b", "score": "high"}])
    with pytest.raises(UserError, match="score holds numbers and text"):
        run(request([tmp_path / "a.jsonl"], tmp_path / "out", keep="score"))


def test_line_above_the_limit_is_quarantined(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.readers.streams import Limits

    reader = scan.RecordReader  # type: ignore[attr-defined]
    monkeypatch.setattr(scan, "RecordReader", lambda part, wanted: reader(part, wanted, Limits(record_bytes=1000)))
    with open(corpus, "ab") as file:
        file.write(json.dumps({"text": "long " * 300}).encode() + b"\n")
    summary = run(request([corpus], tmp_path / "out"))
    assert summary["records_quarantined"] == 1


@pytest.mark.slow
def test_document_of_200_megabytes(tmp_path: Path) -> None:
    line = b'{"text": "' + b" ".join(b"w%d" % number for number in range(25_000_000)) + b'"}\n'
    assert len(line) > 200_000_000
    (tmp_path / "a.jsonl").write_bytes(line + line)
    summary = run(request([tmp_path / "a.jsonl"], tmp_path / "out"))
    assert (summary["records_kept"], summary["records_removed_exact"]) == (1, 1)
    assert removed(tmp_path / "out")[0]["union"] == 25_000_000 - 4


def test_arrow_file_whose_offsets_lead_outside_is_refused_in_words(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    table = pa.table({"text": ["q" * 40] * 3})
    with pa.ipc.new_file(tmp_path / "in" / "a.arrow", table.schema) as file:
        file.write_table(table)
    before, after = (tmp_path / "in" / "a.arrow").read_bytes().split((80).to_bytes(4, "little") + b"\x78\0\0\0")
    (tmp_path / "in" / "a.arrow").write_bytes(before + (80).to_bytes(4, "little") + b"\0\0\0\x40" + after)
    code, _, error = call(capfd, str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--workers", "1")
    assert code == 1
    assert "no record can be read, the first damage: a.arrow: corrupt_rows: rows 0 to 2 cannot be read" in error
    assert left_behind(tmp_path) == []


def test_parquet_with_an_encrypted_column_keeps_its_rows_without_it_and_tells(tmp_path: Path) -> None:
    encrypted(tmp_path / "a.parquet", 5)
    with pytest.raises(RunError, match=r"a\.parquet: corrupt_rows: rows 0 to 4 lack secret, which cannot be read; fix"):
        run(request([tmp_path / "a.parquet"], tmp_path / "out"))  # all that there is lacks it
    assert left_behind(tmp_path) == ["a.parquet"]
    write_jsonl(tmp_path / "b.jsonl", [{"text": "whole"}])
    summary = run(request([tmp_path], tmp_path / "out"))
    assert (summary["records_kept"], summary["records_quarantined"]) == (6, 1)
    kept = pq.read_table(tmp_path / "out/kept/a.parquet")
    assert kept["secret"].null_count == 5
    (row,) = pa.ipc.open_file((tmp_path / "out/quarantine.arrow").read_bytes()).read_all().to_pylist()
    assert (row["path"], row["detail"]) == ("a.parquet", "rows 0 to 4 lack secret, which cannot be read")


def test_arrow_column_whose_name_is_not_utf8_is_passed_through(tmp_path: Path) -> None:
    table = pa.table({"text": ["one", "two words", "one"], "name": [1, 2, 3]})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as file:
        file.write_table(table)
    (tmp_path / "a.arrow").write_bytes((tmp_path / "a.arrow").read_bytes().replace(b"name", b"na\xffe"))
    run(request([tmp_path / "a.arrow"], tmp_path / "out"))
    kept = pa.ipc.open_file((tmp_path / "out/kept/a.arrow").read_bytes()).get_batch(0)
    assert kept.to_struct_array().field(1).to_pylist() == [1, 2]


def test_column_of_a_type_without_values_is_passed_through(tmp_path: Path) -> None:
    write_months(tmp_path / "a.arrow", ["one", "two words", "one"])
    assert run(request([tmp_path / "a.arrow"], tmp_path / "out"))["records_kept"] == 2
    before, after = (
        pa.ipc.open_file(path.read_bytes()) for path in (tmp_path / "a.arrow", tmp_path / "out/kept/a.arrow")
    )
    assert after.schema.equals(before.schema)
    assert after.get_batch(0).equals(before.get_batch(0).slice(0, 2))


def test_codec_that_is_only_read_is_written_as_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"text": ["one", "two words"], "n": [1, 2]}), tmp_path / "a.parquet", compression="zstd")
    unknown = [
        [("text", "UNKNOWN", 10), ("n", "ZSTD", 10)]
    ]  # as pyarrow names the LZ4 of Hadoop, which it never writes
    monkeypatch.setattr("pipeline.readers.columns.footers.Footers.chunks", lambda self, local: unknown)
    run(request([tmp_path / "a.parquet"], tmp_path / "out"))
    written = pq.ParquetFile(tmp_path / "out/kept/a.parquet")
    assert written.read().to_pylist() == [{"text": "one", "n": 1}, {"text": "two words", "n": 2}]
    assert written.metadata.row_group(0).column(1).compression == "ZSTD"


def test_id_that_is_not_utf8_and_a_column_name_that_is_none(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(pa.string(), 2, pa.array([b"a", b"\xff\xfe"], pa.binary()).buffers())
    table = pa.table({"text": ["one", "two words"], "id": bad})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as file:
        file.write_table(table)
    assert run(request([tmp_path / "a.arrow"], tmp_path / "out"))["records_kept"] == 2
    (tmp_path / "b.arrow").write_bytes((tmp_path / "a.arrow").read_bytes().replace(b"text", b"tex\xff"))
    with pytest.raises(UserError, match=r"b\.arrow: no column text"):
        run(request([tmp_path / "b.arrow"], tmp_path / "other"))
