"""The committed sample corpus is what data/sample/README.md and expected.json say it is."""

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from warcio.archiveiterator import ArchiveIterator

from pipeline.recipe.load import load_recipe

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "data" / "sample"
EXPECTED = json.loads((SAMPLE / "expected.json").read_text(encoding="utf-8"))
FILES: dict[str, dict[str, Any]] = EXPECTED["files"]
ABOUT = {"README.md", "expected.json"}
MANUALS = [name for name in FILES if name.endswith(".warc.gz") and not name.startswith("faults/")]
MAX_BYTES = 6_000_000


def sample_files() -> list[str]:
    return sorted(p.relative_to(SAMPLE).as_posix() for p in SAMPLE.rglob("*") if p.is_file())


def gzip_members(data: bytes) -> Iterator[bytes]:
    while data:
        member = zlib.decompressobj(wbits=31)
        yield member.decompress(data)
        data = member.unused_data


def warc_bodies(name: str) -> dict[str, bytes]:
    with (SAMPLE / name).open("rb") as file:
        records = [
            (r.rec_type, r.rec_headers["WARC-Target-URI"], r.content_stream().read()) for r in ArchiveIterator(file)
        ]
    return {url: body for kind, url, body in records if kind == "response"}


def jsonl_rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress((SAMPLE / name).read_bytes()).decode("utf-8").splitlines()]


def test_the_sample_is_at_most_6_mb() -> None:
    assert 4_000_000 < sum((SAMPLE / name).stat().st_size for name in sample_files()) <= MAX_BYTES


def test_every_file_is_in_expected_json_and_in_the_licence_note() -> None:
    assert sorted(FILES) == [name for name in sample_files() if name not in ABOUT]
    note = (SAMPLE / "README.md").read_text(encoding="utf-8")
    assert [name for name in FILES if f"`{name}`" not in note] == []


@pytest.mark.parametrize("name", sorted(FILES))
def test_checksum_is_the_stated_one(name: str) -> None:
    data = (SAMPLE / name).read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (FILES[name]["bytes"], FILES[name]["sha256"])


def test_stated_records_add_up() -> None:
    kinds = ("documents", "excluded", "quarantined")
    for name, file in FILES.items():
        assert file["records"] == sum(file[kind] for kind in kinds), name
        for kind in kinds if "outcomes" in file else ():
            assert sum(row["outcome"] == kind.removesuffix("s") for row in file["outcomes"]) == file[kind], name
    assert EXPECTED["totals"] == {key: sum(file[key] for file in FILES.values()) for key in EXPECTED["totals"]}
    assert EXPECTED["totals"]["excluded"] >= 10
    assert EXPECTED["totals"]["quarantined"] >= 5


@pytest.mark.parametrize("name", MANUALS)
def test_manual_warc_has_one_gzip_member_a_record_and_pages_only(name: str) -> None:
    members = list(gzip_members((SAMPLE / name).read_bytes()))
    assert len(members) == FILES[name]["records"]
    assert all(member.startswith(b"WARC/1.0\r\n") for member in members)
    bodies = warc_bodies(name)
    assert len(bodies) == FILES[name]["documents"]
    assert all(b"<html" in body[:2000].lower() for body in bodies.values())


@pytest.mark.parametrize("name", [name for name in MANUALS if FILES[name]["two_releases"]])
def test_pages_of_two_releases_differ_where_stated(name: str) -> None:
    bodies, pairs = warc_bodies(name), FILES[name]["two_releases"]
    assert len(pairs) >= 5
    assert all((bodies[pair["a"]] == bodies[pair["b"]]) == pair["identical"] for pair in pairs)


def test_both_edited_and_identical_pages_of_two_releases_are_there() -> None:
    assert {pair["identical"] for name in MANUALS for pair in FILES[name]["two_releases"]} == {True, False}


def test_parquet_has_the_stated_rows_several_row_groups_and_no_empty_text() -> None:
    file = pq.ParquetFile(SAMPLE / "wikipedia-en.parquet")
    assert file.metadata.num_rows == FILES["wikipedia-en.parquet"]["records"]
    assert file.metadata.num_row_groups > 1
    rows = file.read().to_pylist()
    assert list(rows[0]) == ["id", "title", "text", "url", "date", "licence"]
    assert all(row["text"].strip() and row["licence"].startswith("CC-BY-SA-") for row in rows)


def test_jsonl_has_the_stated_languages_and_copies_of_the_parquet_file() -> None:
    name = "wikipedia-leads.jsonl.gz"
    rows = jsonl_rows(name)
    assert len(rows) == FILES[name]["records"]
    counts = {code: sum(row["language"] == code for row in rows) for code in FILES[name]["languages"]}
    assert counts == FILES[name]["languages"]
    assert min(counts["fr"], counts["es"]) > 1000
    texts = {row["url"]: row["text"] for row in pq.read_table(SAMPLE / "wikipedia-en.parquet").to_pylist()}
    copies = {row["url"]: row["extract"] for row in rows if row["url"] in texts}
    assert sorted(copies) == sorted(FILES[name]["also_in_parquet"])
    assert all(texts[url] == text for url, text in copies.items())


def test_faulty_warc_is_damaged_in_the_stated_member_only() -> None:
    data = (SAMPLE / "faults/web.warc.gz").read_bytes()
    rows = FILES["faults/web.warc.gz"]["outcomes"]
    ends = [row["offset"] for row in rows[1:]] + [len(data)]
    damaged = []
    for row, end in zip(rows, ends, strict=True):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data[row["offset"] : end])) as member:
                assert member.read().startswith(b"WARC/1.0\r\n")
        except (zlib.error, gzip.BadGzipFile, EOFError):
            damaged.append(row["record"])
    assert damaged == [row["record"] for row in rows if row["outcome"] == "quarantined"]
    assert len(damaged) == 1


def test_faulty_json_lines_are_broken_in_the_stated_way() -> None:
    lines = (SAMPLE / "faults/records.jsonl").read_bytes().splitlines(keepends=True)
    rows = FILES["faults/records.jsonl"]["outcomes"]
    assert [row["line"] for row in rows] == list(range(1, len(lines) + 1))
    assert [row["offset"] for row in rows] == [sum(map(len, lines[:number])) for number in range(len(lines))]
    assert [fault_of(line) for line in lines] == [row["reason"] for row in rows]


def fault_of(line: bytes) -> str | None:
    """The reason code for a line, the plain way."""
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        return "not_utf8"
    except json.JSONDecodeError:
        return "json_invalid"
    if not isinstance(value, dict):
        return "json_not_object"
    if "text" not in value:
        return "missing_text"
    if not isinstance(value["text"], str):
        return "wrong_type"
    return None if value["text"] else "empty"


def test_demo_recipe_reads_every_file_of_the_sample_as_the_stated_source() -> None:
    recipe = load_recipe(ROOT / "configs" / "demo.toml")
    covered = {}
    for source in recipe.sources:
        for path in map(Path, source.paths):
            found = path.rglob("*") if path.is_dir() else path.parent.glob(path.name)
            covered |= {file.relative_to(SAMPLE).as_posix(): source.name for file in found}
        assert source.licence, source.name
    assert covered == {name: file["source"] for name, file in FILES.items()}
    assert recipe.stages == ["clean", "dedup", "filter", "tokenize", "train", "report"]
