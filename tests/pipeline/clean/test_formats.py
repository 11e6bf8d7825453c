"""Every format gives the same records, whatever it is packed in; ids and counts follow from the inputs alone."""

import bz2
import gzip
import io
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.clean.shard import doc_id
from tests.pipeline.clean.inputs import tar_with, zip_with

Clean = Callable[..., Any]
RECORDS = [{"id": str(n), "text": f"Text number {n}, with café and 漢字.", "kind": "x"} for n in range(20)]
TEXTS = [record["text"] for record in RECORDS]
TABLE = pa.Table.from_pylist(RECORDS)
JSONL = b"".join(json.dumps(record).encode() + b"\n" for record in RECORDS)


def ipc(stream: bool) -> bytes:
    sink = io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=7)
    return sink.getvalue()


def written(write: Callable[[Any], Any]) -> bytes:
    sink = io.BytesIO()
    write(sink)
    return sink.getvalue()


FILES = {
    "a.jsonl": lambda: JSONL,
    "a.jsonl.gz": lambda: gzip.compress(JSONL),
    "a.ndjson.bz2": lambda: bz2.compress(JSONL),
    "a.jsonl.xz": lambda: lzma.compress(JSONL),
    "a.jsonl.zst": lambda: zstandard.ZstdCompressor().compress(JSONL),
    "gzip-by-content.jsonl": lambda: gzip.compress(JSONL),
    "lines.json": lambda: JSONL,
    "list.json": lambda: json.dumps(RECORDS).encode(),
    "list-indented.json.gz": lambda: gzip.compress(json.dumps(RECORDS, indent=2).encode()),
    "objects.json": lambda: "\n".join(json.dumps(record, indent=1) for record in RECORDS).encode(),
    "a.parquet": lambda: written(lambda sink: pq.write_table(TABLE, sink, row_group_size=6)),
    "a.arrow": lambda: ipc(stream=False),
    "a.arrows.arrow": lambda: ipc(stream=True),
    "a.feather": lambda: written(lambda sink: pyarrow.feather.write_feather(TABLE, sink)),
    "a.csv": lambda: written(lambda sink: pyarrow.csv.write_csv(TABLE, sink)),
    "a.csv.gz": lambda: gzip.compress(written(lambda sink: pyarrow.csv.write_csv(TABLE, sink))),
    "semicolons.csv": lambda: b"id;text\n" + b"".join(f"{r['id']};{r['text']}\n".encode() for r in RECORDS),
    "a.tsv": lambda: b"id\ttext\n" + b"".join(f"{r['id']}\t{r['text']}\n".encode() for r in RECORDS),
    "a.zip": lambda: zip_with({"in/a.jsonl": JSONL}),
    "compressed-in.zip": lambda: zip_with({"in/a.jsonl.gz": gzip.compress(JSONL)}),
    "parquet-in.zip": lambda: zip_with({"a.parquet": written(lambda sink: pq.write_table(TABLE, sink))}),
    "a.tar": lambda: tar_with({"in/a.jsonl": JSONL}),
    "a.tar.gz": lambda: gzip.compress(tar_with({"in/a.jsonl": JSONL})),
    "a.tar.zst": lambda: zstandard.ZstdCompressor().compress(tar_with({"a.jsonl": JSONL})),
}


@pytest.mark.parametrize("name", FILES)
def test_format_gives_the_records(tmp_path: Path, clean: Clean, name: str) -> None:
    (tmp_path / name).write_bytes(FILES[name]())
    cleaned = clean(tmp_path / name)
    assert cleaned.texts == TEXTS
    assert [document["id"] for document in cleaned.documents] == [record["id"] for record in RECORDS]
    assert len({document["doc_id"] for document in cleaned.documents}) == len(RECORDS)


@pytest.mark.parametrize("name", ["jsonl", "list", "indented", "parquet", "arrow", "arrow stream", "html"])
def test_format_is_told_by_content_where_the_name_is_silent(tmp_path: Path, clean: Clean, name: str) -> None:
    content = {
        "jsonl": JSONL,
        "list": FILES["list.json"](),
        "indented": FILES["objects.json"](),
        "parquet": FILES["a.parquet"](),
        "arrow": FILES["a.arrow"](),
        "arrow stream": FILES["a.arrows.arrow"](),
        "html": b"<!DOCTYPE html><html><body><main><p>A paragraph of plain running text.</p></main></body></html>",
    }[name]
    (tmp_path / "part-00000").write_bytes(content)
    cleaned = clean(tmp_path)
    assert cleaned.texts == (["A paragraph of plain running text."] if name == "html" else TEXTS)


def test_stated_format_wins_over_the_name(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.txt").write_bytes(JSONL)
    assert clean(tmp_path / "a.txt", source={"format": "jsonl"}).texts == TEXTS
    assert len(clean(tmp_path / "a.txt", source={"format": "text"}).texts) == 1


def test_stated_archive_format_is_that_of_the_archive_not_of_its_members(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.zip").write_bytes(tar_with({"in/a.jsonl": JSONL}))
    assert clean(tmp_path / "a.zip", source={"format": "tar"}).texts == TEXTS


def test_fields_are_mapped_and_the_rest_becomes_metadata(tmp_path: Path, clean: Clean) -> None:
    record = {
        "body": {"content": "words"},
        "key": 7,
        "link": "https://a.example/",
        "when": "2024-05-01",
        "rights": "MIT",
        "n": 1,
    }
    (tmp_path / "a.jsonl").write_text(json.dumps(record))
    fields = {"text": "body.content", "id": "key", "url": "link", "date": "when", "licence": "rights"}
    document = clean(tmp_path / "a.jsonl", source={"fields": fields, "licence": "CC0-1.0"}).documents[0]
    assert (document["text"], document["id"], document["url"]) == ("words", "7", "https://a.example/")
    assert (document["date"], document["licence"], document["licence_evidence"]) == ("2024-05-01", "MIT", "record")
    assert json.loads(document["metadata"]) == {"body": {}, "n": 1}


def test_recipes_licence_is_for_records_that_name_none(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": "b", "license": "MIT"}\n')
    (tmp_path / "b.txt").write_text("c")
    documents = clean(tmp_path, source={"licence": "CC0-1.0"}).documents
    found = [(document["licence"], document["licence_evidence"]) for document in documents]
    assert found == [("CC0-1.0", "recipe"), ("MIT", "record"), ("CC0-1.0", "recipe")]


def test_text_file_is_split_at_the_separator(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\n<|end|>\ntwo<|end|>   <|end|>three")
    cleaned = clean(tmp_path / "a.txt", source={"separator": "<|end|>"})
    assert cleaned.texts == ["one", "two", "three"]
    assert [document["offset"] for document in cleaned.documents] == [0, 11, 32]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32-be"])
def test_line_feed_of_a_separator_stands_for_both_line_ends(
    tmp_path: Path, clean: Clean, monkeypatch: Any, encoding: str
) -> None:
    monkeypatch.setattr("pipeline.readers.streams.CHUNK_BYTES", 8)
    (tmp_path / "a.txt").write_bytes("one\r\n---\r\ntwo\n---\nthree ---\r\n---\r\n".encode(encoding))
    assert clean(tmp_path / "a.txt", source={"separator": "\n---\n"}).texts == ["one", "two", "three ---"]


def test_stated_encoding_is_that_of_a_text_split_at_a_separator(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.txt").write_bytes("один¶два".encode("iso-8859-5", "replace").replace(b"?", b"%"))
    assert clean(tmp_path / "a.txt", source={"separator": "%", "encoding": "iso-8859-5"}).texts == ["один", "два"]


def test_wet_file_gives_its_conversions(tmp_path: Path, clean: Clean) -> None:
    text = "Plain text of a page, déjà extracted."
    block = text.encode()
    head = "WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: https://a.example/\r\nContent-Type: text/plain\r\n"
    info = b"WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 3\r\n\r\na:b\r\n\r\n"
    data = info + head.encode() + f"Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"
    (tmp_path / "a.warc.wet.gz").write_bytes(gzip.compress(data))
    cleaned = clean(tmp_path / "a.warc.wet.gz", source={"format": "wet"})
    assert cleaned.texts == [text]
    assert [row["reason"] for row in cleaned.excluded] == ["record_type"]


def test_document_id_is_the_hash_of_source_path_and_offset(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_bytes(JSONL)
    documents = clean(tmp_path / "in").documents
    second = len(JSONL.split(b"\n")[0]) + 1
    assert documents[1]["offset"] == second
    assert documents[1]["doc_id"] == doc_id("test", "a.jsonl", second)


def test_records_of_one_gzip_member_have_ids_of_their_own(tmp_path: Path, clean: Clean) -> None:
    record = b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nword\r\n\r\n"
    (tmp_path / "a.warc.gz").write_bytes(gzip.compress(record * 3))
    documents = clean(tmp_path / "a.warc.gz").documents
    assert [document["offset"] for document in documents] == [0, 0, 0]
    assert len({document["doc_id"] for document in documents}) == 3


def test_file_name_that_is_not_utf8_is_read(tmp_path: Path, clean: Clean) -> None:
    import os

    with open(os.fsencode(tmp_path) + b"/caf\xe9.txt", "wb") as file:
        file.write(b"plain words")
    document = clean(tmp_path).documents[0]
    assert (document["text"], document["path"]) == ("plain words", "caf\\xe9.txt")


def test_sample_corpus_comes_out_as_stated(sample: Path, clean: Clean) -> None:
    expected = json.loads((sample / "expected.json").read_text())["files"]
    names = ["faults/records.jsonl", "faults/web.warc.gz", "debian-handbook.warc.gz", "html/ch1web.htm"]
    for name in names:
        cleaned = clean(sample / name)
        stated = expected[name]
        assert cleaned.numbers() == (stated["documents"], stated["excluded"], stated["quarantined"]), name
        reasons = [outcome["reason"] for outcome in stated.get("outcomes", []) if outcome["outcome"] == "quarantined"]
        assert cleaned.reasons == reasons
