"""Whatever ``tokenmill run`` reads, ``tokenmill dedup run`` reads, and writes what it keeps as it was."""

import bz2
import csv
import gzip
import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.base.errors import UserError
from pipeline.dedup.command.describe_output import describe_output
from pipeline.dedup.command.run import run
from pipeline.readers.parts import partition
from pipeline.recipe.csv_options import csv_of
from tests.pipeline.dedup.helpers import edited_corpus, json_lines, removed, request, write_jsonl

ONE, TWO = "the first text of them all", "a second one with other words"


def kept(tmp_path: Path) -> dict[str, bytes]:
    folder = tmp_path / "out" / "kept"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def given(tmp_path: Path, files: Mapping[str, bytes | str]) -> Path:
    for name, data in files.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return tmp_path / "in"


def test_of_a_folder_of_texts_the_kept_files_stay_byte_for_byte(tmp_path: Path) -> None:
    texts = {"a.txt": f"{ONE}\r\n", "b/c.md": ONE + "\n", "b/d.txt.gz": gzip.compress(TWO.encode()), "e.txt": TWO}
    summary = run(request([given(tmp_path, texts)], tmp_path / "out", keep="longest"))
    assert (summary["records_in"], summary["records_kept"]) == (4, 2)
    assert kept(tmp_path) == {"a.txt": f"{ONE}\r\n".encode(), "b/d.txt.gz": texts["b/d.txt.gz"]}
    assert [(row["id"], row["kept_id"], row["path"], row["row"]) for row in removed(tmp_path / "out")] == [
        ("b/c.md:0", "a.txt:0", "b/c.md", 0),
        ("e.txt:0", "b/d.txt.gz:0", "e.txt", 0),
    ]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.bz2"])
def test_kept_rows_of_a_csv_file_are_the_same_bytes_below_the_same_header(tmp_path: Path, name: str) -> None:
    rows = [
        b'\xef\xbb\xbfid;"text";n\r\n',
        f'1;"{ONE},\r\nand ""more""";07\r\n'.encode(),
        f'2;"{TWO}";1\r\n'.encode(),
        f"3;{TWO};2\r\n".encode(),
        b"4;one field too many;5;6\r\n",
        f"5;{TWO} indeed".encode() + b";1\r\n",
    ]
    packed = bz2.compress if name.endswith("bz2") else bytes
    given(tmp_path, {name: packed(b"".join(rows))})
    summary = run(request([tmp_path / "in" / name], tmp_path / "out"))
    assert [summary[f"records_{kind}"] for kind in ("in", "kept", "removed_exact", "quarantined")] == [5, 3, 1, 1]
    plain = bz2.decompress if name.endswith("bz2") else bytes
    assert plain(kept(tmp_path)[name]) == b"".join([*rows[:3], rows[5]])
    assert [(row["id"], row["row"], row["kept_row"]) for row in removed(tmp_path / "out")] == [("3", 2, 1)]


def test_numbers_of_a_csv_file_are_numbers_to_keep_by(tmp_path: Path) -> None:
    table = io.StringIO()
    csv.writer(table).writerows([["text", "score"], [ONE, "9"], [ONE, "10"], [ONE, ""], [ONE, "1.5"]])
    given(tmp_path, {"a.csv": table.getvalue()})
    run(request([tmp_path / "in"], tmp_path / "out", keep="score"))
    assert {row["kept_row"] for row in removed(tmp_path / "out")} == {1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[{"text":"x", "n": 1.50},\n {"text":"x"}, {"text":"y"}]',
            '[\n{"text":"x", "n": 1.50},\n{"text":"y"}\n]\n',
        ),
        ('{"text":\n "x"}\n{"text": "x"}', '{"text":\n "x"}\n'),
        ('{"text": "x"}\n{"text": "x"}\n{"text":"y"}', '{"text": "x"}\n{"text":"y"}'),
        ('[{"n": 1}, {"text": "x"}]', '[\n{"text": "x"}\n]\n'),
    ],
)
def test_kept_values_of_a_json_file_are_the_same_bytes(tmp_path: Path, text: str, expected: str) -> None:
    given(tmp_path, {"a.json": text})
    run(request([tmp_path / "in/a.json"], tmp_path / "out"))
    assert kept(tmp_path) == {"a.json": expected.encode()}


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_records_that_share_a_line_are_told_apart_and_written_apart(tmp_path: Path, name: str) -> None:
    lines = b'{"text": "one"}{"text": "two"}{"text": "one"}\n{"text": "two"},\n{"text": "three"},\n{"text": "four"}'
    packed = gzip.compress if name.endswith("gz") else bytes
    given(tmp_path, {name: packed(lines)})
    summary = run(request([tmp_path / "in"], tmp_path / "out"))
    assert (summary["records_in"], summary["records_quarantined"]) == (6, 0)
    data = kept(tmp_path)[name]
    data = gzip.decompress(data) if name.endswith("gz") else data
    assert data == b'{"text": "one"}{"text": "two"}\n{"text": "three"},\n{"text": "four"}'
    assert [row["row"] for row in removed(tmp_path / "out")] == [0, 1]


def test_lines_in_utf_16_are_kept_in_utf_8(tmp_path: Path) -> None:
    given(tmp_path, {"a.jsonl": '{"text": "é"}\n{"text": "é"}\n{"text": "b"}\n'.encode("utf-16")})
    run(request([tmp_path / "in"], tmp_path / "out"))
    assert kept(tmp_path) == {"a.jsonl": '\ufeff{"text": "é"}\n{"text": "b"}\n'.encode().removeprefix(b"\xef\xbb\xbf")}


def test_members_of_archives_become_json_lines_beside_their_names(tmp_path: Path) -> None:
    packed, taped = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x/one.txt", ONE)
        archive.writestr("rows.jsonl", json_lines([{"id": 7, "text": TWO, "n": 2**70}, {"text": ONE}]))
    with tarfile.open(fileobj=taped, mode="w:gz") as tape:
        member = tarfile.TarInfo("one.txt")
        member.size = len(ONE)
        tape.addfile(member, io.BytesIO(ONE.encode()))
    given(tmp_path, {"a.zip": packed.getvalue(), "b.tgz": taped.getvalue()})
    summary = run(request([tmp_path / "in"], tmp_path / "out"))
    assert (summary["records_in"], summary["records_kept"]) == (4, 2)
    assert {name: [json.loads(line) for line in data.splitlines()] for name, data in kept(tmp_path).items()} == {
        "a.zip.jsonl": [
            {"id": "a.zip/x/one.txt:0", "text": ONE, "path": "a.zip/x/one.txt"},
            {"id": 7, "text": TWO, "n": 2**70},
        ],
        "b.tgz.jsonl": [],
    }
    assert [(row["id"], row["path"], row["row"]) for row in removed(tmp_path / "out")] == [
        ("a.zip/rows.jsonl:1", "a.zip", 2),
        ("b.tgz/one.txt:0", "b.tgz", 0),
    ]


def warc_record(number: int, text: str, kind: str = "conversion") -> bytes:
    body = text.encode()
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:{number}>\r\nContent-Type: text/plain\r\n"
        f"WARC-Target-URI: http://e.org/{number}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body + b"\r\n\r\n"


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz"])
def test_kept_records_of_a_warc_file_are_the_same_bytes(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = gzip.compress if name.endswith("gz") else bytes
    texts = [
        ("software: x", "warcinfo"),
        (ONE, "conversion"),
        (TWO, "conversion"),
        (ONE, "conversion"),
        ("q", "request"),
    ]
    records = [packed(warc_record(number, *text)) for number, text in enumerate(texts)]
    given(tmp_path, {name: b"".join(records)})
    summary = run(request([tmp_path / "in"], tmp_path / "out"))
    assert (summary["records_in"], summary["records_kept"], summary["excluded"]) == (3, 2, {"record_type": 2})
    assert kept(tmp_path) == {name: records[1] + records[2]}
    assert [(row["id"], row["kept_id"]) for row in removed(tmp_path / "out")] == [("urn:3", "urn:1")]
    shutil.rmtree(tmp_path / "out")
    monkeypatch.setattr(partition, "partition_bytes", lambda total: len(records[1]) + 8)
    run(request([tmp_path / "in"], tmp_path / "out", keep="longest"))
    assert kept(tmp_path) == {name: records[1] + records[2]}


def test_warc_records_that_share_a_member_become_json_lines(tmp_path: Path) -> None:
    given(tmp_path, {"a.warc.gz": gzip.compress(warc_record(1, ONE) + warc_record(2, TWO) + warc_record(3, ONE))})
    run(request([tmp_path / "in"], tmp_path / "out"))
    (data,) = kept(tmp_path).values()
    assert [json.loads(line) for line in data.splitlines()] == [
        {"id": "urn:1", "text": ONE, "url": "http://e.org/1", "path": "a.warc.gz"},
        {"id": "urn:2", "text": TWO, "url": "http://e.org/2", "path": "a.warc.gz"},
    ]


@pytest.mark.parametrize("name", ["a.mbox", "a.mbox.gz"])
def test_kept_messages_of_a_mailbox_are_the_same_bytes(tmp_path: Path, name: str) -> None:
    letters = [f"From x\nMessage-ID: <{n}>\nSubject: {text}\n\n{text}\n\n" for n, text in enumerate((ONE, TWO, ONE))]
    packed = gzip.compress if name.endswith("gz") else bytes
    given(tmp_path, {name: packed("".join(letters).encode())})
    run(request([tmp_path / "in"], tmp_path / "out"))
    (data,) = kept(tmp_path).values()
    assert (gzip.decompress(data) if name.endswith("gz") else data).decode() == letters[0] + letters[1]


def test_pages_are_compared_by_their_main_text(tmp_path: Path) -> None:
    page = "<html><head><title>{}</title></head><body><article><p>{}</p><p>{}</p></article></body></html>"
    words = " ".join(f"word{number}" for number in range(80))
    pages = {f"{name}.html": page.format(name, words, words[::-1]) for name in ("a", "b")}
    summary = run(request([given(tmp_path, {**pages, "c.html": "<html><body></body></html>"})], tmp_path / "out"))
    assert (summary["records_in"], summary["excluded"]) == (2, {"empty_extraction": 1})
    assert list(kept(tmp_path)) == ["a.html"]


def test_text_is_found_as_a_recipe_finds_it(tmp_path: Path) -> None:
    write_jsonl(
        Path(given(tmp_path, {"x.txt": TWO})) / "a.jsonl", [{"content": ONE}, {"raw_content": ONE}, {"text": ONE}]
    )
    pq.write_table(pa.table({"content": [ONE, TWO]}), tmp_path / "in/b.parquet")
    nested = pa.table({"doc": [{"text": ONE}]})
    pq.write_table(nested, tmp_path / "in/c.parquet")
    summary = run(request([tmp_path / "in"], tmp_path / "out"))
    counts = [summary[f"records_{kind}"] for kind in ("in", "kept", "removed_exact", "quarantined")]
    assert counts == [7, 2, 4, 1]  # c.parquet has no text under these names
    summary = run(request([tmp_path / "in/c.parquet"], tmp_path / "nested", text_field="doc.text"))
    assert summary["records_kept"] == 1


def test_damage_costs_its_rows_and_not_the_command(tmp_path: Path) -> None:
    table = pa.table({"text": [f"{ONE} {number}" for number in range(60)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=20, use_dictionary=False, compression="none")
    with pq.ParquetFile(tmp_path / "a.parquet") as opened:
        start = opened.metadata.row_group(1).column(0).data_page_offset
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    data[start : start + 30] = b"\xff" * 30
    given(tmp_path, {"a.parquet": bytes(data), "b.arrow": b"ARROW1 no arrow", "c.jsonl": json_lines([{"text": TWO}])})
    summary = run(request([tmp_path / "in"], tmp_path / "out", exact_only=True))
    assert (summary["records_kept"], summary["records_quarantined"]) == (41, 2)
    rows = pa.ipc.open_file((tmp_path / "out/quarantine.arrow").read_bytes()).read_all().to_pylist()
    assert [(row["path"], row["reason"]) for row in rows] == [
        ("a.parquet", "corrupt_rows"),
        ("b.arrow", "corrupt_file"),
    ]
    found = pq.read_table(tmp_path / "out/kept/a.parquet")["text"].to_pylist()
    assert found == table["text"].to_pylist()[:20] + table["text"].to_pylist()[40:]


def test_texts_of_a_column_that_are_not_utf8_are_damage(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", b"\xff\xfe", b"c"], pa.binary()).buffers())
    with pa.ipc.new_file(tmp_path / "a.arrow", pa.schema([("text", pa.string())])) as file:
        file.write_table(pa.table({"text": bad}))
    summary = run(request([tmp_path / "a.arrow"], tmp_path / "out"))
    assert (summary["records_kept"], summary["records_quarantined"]) == (2, 1)
    pq.write_table(pa.table({"text": [b"bytes", b"bytes", b"\xff"]}), tmp_path / "b.parquet")
    summary = run(request([tmp_path / "b.parquet"], tmp_path / "more"))
    assert [summary[f"records_{kind}"] for kind in ("kept", "removed_exact", "quarantined")] == [1, 1, 1]


def test_earlier_outputs_in_a_folder_are_left_out_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_jsonl(given(tmp_path, {"x.txt": TWO}) / "a.jsonl", edited_corpus(families=3))
    first = run(request([tmp_path / "in"], tmp_path / "in/unique"))
    capsys.readouterr()
    second = run(request([tmp_path / "in"], tmp_path / "out"))
    assert (second["records_in"], second["records_kept"]) == (first["records_in"], first["records_kept"])
    assert "passed over (output of an earlier dedup run): " in capsys.readouterr().err
    third = run(request([tmp_path / "in/unique"], tmp_path / "third"))
    assert third["records_in"] == third["records_kept"] == first["records_kept"]
    assert third["files_passed_over"] == 3


def test_file_that_cannot_be_read_is_one_quarantined_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.dedup.files import input_files

    folder = given(tmp_path, {"a.txt": ONE, "b.txt": TWO})
    found = input_files.storage.open_local  # type: ignore[attr-defined]

    def refusing(url: str) -> Path:
        if url.endswith("a.txt"):
            raise PermissionError(13, "Permission denied")
        return found(url)

    monkeypatch.setattr(input_files.storage, "open_local", refusing)  # type: ignore[attr-defined]
    summary = run(request([folder], tmp_path / "out"))
    assert (summary["records_kept"], summary["records_quarantined"]) == (1, 1)
    assert kept(tmp_path) == {"b.txt": TWO.encode()}


@pytest.mark.parametrize(("low", "high"), [(2**53, 2**53 + 1), (2**64, 2**64 + 1), (10**40, 10**40 + 1)])
@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_numbers_that_no_double_holds_decide_all_the_same(tmp_path: Path, low: int, high: int, name: str) -> None:
    records: list[dict[str, Any]] = [{"text": ONE, "n": low}, {"text": ONE, "n": high}, {"text": ONE, "n": None}]
    path = given(tmp_path, {}) / name
    path.parent.mkdir(exist_ok=True)
    if name == "a.jsonl":
        path.write_bytes(b"".join(json.dumps(record).encode() + b"\n" for record in records))
    else:
        kind = pa.int64() if high < 2**63 else pa.decimal256(60, 0)
        columns = {"text": [ONE] * 3, "n": pa.array([low, high, None], kind)}
        pq.write_table(pa.table(columns), path)
    (tmp_path / "in/z.jsonl").write_bytes(orjson.dumps({"text": ONE, "n": 1.5}) + b"\n")
    run(request([tmp_path / "in"], tmp_path / "out", keep="n"))
    found = removed(tmp_path / "out")
    assert {(row["kept_path"], row["kept_row"]) for row in found} == {(name, 1)}
    assert {row["chosen_by"] for row in found} == {"n"}


def test_texts_in_lists_are_joined_as_in_a_recipe(tmp_path: Path) -> None:
    given(tmp_path, {"a.jsonl": json_lines([{"doc": {"parts": [{"t": ONE}, {"t": TWO}]}}, {"doc": {"parts": []}}] * 2)})
    summary = run(request([tmp_path / "in"], tmp_path / "out", text_field="doc.parts.t"))
    assert [summary[f"records_{kind}"] for kind in ("kept", "removed_exact", "quarantined")] == [1, 1, 2]
    with pytest.raises(UserError, match=r"a record is kept or removed as a whole; doc\.parts\.t joins"):
        run(request([tmp_path / "in"], tmp_path / "more", text_field="doc.parts[].t"))


def test_dialect_of_csv_files_is_stated(tmp_path: Path) -> None:
    rows = f"of the year\n1\t{ONE}\n2\t{ONE}\n3\t{TWO}\n"
    asked = request([given(tmp_path, {"a.csv": rows})], tmp_path / "out", keep="longest")
    stated = csv_of("--csv", ["delimiter=\\t", "columns=id,text", "header=false", "skip_lines=1"])
    summary = run(replace(asked, csv=stated))
    assert (summary["records_in"], summary["records_kept"]) == (3, 2)
    assert kept(tmp_path) == {"a.csv": f"of the year\n1\t{ONE}\n3\t{TWO}\n".encode()}
    assert [(row["id"], row["kept_id"]) for row in removed(tmp_path / "out")] == [("2", "1")]
    shown = describe_output(str(tmp_path / "out"), 1)["text"]
    assert ONE in shown, "inspect reads the texts by the same dialect"


def test_what_is_wrong_with_a_stated_dialect_is_told_at_once() -> None:
    with pytest.raises(UserError) as caught:
        csv_of("--csv", ["delimiters=;", "header", "quote=ab", "skip_lines=-1"])
    told = str(caught.value).splitlines()
    assert len(told) == 3
    assert told[0] == (
        "--csv delimiters: unknown key; did you mean delimiter?; "
        "there are delimiter, quote, escape, header, skip_lines, comment, columns"
    )
    assert told[1] == "--csv header: expected KEY=VALUE, such as --csv delimiter=;"
    assert told[2].startswith("--csv skip_lines=-1: Input should be greater than or equal to 0")
