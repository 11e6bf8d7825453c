"""Damage in zip and tar files costs the members it lies in."""

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.clean.inputs import Clean, damage


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
