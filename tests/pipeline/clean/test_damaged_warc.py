"""Damaged WARC records cost themselves: lengths that lie, headers that are missing, gaps."""

import gzip
from pathlib import Path

import pytest

from tests.pipeline.clean.inputs import Clean, damage, page, response, warc, warc_record


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


@pytest.mark.parametrize("length", [str(2**63 - 1), str(2**64), "9" * 30, "9" * 5000, "1_0", "-5", "+5"])
@pytest.mark.parametrize("packed", [False, True])
def test_length_beyond_any_file_costs_its_record(tmp_path: Path, clean: Clean, length: str, packed: bool) -> None:
    records = warc(3)
    at = records[1].index(b"Content-Length: ")
    records[1] = records[1][:at] + b"Content-Length: " + length.encode() + records[1][records[1].index(b"\r\n", at) :]
    (tmp_path / "a.warc").write_bytes(b"".join(map(gzip.compress, records) if packed else records))
    cleaned = clean(tmp_path / "a.warc")
    assert cleaned.numbers() == (2, 0, 1)
    assert cleaned.reasons[0] in ("length_mismatch", "warc_header_invalid")
