"""Files that shrink, vanish or cannot be read, and records that get lost: nothing is silent."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.clean.inputs import Clean, lines, page


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
