"""Damage in zip and tar files costs the members it lies in."""

import gzip
import io
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.clean.inputs import Clean, damage, tar_with, zip_with


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


class Unseekable(io.RawIOBase):
    """Where an archive is written to without going back: sizes then follow the data."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.data += data
        return len(data)


def streamed_zip(names: dict[str, bytes]) -> bytes:
    target = Unseekable()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        for name, data in names.items():
            archive.writestr(name, data)
    return bytes(target.data)


@pytest.mark.parametrize("pack", [zip_with, streamed_zip])
def test_zip_that_lost_its_end_is_read_by_its_members_headers(
    tmp_path: Path, clean: Clean, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    names = {f"{n}-é.txt": f"text {n} ".encode() * 40 for n in range(5)}
    whole = pack(names)
    directory, last = whole.index(b"PK\x01\x02"), whole.rindex(b"PK\x03\x04")
    for name, cut in {"a": len(whole) - 120, "b": directory, "c": last + 40, "d": last + 9, "e": 40}.items():
        (tmp_path / f"{name}.zip").write_bytes(whole[:cut])
    cleaned = clean(tmp_path)
    found = {name: [row["text"][:6] for row in cleaned.documents if row["path"].startswith(name)] for name in "abcde"}
    texts = [f"text {n}" for n in range(5)]
    assert found == {"a": texts, "b": texts, "c": texts[:4], "d": texts[:4], "e": []}
    lost = {row["path"][0]: (row["reason"], row["offset"], row["length"]) for row in cleaned.quarantined}
    assert lost == {
        **{"a": ("corrupt_file", directory, len(whole) - 120 - directory), "b": ("corrupt_file", directory, 0)},
        **{"c": ("truncated", last, 40), "d": ("truncated", last, 9), "e": ("corrupt_file", 0, 40)},
    }
    assert "5 members were read by their own headers" in cleaned.quarantined[0]["detail"]


@pytest.mark.parametrize("left", [0, 1, 300])
def test_directory_of_an_archive_within_a_cut_member_is_not_that_of_the_whole(
    tmp_path: Path, clean: Clean, left: int
) -> None:
    """The end of the outer archive is lost just behind the end of the inner one, which looks like its own."""
    inner = zip_with({f"in{n}.txt": b"inside" for n in range(3)})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", b"first")
        archive.writestr("b.bin", inner + os.urandom(1000))
    whole = buffer.getvalue()
    cut = whole.index(inner) + len(inner) + left
    (tmp_path / "a.zip").write_bytes(whole[:cut])
    with zipfile.ZipFile(tmp_path / "a.zip") as opened:  # guard: zipfile takes it for the inner one
        assert opened.namelist() == ["in0.txt", "in1.txt", "in2.txt"]
    cleaned = clean(tmp_path / "a.zip")
    assert (cleaned.texts, cleaned.reasons) == (["first"], ["truncated"])
    assert cleaned.quarantined[0]["length"] == cut - whole.index(b"PK\x03\x04", 4)


def test_zip_bomb_without_a_directory_costs_its_member(tmp_path: Path, clean: Clean) -> None:
    whole = zip_with({"a.txt": b" " * (70 << 20), "b.txt": b"good"})
    (tmp_path / "a.zip").write_bytes(whole[: whole.index(b"PK\x01\x02")])
    cleaned = clean(tmp_path / "a.zip", max_decompression_ratio=200)
    assert (cleaned.texts, cleaned.reasons) == (["good"], ["decompression_bomb", "corrupt_file"])


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


def zip_entry(name: bytes, data: bytes, offset: int, extra: bytes = b"", wide: bool = False) -> tuple[bytes, bytes]:
    """A stored member, and its entry in the directory; ``wide`` leaves size and place to ``extra``."""
    common = struct.pack("<5H3L2H", 20, 0, 0, 0, 0, zlib.crc32(data), len(data), len(data), len(name), 0)
    sizes = (0xFFFFFFFF, 0xFFFFFFFF) if wide else (len(data), len(data))
    entry = struct.pack("<6H3L2H", 20, 20, 0, 0, 0, 0, zlib.crc32(data), *sizes, len(name), len(extra))
    place = struct.pack("<3H2L", 0, 0, 0, 0, 0xFFFFFFFF if wide else offset)
    return b"PK\x03\x04" + common + name + data, b"PK\x01\x02" + entry + place + name + extra


def zip_of(*entries: tuple[bytes, bytes]) -> bytes:
    bodies, directory = b"".join(body for body, _ in entries), b"".join(entry for _, entry in entries)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, len(entries), len(entries), len(directory), len(bodies), 0)
    return bodies + directory + end


def tar_header(name: bytes, size: int, data: bytes = b"") -> bytes:
    """A header and its data; the size in base 256, as GNU writes what octal digits cannot hold."""
    block = bytearray(512)
    block[: len(name)] = name
    block[124:136] = b"\x80" + size.to_bytes(11, "big")
    block[156:157], block[257:265] = b"0", b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + data + b"\0" * (-len(data) % 512)


def test_zip_member_without_a_name_costs_itself(tmp_path: Path, clean: Clean) -> None:
    first = zip_entry(b"a.txt", b"first", 0)
    nameless = zip_entry(b"", b"no name", len(first[0]))
    third = zip_entry(b"b.txt", b"third", len(first[0]) + len(nameless[0]))
    (tmp_path / "a.zip").write_bytes(zip_of(first, nameless, third))
    cleaned = clean(tmp_path / "a.zip")
    assert (cleaned.texts, cleaned.reasons) == (["first", "third"], ["unsafe_path"])


@pytest.mark.parametrize("numbers", [(2**63 + 5, 2**63 + 5, 0), (5, 5, 2**63 + 1), (2**64 - 1,) * 3])
def test_zip_numbers_beyond_63_bits_cost_their_member(
    tmp_path: Path, clean: Clean, numbers: tuple[int, int, int]
) -> None:
    extra = struct.pack("<HHQQQ", 1, 24, *numbers)
    (tmp_path / "a.zip").write_bytes(zip_of(zip_entry(b"a.txt", b"first", 0, extra, wide=True)))
    cleaned = clean(tmp_path / "a.zip")
    assert (cleaned.texts, len(cleaned.reasons)) == ([], 1)


def test_zip_of_an_unknown_version_costs_itself(tmp_path: Path, clean: Clean) -> None:
    data = bytearray(zip_with({"a.txt": b"text"}))
    data[data.rindex(b"PK\x01\x02") + 6] = 148
    (tmp_path / "a.zip").write_bytes(data)
    (tmp_path / "b.txt").write_text("good")
    cleaned = clean(tmp_path)
    assert (cleaned.texts, cleaned.reasons) == (["text", "good"], ["corrupt_file"])
    assert "NotImplementedError" in cleaned.quarantined[0]["detail"]
    assert cleaned.quarantined[0]["length"] == len(data) - data.index(b"PK\x01\x02")


def test_zip_whose_members_lie_on_one_another_is_a_bomb(tmp_path: Path, clean: Clean) -> None:
    data = b"The same line of words again.\n" * (1 << 17)
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packed.compress(data) + packed.flush()
    common = struct.pack("<5H3L2H", 20, 0, 8, 0, 0, zlib.crc32(data), len(body), len(data), 5, 0)
    entry = b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<3H2L", 0, 0, 0, 0, 0) + b"a.txt"
    (tmp_path / "a.zip").write_bytes(zip_of((b"PK\x03\x04" + common + b"a.txt" + body, entry), *[(b"", entry)] * 1000))
    cleaned = clean(tmp_path / "a.zip")
    assert (cleaned.texts, cleaned.reasons) == ([], ["decompression_bomb"])


def test_zip_member_that_lies_on_another_costs_itself(tmp_path: Path, clean: Clean) -> None:
    first, hidden = zip_entry(b"a.txt", b"first", 0), zip_entry(b"b.txt", b"first", 5)
    (tmp_path / "a.zip").write_bytes(zip_of(first, (b"", hidden[1])))
    cleaned = clean(tmp_path / "a.zip")
    assert (cleaned.texts, cleaned.reasons) == (["first"], ["corrupt_file"])


def test_members_together_have_one_budget(tmp_path: Path, clean: Clean) -> None:
    names = {f"{n}.txt": b"The same words. " * (1 << 21) for n in range(5)}  # 32 MiB each
    (tmp_path / "a.zip").write_bytes(zip_with(names))
    cleaned = clean(tmp_path / "a.zip", max_record_bytes=1 << 20, max_decompression_ratio=100)
    assert cleaned.reasons == ["record_too_large"] * 3 + ["decompression_bomb"]


@pytest.mark.parametrize("name", [b"b.txt", b".b.txt", b"../b.txt"])
@pytest.mark.parametrize("size", [2**88 - 1, 2**62, 10**6])
def test_tar_size_beyond_the_archive_ends_it(tmp_path: Path, clean: Clean, name: bytes, size: int) -> None:
    data = tar_header(b"a.txt", 5, b"first") + tar_header(name, size, b"never") + bytes(1024)
    (tmp_path / "a.tar").write_bytes(data)
    cleaned = clean(tmp_path / "a.tar")
    assert cleaned.texts == ["first"]
    assert "corrupt_file" in cleaned.reasons or "corrupt_compression" in cleaned.reasons


def test_holes_of_a_sparse_tar_are_a_bomb(tmp_path: Path, clean: Clean) -> None:
    values = {"major": "1", "minor": "0", "name": "s.txt", "realsize": "100000000000000"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("s.txt")
        info.pax_headers = {f"GNU.sparse.{name}": value for name, value in values.items()}
        data = b"1\n0\n5\n".ljust(512, b"\0") + b"hello"
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
        good = tarfile.TarInfo("good.txt")
        good.size = 4
        archive.addfile(good, io.BytesIO(b"good"))
    (tmp_path / "a.tar").write_bytes(buffer.getvalue())
    cleaned = clean(tmp_path / "a.tar")
    assert (cleaned.texts, cleaned.reasons) == (["good"], ["decompression_bomb"])


@pytest.mark.parametrize(
    "attributes",
    [
        b"18446744073709551616 path=x\n",
        b"9" * 5000 + b" path=x\n",
        b"11 size=-5\n",
        b"0 path=x\n",
        b"14 path=\xff\xfe\xfd\n23 hdrcharset=\xff\xfe\n",
        b"22 GNU.sparse.map=a,b\n",
        b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n",
        b"100 size=" + b"9" * 90 + b"\n",
    ],
)
def test_numbers_of_tar_attributes_cost_their_member_at_most(tmp_path: Path, clean: Clean, attributes: bytes) -> None:
    header = bytearray(tar_header(b"PaxHeader", len(attributes), attributes))
    header[156:157] = b"x"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    good = [tar_header(b"%s.txt" % name, 5, b"%s one" % name) for name in (b"a", b"b", b"c")]
    (tmp_path / "a.tar").write_bytes(good[0] + bytes(header) + good[1] + good[2] + bytes(1024))
    cleaned = clean(tmp_path / "a.tar")
    assert {"a one", "c one"} <= set(cleaned.texts)
    assert cleaned.reasons == ["corrupt_file"] or (cleaned.reasons == [] and "b one" in cleaned.texts)


def test_tar_headers_of_headers_have_an_end(tmp_path: Path, clean: Clean) -> None:
    header = bytearray(tar_header(b"PaxHeader", 9, b"9 path=x\n"))
    header[156:157] = b"x"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    (tmp_path / "a.tar").write_bytes(bytes(header) * 2000 + tar_header(b"a.txt", 4, b"good") + bytes(1024))
    cleaned = clean(tmp_path / "a.tar")
    assert cleaned.texts == ["good"]
    assert cleaned.reasons == ["corrupt_file"]


def test_long_name_of_a_tar_is_not_held(tmp_path: Path, clean: Clean) -> None:
    header = bytearray(tar_header(b"././@LongLink", 1 << 40))
    header[156:157], header[148:156] = b"L", b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a.tar").write_bytes(bytes(header) + tar_header(b"a.txt", 4, b"good") + bytes(1024))
    cleaned = clean(tmp_path / "a.tar")
    assert (cleaned.texts, cleaned.reasons) == (["good"], ["corrupt_file"])


@pytest.mark.parametrize(("name", "pack"), [("a.zip", zip_with), ("a.tar", tar_with)])
def test_two_members_of_one_name_are_two_documents(
    tmp_path: Path, clean: Clean, name: str, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    data = pack({"a.txt": b"one", "b.txt": b"two"})
    if name == "a.tar":
        data = tar_with({"a.txt": b"one"})[:1024] + tar_with({"a.txt": b"two"})
    (tmp_path / name).write_bytes(data.replace(b"b.txt", b"a.txt"))
    cleaned = clean(tmp_path / name)
    assert cleaned.texts == ["one", "two"]
    assert len({document["doc_id"] for document in cleaned.documents}) == 2
    assert cleaned.documents[0]["path"] == f"{name}/a.txt"


def test_link_in_a_zip_is_no_document(tmp_path: Path, clean: Clean) -> None:
    link = zipfile.ZipInfo("link.txt")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "../../etc/passwd")
        archive.writestr("a.txt", "good")
    cleaned = clean(tmp_path / "a.zip")
    assert (cleaned.texts, cleaned.numbers()) == (["good"], (1, 0, 0))


def test_zip_method_that_nobody_reads_is_unsupported(tmp_path: Path, clean: Clean) -> None:
    data = bytearray(zip_with({"a.txt": b"text"}))
    data[data.index(b"PK\x03\x04") + 8] = data[data.rindex(b"PK\x01\x02") + 10] = 9  # deflate64
    (tmp_path / "a.zip").write_bytes(data)
    cleaned = clean(tmp_path / "a.zip")
    assert [row["reason"] for row in cleaned.excluded] == ["unsupported: zip method 9"]


def test_bytes_of_a_zip_that_no_entry_names_are_told(tmp_path: Path, clean: Clean) -> None:
    entries = {name: zip_entry(name, data, 0) for name, data in ((b"a.txt", b"first"), (b"b.txt", b"x" * 500))}
    first, hidden = entries[b"a.txt"], entries[b"b.txt"]
    third = zip_entry(b"c.txt", b"third", len(first[0]) + len(hidden[0]))
    (tmp_path / "a.zip").write_bytes(zip_of(first, (hidden[0], b""), third).replace(b"\x03\0\x03\0", b"\x02\0\x02\0"))
    (tmp_path / "b.zip").write_bytes(b"#!/bin/sh\nexit\n" + zip_with({"d.txt": b"fourth"}))
    cleaned = clean(tmp_path)
    assert cleaned.texts == ["first", "third", "fourth"]
    assert [(row["reason"], row["offset"], row["length"]) for row in cleaned.quarantined] == [
        ("unread_bytes", len(first[0]), len(hidden[0]))
    ]
    assert [row["reason"] for row in cleaned.excluded] == ["unsupported: bytes before an archive"]
