"""Files that shrink, vanish or cannot be read, and records that get lost: nothing is silent."""

import errno
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.readers.parts.inputs import list_inputs
from pipeline.readers.parts.part_reader import PartReader, ReadOptions
from pipeline.readers.parts.partition import Part, split
from pipeline.readers.ranges import RangeReader
from pipeline.readers.records import Damaged, Fields, Record
from tests.pipeline.clean.inputs import Clean, lines, page


def test_file_that_shrinks_while_it_is_read_is_one_damaged_region(
    tmp_path: Path, clean: Clean, monkeypatch: Any
) -> None:
    from pipeline.clean import worker

    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(0, 10))
    kept = path.read_bytes().index(b'{"id": "7"') + 20
    original = worker.Settings.from_config  # type: ignore[attr-defined]

    def shrink_then_load(config: dict[str, Any]) -> Any:
        os.truncate(path, kept)
        return original(config)

    monkeypatch.setattr(worker.Settings, "from_config", staticmethod(shrink_then_load))  # type: ignore[attr-defined]
    cleaned = clean(path)
    assert cleaned.numbers() == (7, 0, 1)
    assert cleaned.reasons == ["file_shrank"]
    assert cleaned.quarantined[0]["offset"] == kept


def test_file_that_vanishes_is_one_unreadable_record(tmp_path: Path, clean: Clean, monkeypatch: Any) -> None:
    from pipeline.clean import worker

    (tmp_path / "a.jsonl").write_bytes(lines(0, 2))
    (tmp_path / "b.jsonl").write_bytes(lines(2, 4))
    original = worker.Settings.from_config  # type: ignore[attr-defined]

    def remove_then_load(config: dict[str, Any]) -> Any:
        (tmp_path / "a.jsonl").unlink(missing_ok=True)
        return original(config)

    monkeypatch.setattr(worker.Settings, "from_config", staticmethod(remove_then_load))  # type: ignore[attr-defined]
    cleaned = clean(tmp_path / "*.jsonl")
    assert cleaned.numbers() == (2, 0, 1)
    assert cleaned.reasons == ["unreadable"]


def after_planning(monkeypatch: Any, change: Callable[[], object]) -> None:
    """Changes a file between planning and reading, once."""
    from pipeline.clean import worker

    original, changes = worker.Settings.from_config, [change]  # type: ignore[attr-defined]

    def change_then_load(config: dict[str, Any]) -> Any:
        if changes:
            changes.pop()()
        return original(config)

    monkeypatch.setattr(worker.Settings, "from_config", staticmethod(change_then_load))  # type: ignore[attr-defined]


def while_reading(monkeypatch: Any, change: Callable[[], object]) -> None:
    """Changes a file once a reader has opened it and before it has read all."""
    original, changes = RangeReader.digest, [change]

    def change_then_digest(self: RangeReader) -> str:
        if changes:
            changes.pop()()
        return original(self)

    monkeypatch.setattr(RangeReader, "digest", change_then_digest)


@pytest.mark.parametrize("when", [after_planning, while_reading])
@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet", "a.zip"])
def test_file_that_grows_is_read_as_planned_and_told(
    tmp_path: Path, clean: Clean, monkeypatch: Any, when: Callable[..., None], name: str
) -> None:
    path = tmp_path / name
    texts = [f"text number {number} of a few words" for number in range(5)]
    if name == "a.jsonl":
        path.write_bytes(lines(0, 5))
    elif name == "a.parquet":
        pq.write_table(pa.table({"text": texts}), path)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.txt", texts[0])
    size, whole = path.stat().st_size, path.read_bytes()

    def grow() -> None:
        path.write_bytes(whole + (lines(5, 7) if name == "a.jsonl" else b"" if when is after_planning else b"x" * 9))

    when(monkeypatch, grow)
    cleaned = clean(path)
    if name != "a.jsonl" and when is after_planning:  # the same bytes, written anew before they are read
        assert cleaned.reasons == []
    else:
        assert cleaned.reasons == ["file_grew"]
        assert cleaned.quarantined[0]["offset"] == size
        assert cleaned.quarantined[0]["length"] == path.stat().st_size - size
    assert len(cleaned.documents) == (1 if name == "a.zip" else 5)
    assert cleaned.counts["bytes_quarantined"] == 0


@pytest.mark.parametrize("when", [after_planning, while_reading])
def test_file_that_is_written_anew_is_told_unless_it_was_read_as_it_stands(
    tmp_path: Path, clean: Clean, monkeypatch: Any, when: Callable[..., None]
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(0, 5))
    when(monkeypatch, lambda: path.write_bytes(path.read_bytes().replace(b"record", b"RECORD")))
    cleaned = clean(path)
    assert (len(cleaned.documents), cleaned.reasons) == (5, ["file_changed"] if when is while_reading else [])
    assert ("RECORD" in cleaned.texts[0]) == (when is after_planning)


@pytest.mark.parametrize("name", ["a.jsonl", "a.zip"])
def test_file_that_is_touched_before_it_is_read_is_what_it_was(
    tmp_path: Path, clean: Clean, monkeypatch: Any, name: str
) -> None:
    path = tmp_path / name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jsonl", lines(0, 5))
    if name == "a.jsonl":
        path.write_bytes(lines(0, 5))
    untouched = clean(path)
    after_planning(monkeypatch, lambda: os.utime(path, (1, 1)))
    touched = clean(path)
    assert path.stat().st_mtime == 1
    assert (touched.numbers(), touched.reasons) == (untouched.numbers(), []) == ((5, 0, 0), [])


def test_one_of_several_parts_tells_that_the_file_was_written_to(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(0, 5))
    end = path.read_bytes().index(b"\n") + 1
    planned = {"a.jsonl": (path.stat().st_size, str(path.stat().st_mtime_ns))}
    os.utime(path, (1, 1))
    reader = PartReader(str(tmp_path), ReadOptions(Fields({}, None)), planned=planned)
    found = list(reader.read(Part("a.jsonl", "jsonl", 0, end)))
    assert [type(item) for item in found] == [Record, Damaged]
    assert isinstance(found[1], Damaged)
    assert (found[1].reason, found[1].lost) == ("file_changed", 0)


def test_file_that_is_gone_once_it_was_read_is_told(tmp_path: Path, clean: Clean, monkeypatch: Any) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(0, 5))
    while_reading(monkeypatch, path.unlink)
    cleaned = clean(path)
    assert (len(cleaned.documents), cleaned.reasons) == (5, ["file_changed"])
    assert "gone" in cleaned.quarantined[0]["detail"]


def test_file_that_shrinks_behind_the_reader_is_told(tmp_path: Path, clean: Clean, monkeypatch: Any) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(0, 5))
    while_reading(monkeypatch, lambda: os.truncate(path, 10))
    cleaned = clean(path)
    assert (len(cleaned.documents), cleaned.reasons) == (5, ["file_changed"])


def read_of(folder: str) -> dict[str, list[str]]:
    """The texts of each file, and the reasons of what is none."""
    inputs = list_inputs("s", [folder])
    reader = PartReader(inputs.root, ReadOptions(Fields({}, None)))
    return {
        file.path: [
            (item.text or (item.body or b"").decode()) if isinstance(item, Record) else item.reason
            for part in split(file, "auto", 1 << 20)
            for item in reader.read(part)
        ]
        for file in inputs.files
    }


def test_denied_files_and_folders_are_told_by_their_names(tmp_path: Path) -> None:
    """As another user, where root runs this: root may read anything."""
    (tmp_path / "in" / "closed").mkdir(parents=True)
    (tmp_path / "in" / "a.txt").write_text("plain words")
    (tmp_path / "in" / "closed" / "b.txt").write_text("not reached")
    (tmp_path / "in" / "c.jsonl").write_bytes(lines(0, 3))
    (tmp_path / "in" / "d").write_text("no suffix tells its format")
    folder = tempfile.mkdtemp(prefix="tokenmill-denied-", dir="/tmp")
    shutil.copytree(tmp_path / "in", f"{folder}/in")
    for name, mode in (("closed", 0), ("c.jsonl", 0), ("d", 0), ("a.txt", 0o444)):
        os.chmod(f"{folder}/in/{name}", mode)
    for name in (folder, f"{folder}/in"):
        os.chmod(name, 0o755)
    everything = {"a.txt": ["plain words"], "closed/b.txt": ["not reached"], "d": ["no suffix tells its format"]}
    found = read_of(str(tmp_path / "in"))  # and what reading imports is there for the user who may not look for it
    assert {path: found[path] for path in everything} == everything
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            denied = ["unreadable"]
            expected = {"a.txt": ["plain words"], "c.jsonl": denied, "closed": denied, "d": denied}
            code = 0 if read_of(f"{folder}/in") == expected else 2
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.chmod(f"{folder}/in/closed", 0o755)
    shutil.rmtree(folder)
    assert status == 0


def test_disk_error_in_mid_file_is_one_damaged_region(tmp_path: Path, clean: Clean, monkeypatch: Any) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(0, 5000))
    original, calls = os.pread, []

    def failing(descriptor: int, size: int, offset: int) -> bytes:
        calls.append(offset)
        if offset > 1_000_000:
            raise OSError(errno.EIO, "Input/output error")
        return original(descriptor, size, offset)

    monkeypatch.setattr("pipeline.readers.ranges.os.pread", failing)
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


def test_lost_record_is_a_gate_error_not_silence(tmp_path: Path, clean: Clean, monkeypatch: Any) -> None:
    from pipeline.base.errors import GateError
    from pipeline.clean import worker

    (tmp_path / "a.jsonl").write_bytes(lines(0, 3))
    original = worker.Cleaner.work
    monkeypatch.setattr(worker.Cleaner, "work", lambda self, items, writer: original(self, items[1:], writer))
    with pytest.raises(GateError, match="3 in, but 2 documents"):
        clean(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("<div>" * 100_000 + "deep", "html_too_deep"),
        ("<span><div></span>" * 50_000, "html_too_deep"),
        ("<p>a drawing: <svg>" + "<g>" * 100_000, "html_too_deep"),
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
