"""A compressed file that lies within another one: its members are no members of the outer one."""

import gzip
import lzma
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from pipeline.readers.members import next_cut, next_member
from pipeline.readers.parts.inputs import list_inputs
from pipeline.readers.parts.part_reader import PartReader, ReadOptions
from pipeline.readers.parts.partition import Part, split
from pipeline.readers.ranges import RangeReader
from pipeline.readers.records import Damaged, Excluded, Fields, Item, Record

Pack = Callable[[bytes], bytes]
HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
FRAMES = zstandard.ZstdCompressor(write_checksum=True)


def as_stored(data: bytes) -> bytes:
    """What a compressor makes of data that it keeps as it is."""
    return gzip.compress(data, 0)


PACKS = {"gzip": (gzip.compress, as_stored), "zstd": (FRAMES.compress, FRAMES.compress), "xz": (lzma.compress,) * 2}


def record(name: str, body: bytes, kind: bytes = b"text/plain") -> bytes:
    block = HTTP.replace(b"text/plain", kind) + body
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <{name}>\r\nContent-Length: {len(block)}\r\n\r\n"
    return head.encode() + block + b"\r\n\r\n"


def text(number: int, size: int = 1500) -> bytes:
    return random.Random(number).randbytes(size).hex().encode()


def crawl(name: str, count: int, pack: Pack, size: int = 1500) -> bytes:
    return b"".join(pack(record(f"{name}{n}", text(n, size))) for n in range(count))


def outer(compression: str) -> tuple[bytes, bytes, bytes]:
    """Members before, the member that keeps a crawl, and members after it."""
    pack, keep = PACKS[compression]
    # what short members have in common others find, and so keep less as it is
    count, size = (300, 1500) if compression == "gzip" else (12, 60_000)
    kept = keep(record("kept", crawl("inner", count, pack, size), b"application/octet-stream"))
    return crawl("before", 5, pack), kept, crawl("after", 5, pack)


def items(path: Path, parts: list[Part]) -> list[Item]:
    reader = PartReader(str(path.parent), ReadOptions(fields=Fields({}, None)))
    return [item for part in parts for item in reader.read(part)]


def names(found: list[Item]) -> list[str | None]:
    return [item.id for item in found if isinstance(item, Record)]


def parts_of(path: Path, target: int) -> list[Part]:
    (file,) = list_inputs("s", [str(path)]).files
    return list(split(file, "warc", target))


SOUND = [*(f"before{n}" for n in range(5)), *(f"after{n}" for n in range(5))]


@pytest.mark.parametrize("compression", PACKS)
def test_file_is_not_cut_within_a_record_that_holds_a_packed_crawl(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.warc"
    before, kept, after = outer(compression)
    path.write_bytes(before + kept + after)
    with RangeReader(path, 0, path.stat().st_size) as reader:
        inside = next_member(reader, len(before) + 1000, compression, b"WARC/")
    assert inside is not None  # guard: what the crawl holds does look like members of the file
    assert inside < len(before + kept) - 1000
    for target in (20_000, 77_777, 200_000):
        found = items(path, parts_of(path, target))
        assert names(found) == SOUND
        assert [type(item) for item in found if not isinstance(item, Record)] == [Excluded]
    assert len(parts_of(path, 20_000)) >= 2  # guard: it is cut elsewhere


@pytest.mark.parametrize("compression", PACKS)
def test_sound_file_is_cut_at_the_first_member_after_each_share(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.warc"
    path.write_bytes(crawl("n", 400, PACKS[compression][0]))
    size = path.stat().st_size
    with RangeReader(path, 0, size) as reader:
        for position in range(0, size - 300_000, 49_999):
            cut = next_cut(reader, position, compression, b"WARC/")
            assert cut == next_member(reader, position, compression, b"WARC/")
            assert cut is not None


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_damaged_record_that_holds_a_packed_crawl_is_one(tmp_path: Path, compression: str) -> None:
    """Its checksum is wrong: what it holds are no records, and the records behind it are read."""
    before, kept, after = outer(compression)
    path = tmp_path / "a.warc"
    path.write_bytes(before + kept[:-3] + bytes([kept[-3] ^ 1]) + kept[-2:] + after)
    found = items(path, parts_of(path, 1 << 30))
    assert names(found) == SOUND
    (damaged,) = [item for item in found if isinstance(item, Damaged)]
    assert (damaged.offset, damaged.length) == (len(before), len(kept))


@pytest.mark.parametrize("left", [0.2, 0.5, 0.9])
def test_records_behind_one_that_was_cut_off_are_read(tmp_path: Path, left: float) -> None:
    """They stand where the stored data of the record before would go on, and are none of it."""
    before, kept, _ = outer("gzip")
    cut, after = int(len(kept) * left), crawl("after", 100, gzip.compress)
    path = tmp_path / "a.warc.gz"
    path.write_bytes(before + kept[:cut] + after)
    found = items(path, parts_of(path, 1 << 30))
    assert names(found) == [*SOUND[:5], *(f"after{n}" for n in range(100))]
    assert [item.offset for item in found if isinstance(item, Damaged)] == [len(before)]
