"""Damage in compressed files, and files that unpack to too much."""

import bz2
import gzip
import lzma
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from tests.pipeline.clean.inputs import Clean, damage, lines, page, response, warc, warc_record


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


def test_whole_line_after_a_damaged_region_is_told_whatever_it_lacks(tmp_path: Path, clean: Clean) -> None:
    """The half of a line behind a gap is counted with it; a line that is whole is not."""
    for name, line in {"a": b'{"id": "9"}', "b": b'{"text": 5}', "c": b"[1]", "d": b'lf of a line"}'}.items():
        members = [gzip.compress(lines(0, 3)), damage(gzip.compress(lines(3, 9)), 30), gzip.compress(line + b"\n")]
        (tmp_path / f"{name}.jsonl.gz").write_bytes(b"".join([*members, gzip.compress(lines(10, 12))]))
    cleaned = clean(tmp_path)
    found = {name: [row["reason"] for row in cleaned.quarantined if row["path"][0] == name] for name in "abcd"}
    first = "corrupt_compression"
    assert found == {
        **{"a": [first, "missing_text"], "b": [first, "wrong_type"], "c": [first, "json_not_object"], "d": [first]}
    }


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


def test_zlib_error_is_what_a_damaged_member_raises() -> None:
    """Guard: the damage of these tests really breaks decompression."""
    packed = gzip.compress(lines(0, 10))
    with pytest.raises(zlib.error):
        zlib.decompressobj(wbits=31).decompress(damage(packed, 30))


def skippable(data: bytes, kind: int = 0) -> bytes:
    return struct.pack("<II", 0x184D2A50 + kind, len(data)) + data


@pytest.mark.parametrize("first", [skippable(b"1234"), skippable(b"") * 2, skippable(bytes(100_000), 15)])
def test_file_that_begins_with_a_skippable_frame_is_read(tmp_path: Path, clean: Clean, first: bytes) -> None:
    frame = zstandard.ZstdCompressor().compress
    (tmp_path / "a.jsonl.zst").write_bytes(first + frame(lines(0, 5)) + first + frame(lines(5, 9)))
    (tmp_path / "b.warc.zst").write_bytes(first + b"".join(map(frame, warc(4))))
    cleaned = clean(tmp_path)
    assert cleaned.numbers() == (13, 0, 0)


@pytest.mark.parametrize("packed", [False, True])
def test_dictionary_of_a_warc_is_used(tmp_path: Path, clean: Clean, packed: bool) -> None:
    records = warc(6)
    dictionary = zstandard.train_dictionary(2000, [records[n % 6][:400] + bytes([n]) for n in range(200)])
    held = dictionary.as_bytes()
    if packed:
        held = zstandard.ZstdCompressor().compress(held)
    frame = zstandard.ZstdCompressor(dict_data=dictionary).compress
    (tmp_path / "a.warc.zst").write_bytes(skippable(held, 0xD) + b"".join(map(frame, records)))
    assert clean(tmp_path / "a.warc.zst").numbers() == (6, 0, 0)


def test_text_that_begins_like_a_compression_is_text(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.txt").write_text("BZhang et al. describe the method.")
    (tmp_path / "b.txt").write_text("BZh9 is no archive.")
    (tmp_path / "c.txt").write_text("P*M marks the place.")
    assert len(clean(tmp_path).texts) == 3


def test_file_of_nothing_but_beginnings_is_damaged_in_linear_time(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(b"\x1f\x8b\x08" * 100_000)
    assert clean(tmp_path / "a.jsonl.gz").numbers() == (0, 0, 1)
