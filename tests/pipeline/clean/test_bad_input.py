"""Every kind of damage costs exactly what is damaged: the counts are exact, and the good records are all there."""

import bz2
import errno
import gzip
import io
import json
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

Clean = Callable[..., Any]


def lines(first: int, last: int, size: int = 200) -> bytes:
    """JSON lines that hardly compress, so that a damaged byte lies in the middle of data."""
    records = [{"id": str(n), "text": f"record {n} {os.urandom(size).hex()}"} for n in range(first, last)]
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def damage(data: bytes, at: int, size: int = 64) -> bytes:
    return data[:at] + b"\xaa" * size + data[at + size :]


def page(text: str, head: str = "") -> bytes:
    body = f"<p>{text} This is a paragraph of running text, long enough to be taken for content.</p>"
    return f"<html><head><title>A page</title>{head}</head><body><main>{body}</main></body></html>".encode()


def response(body: bytes, url: str = "https://site.example/", content_type: str = "text/html; charset=utf-8") -> bytes:
    http = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n".encode() + body
    return warc_record(http, url)


def warc_record(block: bytes, url: str, kind: str = "response", length: int | None = None) -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2024-01-01T00:00:00Z\r\n"
    head += "Content-Type: application/http; msgtype=response\r\n"
    head += f"Content-Length: {len(block) if length is None else length}\r\n\r\n"
    return head.encode() + block + b"\r\n\r\n"


def warc(count: int) -> list[bytes]:
    return [
        response(page(f"Page number {n}. {os.urandom(400).hex()}"), f"https://site.example/{n}") for n in range(count)
    ]


# --- compression


def test_truncated_gzip_keeps_the_whole_lines_and_counts_one(tmp_path: Path, clean: Clean) -> None:
    packed = gzip.compress(lines(0, 50))
    (tmp_path / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    cleaned = clean(tmp_path / "a.jsonl.gz")
    assert cleaned.reasons == ["truncated"]
    ids = [document["id"] for document in cleaned.documents]
    assert 15 < len(ids) < 35
    assert ids == [str(n) for n in range(len(ids))]
    assert cleaned.quarantined[0]["length"] == len(packed) // 2


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress), ("zst", zstandard.ZstdCompressor().compress)],
)
def test_records_after_a_corrupt_member_are_read(
    tmp_path: Path, clean: Clean, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    members = [compress(lines(n * 10, n * 10 + 10)) for n in range(3)]
    members[1] = damage(members[1], 30)
    (tmp_path / f"a.jsonl.{suffix}").write_bytes(b"".join(members))
    cleaned = clean(tmp_path / f"a.jsonl.{suffix}")
    assert cleaned.reasons == ["corrupt_compression"]
    assert cleaned.quarantined[0]["offset"] == len(members[0])
    assert cleaned.quarantined[0]["length"] == len(members[1])
    assert [document["id"] for document in cleaned.documents] == [str(n) for n in (*range(10), *range(20, 30))]


def test_wrong_checksum_at_the_end_of_a_member_is_one_damaged_region(tmp_path: Path, clean: Clean) -> None:
    packed = bytearray(gzip.compress(lines(0, 5)))
    packed[-6] ^= 1
    (tmp_path / "a.jsonl.gz").write_bytes(bytes(packed) + gzip.compress(lines(5, 7)))
    assert clean(tmp_path / "a.jsonl.gz").reasons == ["corrupt_compression"]


def test_gzip_bomb_stops_at_the_ratio(tmp_path: Path, clean: Clean) -> None:
    bomb = gzip.compress(lines(0, 3) + b" " * (80 << 20))
    (tmp_path / "a.jsonl.gz").write_bytes(bomb)
    cleaned = clean(tmp_path / "a.jsonl.gz", max_decompression_ratio=100)
    assert cleaned.numbers() == (3, 0, 1)
    assert cleaned.reasons == ["decompression_bomb"]


def test_gzip_bomb_stops_at_the_absolute_limit(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines(0, 3) + b" " * (3 << 20)))
    cleaned = clean(tmp_path / "a.jsonl.gz", max_decompressed_bytes=2 << 20)
    assert cleaned.reasons == ["decompression_bomb"]
    assert "max_decompressed_bytes" in cleaned.quarantined[0]["detail"]


def test_bomb_in_one_warc_member_costs_that_member(tmp_path: Path, clean: Clean) -> None:
    good = [gzip.compress(record) for record in warc(2)]
    bomb = gzip.compress(response(page("x" * (3 << 20))))
    (tmp_path / "a.warc.gz").write_bytes(good[0] + bomb + good[1])
    cleaned = clean(tmp_path / "a.warc.gz", max_decompressed_bytes=1 << 20)
    assert cleaned.numbers() == (2, 0, 1)
    assert cleaned.reasons == ["decompression_bomb"]


def test_bomb_inside_an_http_body_costs_its_record(tmp_path: Path, clean: Clean) -> None:
    body = gzip.compress(b"x" * (4 << 20))
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n" + body
    good = warc(1)[0]
    (tmp_path / "a.warc").write_bytes(warc_record(http, "https://site.example/bomb") + good)
    cleaned = clean(tmp_path / "a.warc", max_record_bytes=1 << 20)
    assert cleaned.numbers() == (1, 0, 1)
    assert cleaned.reasons == ["http_invalid"]


# --- WARC


def test_corrupt_warc_member_costs_its_record_only(tmp_path: Path, clean: Clean) -> None:
    members = [gzip.compress(record) for record in warc(5)]
    members[2] = damage(members[2], len(members[2]) // 2)
    (tmp_path / "a.warc.gz").write_bytes(b"".join(members))
    cleaned = clean(tmp_path / "a.warc.gz")
    assert cleaned.numbers() == (4, 0, 1)
    assert cleaned.reasons == ["corrupt_compression"]
    assert cleaned.quarantined[0]["offset"] == len(members[0] + members[1])
    assert cleaned.quarantined[0]["length"] == len(members[2])
    assert [document["url"][-1] for document in cleaned.documents] == ["0", "1", "3", "4"]


def test_warc_member_with_a_wrong_checksum_is_not_trusted(tmp_path: Path, clean: Clean) -> None:
    members = [bytearray(gzip.compress(record)) for record in warc(3)]
    members[1][-5] ^= 1
    (tmp_path / "a.warc.gz").write_bytes(b"".join(members))
    cleaned = clean(tmp_path / "a.warc.gz")
    assert cleaned.numbers() == (2, 0, 1)
    assert cleaned.reasons == ["corrupt_compression"]


@pytest.mark.parametrize("lie", [-50, 50, 10_000_000])
@pytest.mark.parametrize("packed", [False, True])
def test_warc_record_whose_length_lies_costs_itself(tmp_path: Path, clean: Clean, lie: int, packed: bool) -> None:
    records = warc(3)
    http = records[1].partition(b"\r\n\r\n")[2][:-4]
    records[1] = warc_record(http, "https://site.example/liar", length=len(http) + lie)
    data = [gzip.compress(record) for record in records] if packed else records
    name = "a.warc.gz" if packed else "a.warc"
    (tmp_path / name).write_bytes(b"".join(data))
    cleaned = clean(tmp_path / name)
    assert cleaned.numbers() == (2, 0, 1)
    assert cleaned.reasons == ["length_mismatch"]
    assert [document["url"][-1] for document in cleaned.documents] == ["0", "2"]


@pytest.mark.parametrize("lie", [4000, 10_000_000])
def test_length_above_the_limit_that_lies_costs_its_record(tmp_path: Path, clean: Clean, lie: int) -> None:
    records = warc(12)
    records[4] = warc_record(response(page("liar")), "http://site.example/4", length=lie)
    (tmp_path / "a.warc").write_bytes(b"".join(records))
    cleaned = clean(tmp_path / "a.warc", max_record_bytes=2000)
    assert cleaned.numbers() == (11, 0, 1)
    assert cleaned.reasons == ["length_mismatch"]


def test_gap_of_zeros_between_warc_records_costs_no_record(tmp_path: Path, clean: Clean) -> None:
    records = warc(6)
    (tmp_path / "a.warc").write_bytes(b"".join([*records[:3], bytes(4096), *records[3:]]))
    assert clean(tmp_path / "a.warc").numbers() == (6, 0, 1)


@pytest.mark.parametrize("packed", [False, True])
def test_missing_warc_header_costs_one(tmp_path: Path, clean: Clean, packed: bool) -> None:
    records = warc(3)
    records[1] = records[1][records[1].index(b"HTTP/1.1") :]
    data = [gzip.compress(record) for record in records] if packed else records
    name = "a.warc.gz" if packed else "a.warc"
    (tmp_path / name).write_bytes(b"".join(data))
    cleaned = clean(tmp_path / name)
    assert cleaned.numbers() == (2, 0, 1)
    assert cleaned.reasons == ["missing_warc_header"]


def test_warc_writers_that_spare_or_double_line_ends_lose_nothing(tmp_path: Path, clean: Clean) -> None:
    """As the samples of pywb have them."""
    records = warc(4)
    records[0] = records[0][:-2]
    head, mark, rest = records[2].partition(b"\r\n\r\n")
    records[2] = head.replace(b"\r\n", b"\r\r\n") + b"\r\r\n\r\r\n" + rest
    (tmp_path / "a.warc").write_bytes(b"".join(records))
    assert mark
    assert clean(tmp_path / "a.warc").numbers() == (4, 0, 0)


def test_warc_record_without_a_length_costs_one(tmp_path: Path, clean: Clean) -> None:
    records = warc(3)
    records[1] = records[1].replace(b"Content-Length: ", b"Content-Width: ", 1)
    (tmp_path / "a.warc").write_bytes(b"".join(records))
    cleaned = clean(tmp_path / "a.warc")
    assert cleaned.numbers() == (2, 0, 1)
    assert cleaned.reasons == ["warc_header_invalid"]


def test_truncated_warc_keeps_the_records_before(tmp_path: Path, clean: Clean) -> None:
    data = b"".join(gzip.compress(record) for record in warc(4))
    (tmp_path / "a.warc.gz").write_bytes(data[:-100])
    cleaned = clean(tmp_path / "a.warc.gz")
    assert cleaned.numbers() == (3, 0, 1)
    assert cleaned.reasons == ["truncated"]


# --- JSON


def test_bad_json_lines_cost_one_each(tmp_path: Path, clean: Clean) -> None:
    bad = [b"[1, 2]", b"17", b'{"text": "half', b'"text"', b'{"id": "x"}', b'{"text": 5}', b'{"text": null}', b"null"]
    good = lines(0, 2)
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([*bad, b"", b"   ", good]))
    cleaned = clean(tmp_path / "a.jsonl")
    assert cleaned.numbers() == (2, 0, 8)
    assert cleaned.reasons == [
        *("json_not_object", "json_not_object", "json_invalid", "json_not_object"),
        *("missing_text", "wrong_type", "missing_text", "json_not_object"),
    ]
    assert [row["offset"] for row in cleaned.quarantined] == [0, 7, 10, 25, 32, 44, 56, 71]


def test_empty_text_is_excluded_not_damaged(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": ""}\n{"text": " \\n "}\n{"text": "a"}\n')
    cleaned = clean(tmp_path / "a.jsonl")
    assert cleaned.numbers() == (1, 2, 0)
    assert {row["reason"] for row in cleaned.excluded} == {"empty"}


def test_line_above_the_limit_costs_itself_and_is_not_held(tmp_path: Path, clean: Clean) -> None:
    long = b'{"text": "' + b"a" * (300 << 20) + b'"}\n'
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines(0, 1) + long + lines(1, 2), 1))
    cleaned = clean(tmp_path / "a.jsonl.gz")
    assert cleaned.numbers() == (2, 0, 1)
    assert cleaned.reasons == ["record_too_large"]
    assert cleaned.quarantined[0]["length"] == len(long) - 1
    assert len(cleaned.quarantined[0]["head"]) == 256


def test_line_that_is_not_utf8_costs_itself(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(0, 1) + '{"text": "café"}\n'.encode("latin-1") + lines(1, 2))
    cleaned = clean(tmp_path / "a.jsonl")
    assert cleaned.numbers() == (2, 0, 1)
    assert cleaned.reasons == ["not_utf8"]


def test_lone_surrogate_becomes_the_replacement_character(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a\\ud83d b \\ud83d\\ude00 c\\udc00"}\n')
    assert clean(tmp_path / "a.jsonl").texts == ["a\ufffd b 😀 c\ufffd"]


def test_nan_and_infinity_in_a_record_are_no_damage(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a", "score": NaN, "top": Infinity}\n')
    assert clean(tmp_path / "a.jsonl").texts == ["a"]


def test_nul_bytes_are_removed_from_text(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a\\u0000b"}\n')
    (tmp_path / "b.txt").write_bytes(b"One \0 stray zero byte in a text file of ordinary words.")
    assert clean(tmp_path / "*.*").texts == ["ab", "One  stray zero byte in a text file of ordinary words."]


def test_line_of_nul_bytes_is_one_damaged_record(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(0, 1) + b"\0" * 5000 + b"\n" + lines(1, 2))
    cleaned = clean(tmp_path / "a.jsonl")
    assert cleaned.numbers() == (2, 0, 1)
    assert cleaned.reasons == ["json_invalid"]


def test_json_list_with_a_half_object_at_its_end(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.json").write_bytes(b'[{"text": "one"}, {"text": "two"}, 3, [4], {"text": "thr')
    cleaned = clean(tmp_path / "a.json")
    assert cleaned.texts == ["one", "two"]
    assert cleaned.reasons == ["json_not_object", "json_not_object", "json_invalid"]


def test_value_of_a_json_list_above_the_limit_costs_itself(tmp_path: Path, clean: Clean, monkeypatch: Any) -> None:
    monkeypatch.setattr("pipeline.readers.streams.CHUNK_BYTES", 300)
    records = [{"text": "first"}, {"text": "long " * 1000}, {"text": "third"}, {"text": "long " * 500}]
    content = json.dumps(records)
    (tmp_path / "a.json").write_text(content)
    cleaned = clean(tmp_path / "a.json", max_record_bytes=1024)
    assert cleaned.texts == ["first", "third"]
    assert [(row["reason"], row["offset"]) for row in cleaned.quarantined] == [
        ("record_too_large", content.index('{"text": "long')),
        ("record_too_large", content.rindex('{"text": "long')),
    ]


@pytest.mark.parametrize("content", [b"17", b'"x"', b"null"])
def test_json_file_that_is_no_record_costs_one(tmp_path: Path, clean: Clean, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    assert clean(tmp_path / "a.json").reasons == ["json_not_object"]


# --- encodings


WIDE_TEXTS = [
    "Grüße aus Köln: a line of plain words to read, with enough of them to be taken for running text.",
    "Река течёт через город, и на её берегу стоит старый дом, в котором живут учитель и его дочь.",
]


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32", "utf-32-le", "utf-32-be"]
)
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.html"])
@pytest.mark.parametrize("text", WIDE_TEXTS, ids=["latin", "cyrillic"])
def test_wide_encodings_are_read_with_and_without_a_mark(
    tmp_path: Path, clean: Clean, encoding: str, name: str, text: str
) -> None:
    content = {
        "a.txt": text,
        "a.jsonl": json.dumps({"text": text}, ensure_ascii=False) + "\n",
        "a.csv": f'text,id\n"{text}",1\n',
        "a.html": f"<html><body><main><p>{text}</p></main></body></html>",
    }[name]
    (tmp_path / name).write_bytes(content.encode(encoding))
    cleaned = clean(tmp_path / name)
    assert cleaned.numbers() == (1, 0, 0)
    assert cleaned.texts == [text]


def test_stray_nul_bytes_do_not_make_a_file_utf_16(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.csv").write_bytes(b"text,id\nwith \0 nul,1\ngood one,2\n")
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "good"}\n\0\n{"text": "ok"}\n')
    cleaned = clean(tmp_path)
    assert cleaned.texts == ["with  nul", "good one", "good", "ok"]
    assert cleaned.reasons == ["json_invalid"]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
def test_stated_encoding_is_used(tmp_path: Path, clean: Clean, name: str) -> None:
    content = {"a.txt": "日本語", "a.jsonl": '{"text": "日本語"}', "a.csv": "text\n日本語\n"}[name]
    (tmp_path / name).write_bytes(content.encode("utf-32-be"))
    assert clean(tmp_path / name, source={"encoding": "UTF-32-BE"}).texts == ["日本語"]


def test_windows_1252_declared_as_utf8_is_read_as_what_it_is(tmp_path: Path, clean: Clean) -> None:
    text = "L’été à Genève : un café « très » serré coûte 3 €, déjà."
    body = f"<html><head><meta charset=utf-8></head><body><main><p>{text}</p></main></body></html>".encode("cp1252")
    (tmp_path / "a.warc").write_bytes(response(body))
    assert clean(tmp_path / "a.warc").texts == [text]


def test_binary_file_named_text_is_not_text(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.txt").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "b.txt").write_bytes(b"plain words")
    cleaned = clean(tmp_path)
    assert cleaned.texts == ["plain words"]
    assert cleaned.reasons == ["not_text"]


# --- HTML


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("<div>" * 100_000 + "deep", "html_too_deep"),
        ("<span><div></span>" * 50_000, "html_too_deep"),
        ("<svg>" + "<g>" * 100_000, "html_too_deep"),
        ("<p>x" * 600_000, "html_too_many_tags"),
        ("<p " + " ".join(f"a{n}=1" for n in range(100_000)) + ">x", "html_too_complex"),
        ("".join(f"<p><font size={n}>x</p>" for n in range(900)) + "<p>x</p>" * 100_000, "html_too_complex"),
        ("<div>" * 900 + "<p>x</p>" * 100_000, "html_too_complex"),
        ("x" * (17 << 20), "html_too_large"),
    ],
    ids=["nested", "misnested", "svg", "tags", "attributes", "formatting", "leaves", "bytes"],
)
def test_page_that_would_take_too_long_is_refused_before_parsing(
    tmp_path: Path, clean: Clean, body: str, reason: str
) -> None:
    (tmp_path / "a.html").write_text(body)
    (tmp_path / "b.html").write_bytes(page("good"))
    cleaned = clean(tmp_path)
    assert cleaned.numbers() == (1, 0, 1)
    assert cleaned.reasons == [reason]


# --- tables


def test_parquet_without_the_text_column_is_damaged_row_by_row(tmp_path: Path, clean: Clean) -> None:
    pq.write_table(pa.table({"body": ["a", "b", "c"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": ["x"]}), tmp_path / "b.parquet")
    cleaned = clean(tmp_path)
    assert cleaned.numbers() == (1, 0, 3)
    assert cleaned.reasons == ["missing_text"] * 3


def test_parquet_with_text_of_a_wrong_type_is_damaged_row_by_row(tmp_path: Path, clean: Clean) -> None:
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "a.parquet")
    cleaned = clean(tmp_path / "a.parquet")
    assert cleaned.numbers() == (0, 0, 2)
    assert cleaned.reasons == ["wrong_type"] * 2


def test_parquet_rows_with_null_or_bad_bytes_cost_themselves(tmp_path: Path, clean: Clean) -> None:
    bad = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"], pa.binary()).buffers())
    text = pa.chunked_array([pa.array(["a", None]), bad, pa.array(["b"])])
    pq.write_table(pa.table({"text": text}), tmp_path / "a.parquet")
    cleaned = clean(tmp_path / "a.parquet")
    assert cleaned.texts == ["a", "b"]
    assert cleaned.reasons == ["missing_text", "not_utf8"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.list_(pa.string()), pa.struct({"a": pa.string()})])
def test_arrow_offsets_that_lead_outside_cost_their_batch(tmp_path: Path, clean: Clean, kind: pa.DataType) -> None:
    values = {pa.list_(pa.string()): [["q" * 40]] * 3, pa.struct({"a": pa.string()}): [{"a": "q" * 40}] * 3}
    table = pa.table({"text": ["one", "two", "three"], "x": pa.array(values.get(kind, ["q" * 40] * 3), kind)})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as file:
        for _ in range(3):
            file.write_table(table)
    width = 8 if kind == pa.large_string() else 4
    offsets = b"".join((40 * n).to_bytes(width, "little") for n in range(4))
    before, first, second, after = (tmp_path / "a.arrow").read_bytes().split(offsets)
    wrong = offsets[:-width] + (1 << 30).to_bytes(width, "little")
    (tmp_path / "a.arrow").write_bytes(before + offsets + first + wrong + second + offsets + after)
    cleaned = clean(tmp_path / "a.arrow")
    assert cleaned.texts == ["one", "two", "three"] * 2
    assert [(row["reason"], row["offset"]) for row in cleaned.quarantined] == [("corrupt_rows", 3)]


def arrow_stream(batches: int, column: str = "text") -> bytes:
    sink = io.BytesIO()
    table = pa.table({column: ["a", "b", "c"]})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for _ in range(batches):
            writer.write_table(table)
    return sink.getvalue()


@pytest.mark.parametrize(("cut", "read"), [(0.7, 3), (1.0, 6)])
def test_arrow_stream_that_ends_before_its_file_or_after_keeps_what_was_read(
    tmp_path: Path, clean: Clean, cut: float, read: int
) -> None:
    content = arrow_stream(2)
    (tmp_path / "a.arrow").write_bytes(content[: int(len(content) * cut)] if cut < 1 else content + content)
    cleaned = clean(tmp_path / "a.arrow")
    assert (len(cleaned.texts), cleaned.reasons) == (read, ["corrupt_rows"])


def test_damaged_arrow_stream_without_the_text_column_is_counted(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.arrow").write_bytes(arrow_stream(2, "body")[:-100])
    assert clean(tmp_path / "a.arrow").reasons == ["missing_text"] * 3 + ["corrupt_rows"]


def test_parquet_whose_footer_lost_its_row_groups_is_damaged(tmp_path: Path, clean: Clean) -> None:
    pq.write_table(pa.table({"text": ["a", "b"]}), tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    at = content.index(b"\x16\x04\x19\x1c") + 3  # two rows; then a list of one row group: it becomes empty
    (tmp_path / "a.parquet").write_bytes(content[:at] + b"\0\0" + content[at + 2 :])
    cleaned = clean(tmp_path / "a.parquet")
    assert (cleaned.texts, cleaned.reasons) == ([], ["corrupt_file"])
    assert "2 rows, but its row groups hold 0" in cleaned.quarantined[0]["detail"]


def test_corrupt_row_group_costs_its_rows_as_one_region(tmp_path: Path, clean: Clean) -> None:
    rows = [os.urandom(300).hex() for _ in range(30)]
    pq.write_table(pa.table({"text": rows}), tmp_path / "a.parquet", row_group_size=10, use_dictionary=False)
    column = pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(1).column(0)
    data = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(damage(data, column.data_page_offset, 40))
    cleaned = clean(tmp_path / "a.parquet")
    assert cleaned.texts == rows[:10] + rows[20:]
    assert cleaned.reasons == ["corrupt_rows"]


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.zip", "a.tar"])
def test_file_that_is_not_of_its_format_costs_one(tmp_path: Path, clean: Clean, name: str) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind " * 100)
    (tmp_path / "b.txt").write_bytes(b"plain words")
    cleaned = clean(tmp_path)
    assert cleaned.numbers() == (1, 0, 1)
    assert cleaned.reasons == ["corrupt_file"]


def test_file_of_another_format_is_told_by_its_first_bytes(tmp_path: Path, clean: Clean) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.arrow")
    (quarantined,) = clean(tmp_path / "a.arrow").quarantined
    assert quarantined["detail"].endswith("; it begins like parquet: state its format in the recipe")


def test_csv_with_ragged_rows_loses_only_those(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.csv").write_bytes(
        b'id,text\n1,one\n2\n3,three,and more\n4,"fo\nur"\n5,caf\xe9\n6,"six\n7,seven\n8,"eight"x\n9,nine\n'
    )
    cleaned = clean(tmp_path / "a.csv")
    assert cleaned.texts == ["one", "fo\nur", "seven", "nine"]
    assert cleaned.reasons == ["ragged_row", "ragged_row", "not_utf8", "csv_invalid", "csv_invalid"]
    assert {row["path"] for row in cleaned.quarantined} == {"a.csv"}


def test_csv_header_that_is_not_utf8_costs_no_row(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.csv").write_bytes("größe;text\n1;one\n2;two\n".encode("cp1252"))
    cleaned = clean(tmp_path / "a.csv")
    assert cleaned.texts == ["one", "two"]
    assert json.loads(cleaned.documents[0]["metadata"]) == {"gr\ufffd\ufffde": "1"}


def test_csv_whose_lines_end_with_carriage_returns_is_read(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.csv").write_bytes(b'id,text\r1,one\r2,"two\rlines"\r')
    assert clean(tmp_path / "a.csv").texts == ["one", "two\nlines"]


def test_csv_with_a_quote_that_never_closes_loses_one_row(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.csv").write_bytes(b'id,text\n1,one\n2,"two\n' + b"".join(b"%d,good\n" % n for n in range(3, 500)))
    cleaned = clean(tmp_path / "a.csv")
    assert cleaned.numbers() == (498, 0, 1)


# --- files


def test_file_that_shrinks_while_it_is_read_is_one_damaged_region(
    tmp_path: Path, clean: Clean, monkeypatch: Any
) -> None:
    from pipeline.clean import worker

    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(0, 10))
    kept = path.read_bytes().index(b'{"id": "7"') + 20
    original = worker.Settings.from_config

    def shrink_then_load(config: dict[str, Any]) -> Any:
        os.truncate(path, kept)
        return original(config)

    monkeypatch.setattr(worker.Settings, "from_config", staticmethod(shrink_then_load))
    cleaned = clean(path)
    assert cleaned.numbers() == (7, 0, 1)
    assert cleaned.reasons == ["file_shrank"]
    assert cleaned.quarantined[0]["offset"] == kept


def test_file_that_vanishes_is_one_unreadable_record(tmp_path: Path, clean: Clean, monkeypatch: Any) -> None:
    from pipeline.clean import worker

    (tmp_path / "a.jsonl").write_bytes(lines(0, 2))
    (tmp_path / "b.jsonl").write_bytes(lines(2, 4))
    original = worker.Settings.from_config

    def remove_then_load(config: dict[str, Any]) -> Any:
        (tmp_path / "a.jsonl").unlink(missing_ok=True)
        return original(config)

    monkeypatch.setattr(worker.Settings, "from_config", staticmethod(remove_then_load))
    cleaned = clean(tmp_path / "*.jsonl")
    assert cleaned.numbers() == (2, 0, 1)
    assert cleaned.reasons == ["unreadable"]


def test_disk_error_in_mid_file_is_one_damaged_region(tmp_path: Path, clean: Clean, monkeypatch: Any) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(0, 5000))
    original, calls = os.pread, []

    def failing(descriptor: int, size: int, offset: int) -> bytes:
        calls.append(offset)
        if offset > 1_000_000:
            raise OSError(errno.EIO, "Input/output error")
        return original(descriptor, size, offset)

    monkeypatch.setattr("pipeline.readers.streams.os.pread", failing)
    cleaned = clean(tmp_path / "a.jsonl")
    assert max(calls) > 1_000_000
    assert cleaned.reasons == ["unreadable"]
    assert 2000 < len(cleaned.documents) < 3000


def test_folder_that_cannot_be_read_is_one_unreadable_record(tmp_path: Path, clean: Clean, monkeypatch: Any) -> None:
    (tmp_path / "in" / "closed").mkdir(parents=True)
    (tmp_path / "in" / "a.txt").write_bytes(b"plain words")
    (tmp_path / "in" / "closed" / "b.txt").write_bytes(b"not reached")
    original = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr("os.scandir", refuse)
    cleaned = clean(tmp_path / "in")
    assert cleaned.texts == ["plain words"]
    assert cleaned.reasons == ["unreadable"]
    assert cleaned.quarantined[0]["path"] == "closed"


def test_pipe_is_one_unreadable_record_and_is_not_waited_for(tmp_path: Path, clean: Clean) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    (tmp_path / "b.txt").write_text("good")
    cleaned = clean(tmp_path)
    assert (cleaned.texts, cleaned.reasons) == (["good"], ["unreadable"])
    assert "pipe" in cleaned.quarantined[0]["detail"]


def test_empty_file_holds_no_record(tmp_path: Path, clean: Clean) -> None:
    for name in ("a.jsonl", "b.txt", "c.html", "d.csv", "e.json", "f.warc"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "g.txt").write_bytes(b"plain words")
    assert clean(tmp_path).numbers() == (1, 0, 0)


# --- archives


def tar_with(names: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def zip_with(names: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in names.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize(("name", "pack"), [("a.zip", zip_with), ("a.tar", tar_with)])
def test_path_that_leaves_the_archive_costs_itself(
    tmp_path: Path, clean: Clean, name: str, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    members = {
        "in/a.txt": b"good one",
        "../../evil.txt": b"bad",
        "/etc/evil.txt": b"bad",
        "b.jsonl": b'{"text": "good two"}',
    }
    (tmp_path / name).write_bytes(pack(members))
    cleaned = clean(tmp_path / name)
    assert cleaned.texts == ["good one", "good two"]
    assert cleaned.reasons == ["unsafe_path", "unsafe_path"]
    assert [document["path"] for document in cleaned.documents] == [f"{name}/in/a.txt", f"{name}/b.jsonl"]


def test_damaged_zip_member_costs_itself(tmp_path: Path, clean: Clean) -> None:
    data = zip_with({"a.txt": b"first", "b.txt": os.urandom(3000).hex().encode(), "c.txt": b"third"})
    (tmp_path / "a.zip").write_bytes(damage(data, data.index(b"b.txt") + 200))
    cleaned = clean(tmp_path / "a.zip")
    assert cleaned.texts == ["first", "third"]
    assert cleaned.reasons == ["corrupt_compression"]


def test_zip_bomb_costs_its_member(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.zip").write_bytes(zip_with({"a.txt": b" " * (70 << 20), "b.txt": b"good"}))
    cleaned = clean(tmp_path / "a.zip", max_decompression_ratio=200)
    assert cleaned.texts == ["good"]
    assert cleaned.reasons == ["decompression_bomb"]


def test_truncated_tar_keeps_the_members_before(tmp_path: Path, clean: Clean) -> None:
    data = tar_with({f"{n}.txt": f"text {n}".encode() for n in range(5)})
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(data)[:-20])
    cleaned = clean(tmp_path / "a.tar.gz")
    assert cleaned.reasons == ["truncated"]
    assert cleaned.texts == [f"text {n}" for n in range(len(cleaned.texts))]


@pytest.mark.parametrize("at", [0, 2])
def test_damaged_tar_header_costs_its_member(tmp_path: Path, clean: Clean, at: int) -> None:
    names = {f"{n}.txt": f"text number {n} ".encode() * 100 for n in range(4)}
    size = 512 + 1536  # a header and its member
    (tmp_path / "a.tar").write_bytes(damage(tar_with(names), at * size, 20))
    cleaned = clean(tmp_path / "a.tar")
    assert [document["path"] for document in cleaned.documents] == [f"a.tar/{n}.txt" for n in range(4) if n != at]
    assert [(row["reason"], row["offset"], row["length"]) for row in cleaned.quarantined] == [
        ("corrupt_file", at * size, size)
    ]


def test_tar_that_ends_in_a_header_is_noted(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.tar").write_bytes(tar_with({"a.txt": b"a", "b.txt": b"b"})[: 1024 + 100])
    cleaned = clean(tmp_path / "a.tar")
    assert (cleaned.texts, cleaned.reasons) == (["a"], ["corrupt_file"])


def test_lost_record_is_a_gate_error_not_silence(tmp_path: Path, clean: Clean, monkeypatch: Any) -> None:
    from pipeline.base.errors import GateError
    from pipeline.clean import worker

    (tmp_path / "a.jsonl").write_bytes(lines(0, 3))
    original = worker.Cleaner.work
    monkeypatch.setattr(worker.Cleaner, "work", lambda self, items, writer: original(self, items[1:], writer))
    with pytest.raises(GateError, match="3 in, but 2 documents"):
        clean(tmp_path / "a.jsonl")


def test_zlib_error_is_what_a_damaged_member_raises() -> None:
    """Guard: the damage of these tests really breaks decompression."""
    packed = gzip.compress(lines(0, 10))
    with pytest.raises(zlib.error):
        zlib.decompressobj(wbits=31).decompress(damage(packed, 30))
