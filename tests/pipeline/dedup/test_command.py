import bz2
import gzip
import json
import lzma
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.dedup.command.run import run
from pipeline.inspection.describe import describe
from pipeline.readers.parts import partition
from tests.pipeline.dedup.helpers import Record, edited_corpus, json_lines, removed, request, write_jsonl, write_parquet
from tests.pipeline.dedup.reference import reference


def write_gzip(path: Path, records: list[Record]) -> None:
    path.write_bytes(gzip.compress(json_lines(records)))


def write_zstd(path: Path, records: list[Record]) -> None:
    path.write_bytes(zstandard.compress(json_lines(records)))


def write_bz2(path: Path, records: list[Record]) -> None:
    path.write_bytes(bz2.compress(json_lines(records)))


def write_xz(path: Path, records: list[Record]) -> None:
    path.write_bytes(lzma.compress(json_lines(records)))


def write_arrow(path: Path, records: list[Record]) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, pa.Table.from_pylist(records).schema) as writer:
        writer.write_table(pa.Table.from_pylist(records), max_chunksize=5)


def write_stream(path: Path, records: list[Record]) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, pa.Table.from_pylist(records).schema) as writer:
        writer.write_table(pa.Table.from_pylist(records), max_chunksize=5)


def write_feather(path: Path, records: list[Record]) -> None:
    feather.write_feather(pa.Table.from_pylist(records), path, compression="lz4", chunksize=5)


WRITERS: dict[str, Callable[[Path, list[Record]], None]] = {
    "a.jsonl": write_jsonl,
    "b.jsonl.gz": write_gzip,
    "c.ndjson.zst": write_zstd,
    "d.jsonl.bz2": write_bz2,
    "e.jsonl.xz": write_xz,
    "f.parquet": write_parquet,
    "g.arrow": write_arrow,
    "h.ipc": write_stream,
    "i.feather": write_feather,
}


def read_any(path: Path) -> list[Record]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix in (".arrow", ".feather"):
        return pa.ipc.open_file(path.read_bytes()).read_all().to_pylist()
    if path.suffix == ".ipc":
        return pa.ipc.open_stream(path.read_bytes()).read_all().to_pylist()
    openers = {".gz": gzip.open, ".zst": zstandard.open, ".bz2": bz2.open, ".xz": lzma.open, ".jsonl": open}
    with openers[path.suffix](path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def snapshot(output: Path) -> dict[str, bytes]:
    found = {path.relative_to(output).as_posix(): path.read_bytes() for path in output.rglob("*") if path.is_file()}
    summary = json.loads(found.pop("summary.json"))
    summary.pop("seconds")
    return found | {"summary.json": json.dumps(summary).encode()}


@pytest.fixture
def mixed(tmp_path: Path) -> tuple[Path, list[Record]]:
    """One folder with a file of each format, and all records in input order."""
    records = edited_corpus()
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    share = -(-len(records) // len(WRITERS))
    for number, (name, write) in enumerate(WRITERS.items()):
        write(folder / name, records[number * share : (number + 1) * share])
    return folder, records


def test_every_format_comes_out_as_it_went_in_and_the_rule_is_kept(
    mixed: tuple[Path, list[Record]], tmp_path: Path
) -> None:
    folder, records = mixed
    summary = run(request([folder], tmp_path / "out", threshold=0.7))
    expected, clusters = reference([r["text"] for r in records], list(range(len(records))), 0.7)
    assert len(expected) > 20
    kept = [record for number, record in enumerate(records) if number not in expected]
    assert [record for name in WRITERS for record in read_any(tmp_path / "out/kept" / name)] == kept
    rows = removed(tmp_path / "out")
    assert [row["id"] for row in rows] == [f"r{number}" for number in sorted(expected)]
    for row, number in zip(rows, sorted(expected), strict=True):
        wanted = expected[number]
        assert row["kept_id"] == f"r{wanted.keeper}"
        assert (row["intersection"], row["union"]) == (wanted.intersection, wanted.union)
        assert row["rule"] == ("exact" if wanted.exact else "near")
        assert row["cluster_id"] == f"r{clusters[number]}"
        assert row["cluster_size"] == clusters.count(clusters[number])
        name = list(WRITERS)[number // -(-len(records) // len(WRITERS))]
        assert (row["path"], row["row"]) == (name, number % -(-len(records) // len(WRITERS)))
    assert summary["records_in"] == len(records)
    assert summary["records_kept"] == len(kept)
    four = [f"records_{kind}" for kind in ("kept", "removed_exact", "removed_near", "quarantined")]
    assert sum(summary[name] for name in four) == summary["records_in"]
    assert json.loads((tmp_path / "out/summary.json").read_text()) == summary
    parquet = pq.ParquetFile(tmp_path / "out/kept/f.parquet")
    assert parquet.schema_arrow.metadata[b"made"] == b"by a test"
    assert parquet.metadata.row_group(0).column(0).compression == "ZSTD"
    parquet.close()


@pytest.mark.parametrize("verify", [True, False])
def test_workers_memory_split_and_order_of_input_do_not_change_a_byte(
    mixed: tuple[Path, list[Record]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verify: bool
) -> None:
    folder, _ = mixed
    run(request([folder], tmp_path / "one", verify=verify, keep="longest"))
    one = snapshot(tmp_path / "one")
    monkeypatch.setattr(partition, "partition_bytes", lambda total: 2000)
    paths = sorted(folder.glob("*.*"), reverse=True)
    run(request(paths, tmp_path / "two", 2, verify=verify, keep="longest", memory="1KB"))
    assert snapshot(tmp_path / "two") == one
    assert len(removed(tmp_path / "one")) > 20


def test_lines_pass_through_byte_for_byte(tmp_path: Path) -> None:
    lines = [
        b'\xef\xbb\xbf{"text":  "one of a kind, number one", "n": 1.50, "\\u0061": "\xc3\xa9"}\r\n',
        b"\n",
        b'{"text": "one of a kind, number two", "n": 1e400}\n',
        b'{"n": 1, "text": "one of a kind, number two"}\n',
        b'  {"text": "a lone \\ud800 surrogate stays as it is"}  \n',
        b'{"text": "the last line has no line feed"}',
    ]
    (tmp_path / "a.jsonl").write_bytes(b"".join(lines))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b"".join(lines[4:])))
    run(request([tmp_path / "a.jsonl"], tmp_path / "out"))
    assert (tmp_path / "out/kept/a.jsonl").read_bytes() == b"".join([lines[0], lines[2], lines[4], lines[5]])
    run(request([tmp_path / "b.jsonl.gz"], tmp_path / "packed"))
    assert gzip.decompress((tmp_path / "packed/kept/b.jsonl.gz").read_bytes()) == b"".join(lines[4:])


def test_records_without_id_are_named_by_path_and_row(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"text": "twice"}, {"id": 7, "text": "twice"}, {"id": None, "text": "twice"}])
    run(request([tmp_path / "a.jsonl"], tmp_path / "out"))
    assert [(row["id"], row["kept_id"]) for row in removed(tmp_path / "out")] == [
        ("7", "a.jsonl:0"),
        ("a.jsonl:2", "a.jsonl:0"),
    ]


def test_quarantined_records_are_counted_and_listed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(
        b'{"text": "good"}\nnot json\n{"id": 1}\n{"text": 5}\n[1]\n{"text": "\xff"}\n{"text": null}\n{"text": "good"}\n'
    )
    summary = run(request([tmp_path / "a.jsonl"], tmp_path / "out"))
    assert (summary["records_in"], summary["records_kept"], summary["records_quarantined"]) == (8, 1, 6)
    assert removed(tmp_path / "out")[0]["row"] == 7
    rows = pa.ipc.open_file((tmp_path / "out/quarantine.arrow").read_bytes()).read_all()
    assert set(rows["reason"].to_pylist()) == {
        "json_invalid",
        "missing_text",
        "wrong_type",
        "json_not_object",
        "not_utf8",
    }
    assert (tmp_path / "out/kept/a.jsonl").read_bytes() == b'{"text": "good"}\n'


def test_exact_only_removes_equal_texts_only(tmp_path: Path) -> None:
    base = " ".join(f"w{number}" for number in range(50))
    records = [{"id": str(n), "text": text} for n, text in enumerate([base, base + " x", base, "", "", "?"])]
    write_jsonl(tmp_path / "a.jsonl", records)
    summary = run(request([tmp_path / "a.jsonl"], tmp_path / "out", exact_only=True))
    assert [row["id"] for row in removed(tmp_path / "out")] == ["2", "4"]
    assert summary["records_removed_exact"] == 2
    assert removed(tmp_path / "out")[0]["union"] == 46


def test_random_survivor_policies_follow_their_order(tmp_path: Path) -> None:
    generator = random.Random(5)
    base = " ".join(f"w{number}" for number in range(60))
    records = [
        {"id": str(n), "text": f"{base} {'x' * generator.randrange(9)}", "score": generator.choice([None, 1, 2.5, 3])}
        for n in range(40)
    ]
    write_jsonl(tmp_path / "a.jsonl", records)

    def survivor(**options: Any) -> str:
        output = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        run(request([tmp_path / "a.jsonl"], output, **options))
        (kept,) = read_any(output / "kept/a.jsonl")
        return str(kept["id"])

    assert survivor(keep="first") == "0"
    longest = max(len(record["text"]) for record in records)
    assert survivor(keep="longest") == next(r["id"] for r in records if len(r["text"]) == longest)
    assert survivor(keep="score") == next(r["id"] for r in records if r["score"] == 3)


def test_inspect_shows_the_largest_clusters_side_by_side(tmp_path: Path) -> None:
    base = " ".join(f"w{number}" for number in range(60))
    texts = [base, base + " the end", "something else", base + " an end", "something else"]
    (tmp_path / "in").mkdir()
    write_jsonl(tmp_path / "in/a.jsonl", [{"id": str(n), "text": text} for n, text in enumerate(texts)])
    run(request([tmp_path / "in"], tmp_path / "out"))
    found = describe(str(tmp_path / "out"), 1)
    assert found["summary"]["clusters"] == 2
    (cluster,) = found["clusters"]
    assert (cluster["cluster_size"], cluster["kept_id"]) == (3, "0")
    assert "[the end]" in found["text"]
    (tmp_path / "in/a.jsonl").unlink()
    assert "not to be found" in describe(str(tmp_path / "out"), 2)["text"]


@pytest.mark.parametrize(
    ("options", "kept", "chosen_by"),
    [
        ({"prefer_sources": ["b*", "a*"]}, ["1"], "source"),
        ({"prefer_licences": ["CC0*", "cc-by-*"]}, ["2"], "licence"),
        ({"prefer_sources": ["z*"], "prefer_licences": ["MIT"]}, ["0"], "first"),
        ({"copies": 2}, ["0", "1"], "first"),
        ({"keep": "longest", "copies": 2}, ["0", "2"], "longest"),
    ],
)
def test_policies_decide_and_the_evidence_says_which(
    tmp_path: Path, options: dict[str, Any], kept: list[str], chosen_by: str
) -> None:
    base = " ".join(f"w{number}" for number in range(60))
    write_jsonl(tmp_path / "a.jsonl", [{"id": "0", "text": base + " xx", "licence": None}])
    records = [
        {"id": "1", "text": base, "licence": "CC-BY-4.0"},
        {"id": "2", "text": base + " yyyyyy", "licence": "cc0-1.0"},
    ]
    write_jsonl(tmp_path / "b.jsonl", records)
    run(request([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], tmp_path / "out", **options))
    found = [record["id"] for name in ("a.jsonl", "b.jsonl") for record in read_any(tmp_path / "out/kept" / name)]
    assert found == kept
    assert chosen_by in {row["chosen_by"] for row in removed(tmp_path / "out")}
    clusters = pa.ipc.open_file((tmp_path / "out/clusters.arrow").read_bytes()).read_all().to_pylist()
    assert [(row["id"], row["cluster_id"], row["cluster_size"]) for row in clusters] == [
        (name, "0", 3) for name in kept
    ]


def test_keeper_of_a_record_of_one_url_may_be_the_first_of_an_equal_text(tmp_path: Path) -> None:
    """Its shingles are wanted though it is in no bucket."""
    shared, words = "https://example.org/b", "a page whose words nobody else has used before it came"
    records = [
        {"id": "0", "url": "https://example.org/a", "text": words},
        {"id": "1", "url": shared, "text": words},
        {"id": "2", "url": shared, "text": "a page whose words nobody else has used since"},
    ]
    write_jsonl(tmp_path / "a.jsonl", records)
    run(request([tmp_path / "a.jsonl"], tmp_path / "out", same_url=True))
    assert [
        (row["id"], row["kept_id"], row["rule"], row["intersection"], row["union"]) for row in removed(tmp_path / "out")
    ] == [("1", "0", "exact", 7, 7), ("2", "0", "url", 4, 8)]


def test_of_records_of_one_url_one_is_kept(tmp_path: Path) -> None:
    records = [
        {"id": "0", "url": "https://example.org/a", "text": "an old page with old words in it"},
        {"id": "1", "url": "http://www.example.org/a/", "text": "a new page, longer, with quite other words in it"},
        {"id": "2", "url": None, "text": "no url"},
        {"id": "3", "url": "https://example.org/b", "text": "an old page with old words in it"},
        {"id": "4", "text": "no url either"},
    ]
    write_jsonl(tmp_path / "a.jsonl", records)
    summary = run(request([tmp_path / "a.jsonl"], tmp_path / "out", same_url=True, keep="longest"))
    assert summary["records_removed_url"] == 1
    assert summary["records_removed_exact"] == 1
    (row,) = removed(tmp_path / "out")
    assert (row["id"], row["kept_id"], row["rule"], row["similarity"]) == ("0", "1", "url", 0.0)
    assert (row["chosen_by"], row["cluster_size"]) == ("longest", 2)


def test_columns_of_view_types_are_read_and_kept_as_they_were(tmp_path: Path) -> None:
    texts = ["one", None, "two of them", "one", "three", "four of a length that no view holds"]
    columns = {
        "text": pa.array(texts, pa.string_view()),
        "tags": pa.array([["a"], [], None, ["b"], ["c", "d"], ["e"]], pa.list_(pa.string_view())),
        "raw": pa.array([b"\xff", None, b"b", b"c", b"d", b"e" * 30], pa.binary_view()),
    }
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "a.parquet")
    with pa.OSFile(str(tmp_path / "b.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    summary = run(request([tmp_path / "a.parquet", tmp_path / "b.arrow"], tmp_path / "out"))
    assert [summary[f"records_{kind}"] for kind in ("in", "kept", "removed_exact", "quarantined")] == [12, 4, 6, 2]
    kept = pq.read_table(tmp_path / "out" / "kept" / "a.parquet")
    assert kept.schema == table.schema
    assert kept.to_pylist() == [table.to_pylist()[row] for row in (0, 2, 4, 5)]
    none = pa.ipc.open_file((tmp_path / "out" / "kept" / "b.arrow").read_bytes()).read_all()
    assert (none.schema, none.num_rows) == (table.schema, 0)


def test_column_of_a_type_that_cannot_be_taken_apart_is_passed_through(tmp_path: Path) -> None:
    union = pa.UnionArray.from_dense(
        pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32()), [pa.array([1, 2]), pa.array(["q"])]
    )
    table = pa.table({"text": ["one", "one", "two"], "either": union})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    run(request([tmp_path / "a.arrow"], tmp_path / "out"))
    kept = pa.ipc.open_file((tmp_path / "out" / "kept" / "a.arrow").read_bytes()).read_all()
    assert kept.to_pylist() == [{"text": "one", "either": 1}, {"text": "two", "either": 2}]
