"""The partition is a function of the inputs alone, and splitting a file changes no record."""

import gzip
import json
import os
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.base import stores
from pipeline.base.errors import RunError, UserError
from pipeline.readers.parts.inputs import list_inputs, source_root
from pipeline.readers.parts.part_reader import PartReader, ReadOptions
from pipeline.readers.parts.partition import Part, partition_bytes, plan, split
from pipeline.readers.records import Fields, Record

OPTIONS = ReadOptions(fields=Fields({}, None))


def records(root: Path, parts: list[Part]) -> list[tuple[int, str | None]]:
    reader = PartReader(str(root), OPTIONS)
    items = [item for part in parts for item in reader.read(part)]
    assert all(isinstance(item, Record) for item in items)
    return [(item.offset, item.id) for item in items if isinstance(item, Record)]


def split_file(path: Path, target: int, kind: str = "auto") -> list[Part]:
    (file,) = list_inputs("s", [str(path)]).files
    return list(split(file, kind, target))


def jsonl(count: int) -> bytes:
    generator = random.Random(0)
    texts = ["x" * generator.choice([10, 100, 5000]) for _ in range(count)]
    return b"".join(json.dumps({"id": str(n), "text": text}).encode() + b"\n" for n, text in enumerate(texts))


@pytest.mark.parametrize("target", [1000, 7919, 50_000])
def test_split_jsonl_gives_each_record_once(tmp_path: Path, target: int) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl(300))
    parts = split_file(tmp_path / "a.jsonl", target)
    assert len(parts) > 3
    assert [part.start for part in parts[1:]] == [part.end for part in parts[:-1]]
    assert records(tmp_path, parts) == records(tmp_path, split_file(tmp_path / "a.jsonl", 1 << 30))
    assert len(records(tmp_path, parts)) == 300


def test_compressed_jsonl_stays_whole(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(gzip.compress(jsonl(300)))
    assert len(split_file(tmp_path / "a.jsonl", 1000)) == 1


def warc_record(number: int, size: int) -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + os.urandom(size).hex().encode()
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <{number}>\r\nContent-Length: {len(block)}\r\n\r\n"
    return head.encode() + block + b"\r\n\r\n"


@pytest.mark.parametrize("packed", [True, False])
def test_split_warc_gives_each_record_once(tmp_path: Path, packed: bool) -> None:
    raw = [warc_record(n, 50 + 37 * (n % 40)) for n in range(200)]
    path = tmp_path / ("a.warc.gz" if packed else "a.warc")
    path.write_bytes(b"".join(gzip.compress(record) for record in raw) if packed else b"".join(raw))
    parts = split_file(path, path.stat().st_size // 9)
    assert len(parts) >= 9
    assert [number for _, number in records(tmp_path, parts)] == [str(n) for n in range(200)]


def test_warc_in_one_gzip_member_stays_whole(tmp_path: Path) -> None:
    (tmp_path / "a.warc.gz").write_bytes(gzip.compress(b"".join(warc_record(n, 500) for n in range(100))))
    parts = split_file(tmp_path / "a.warc.gz", 5000)
    assert len(parts) == 1
    assert len(records(tmp_path, parts)) == 100


def test_split_parquet_gives_each_row_once(tmp_path: Path) -> None:
    table = pa.table({"id": [str(n) for n in range(100)], "text": [os.urandom(200).hex() for _ in range(100)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=10)
    parts = split_file(tmp_path / "a.parquet", 5000)
    assert len(parts) > 2
    assert records(tmp_path, parts) == [(n, str(n)) for n in range(100)]


def test_partition_holds_one_source_and_is_balanced(tmp_path: Path) -> None:
    for folder, count in (("a", 30), ("b", 3)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            (tmp_path / folder / f"{number:03}.txt").write_bytes(b"x" * (1 << 20))
    inputs = [(list_inputs(name, [str(tmp_path / name)]), "auto") for name in ("a", "b")]
    partitions = plan(inputs)
    assert [partition.shard for partition in partitions] == [f"{n:05}" for n in range(len(partitions))]
    sizes = [sum(part.size for part in partition.parts) for partition in partitions]
    assert max(sizes) <= partition_bytes(33 << 20) == 4 << 20
    assert [partition.source for partition in partitions] == ["a"] * 8 + ["b"]


def test_order_does_not_depend_on_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["b.txt", "a/z.txt", "a/B.txt", "é.txt", "a.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    forward = [file.path for file in list_inputs("s", [str(tmp_path)]).files]
    original = os.walk
    monkeypatch.setattr(os, "walk", lambda *a, **k: [(p, d[::-1], f[::-1]) for p, d, f in original(*a, **k)][::-1])
    assert [file.path for file in list_inputs("s", [str(tmp_path)]).files] == forward == sorted(names, key=str.encode)


def test_hidden_files_and_repeated_paths_are_left_out(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    for name in (".a.txt", ".hidden/b.txt", "~$c.txt", "c.txt"):
        (tmp_path / name).write_bytes(b"x")
    found = list_inputs("s", [str(tmp_path), str(tmp_path / "*.txt"), str(tmp_path / "c.txt")])
    assert [file.path for file in found.files] == ["c.txt"]


def test_folder_that_a_glob_finds_is_read_as_a_whole(tmp_path: Path) -> None:
    for name in ("2023/x.txt", "2024/in/a.txt", "2024/.b.txt", "2024-1.txt", "2024.txt/c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    wanted = ["2024-1.txt", "2024.txt/c.txt", "2024/in/a.txt"]
    assert [file.path for file in list_inputs("s", [str(tmp_path / "2024*")]).files] == wanted
    everything = [file.path for file in list_inputs("s", [str(tmp_path)]).files]
    for pattern in ("*", "**", "**/*"):
        assert [file.path for file in list_inputs("s", [str(tmp_path / pattern)]).files] == everything


def test_url_of_an_unknown_scheme_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Protocol not known: nosuch"):
        list_inputs("s", ["nosuch://x/a.jsonl"])


def test_missing_paths_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no file at .*/x\.txt, .*/y/\*\.gz"):
        list_inputs("s", [str(tmp_path / "x.txt"), str(tmp_path / "y/*.gz")])


def test_root_is_read_off_the_paths_alone(tmp_path: Path) -> None:
    assert source_root(["/d/a/*.gz", "/d/b/c.txt"]) == "/d"
    assert source_root(["/d/a/**/*.gz"]) == "/d/a"
    assert source_root([str(tmp_path)]) == str(tmp_path)
    with pytest.raises(UserError, match="two sources"):
        source_root(["/d/a.gz", "s3://bucket/b.gz"])


def test_symbolic_link_loop_ends(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "a" / "b.txt").write_bytes(b"x")
    assert [file.path for file in list_inputs("s", [str(tmp_path)]).files] == ["a/b.txt"]


def test_store_that_cannot_be_listed_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = type("NoCredentialsError", (Exception,), {"__module__": "botocore.exceptions"})

    class Store:
        def info(self, path: str) -> dict[str, str]:
            raise refused("Unable to locate credentials")

    monkeypatch.setattr(stores, "filesystem_of", lambda url: (Store(), url))
    with pytest.raises(RunError, match="the object store failed: Unable to locate credentials"):
        list_inputs("web", ["s3://bucket/folder"])


@pytest.mark.parametrize("length", ["9" * 18, "9" * 30, "9" * 5000])
def test_length_beyond_any_file_ends_no_plan(tmp_path: Path, length: str) -> None:
    data = [warc_record(n, 500) for n in range(20)]
    data[3] = data[3].replace(b"Content-Length: ", b"Content-Length: " + length.encode())
    (tmp_path / "a.warc").write_bytes(b"".join(data))
    assert split_file(tmp_path / "a.warc", 4000)[0].start == 0


def test_folder_that_a_glob_cannot_look_into_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.txt").write_bytes(b"x")
    true = os.scandir

    def refuse(path: str | Path = ".") -> object:
        if str(path).startswith(str(tmp_path / "b")):
            raise PermissionError(13, "Permission denied", str(path))
        return true(path)

    monkeypatch.setattr(os, "scandir", refuse)
    for pattern in ("*/*.txt", "**/*.txt"):
        found = {file.path: file.error for file in list_inputs("s", [f"{tmp_path}/{pattern}"]).files}
        assert found == {"a/x.txt": None, "b": "folder cannot be read: Permission denied"}
