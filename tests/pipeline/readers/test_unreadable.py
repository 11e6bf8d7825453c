"""A disk that does not give a file's bytes: the file is unreadable, and neither of another format nor damaged."""

import errno
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.base.errors import RunError
from pipeline.dedup.command.kept_columns import write_columns
from pipeline.dedup.files.fields import WantedFields
from pipeline.dedup.files.input_files import file_at
from pipeline.disclosure import crawlers
from pipeline.readers.columns.footers import Footers
from pipeline.readers.parts.formats import format_if_told, format_of
from pipeline.readers.parts.inputs import InputFile
from pipeline.readers.parts.part_reader import PartReader, ReadOptions
from pipeline.readers.parts.partition import Part, split
from pipeline.readers.records import Damaged, Fields
from pipeline.recipe.options import Source


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    """A path that the system refuses to open with ELOOP, whatever is asked of it."""
    path = tmp_path / "records"
    path.symlink_to(path.name)
    return path


def test_format_of_what_cannot_be_read_is_not_text(loop: Path) -> None:
    file = InputFile("records", str(loop), 10)
    with pytest.raises(OSError, match="records"):
        format_of(file, "auto")
    assert format_if_told(file, "auto") is None
    (part,) = split(file, "auto", 1 << 20)
    assert part.error is not None
    assert "cannot be read" in part.error
    (item,) = PartReader(str(loop.parent), ReadOptions(Fields({}, None))).read(part)
    assert isinstance(item, Damaged)
    assert item.reason == "unreadable"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE])
def test_full_disk_and_too_many_files_are_no_fault_of_an_archive(tmp_path: Path, number: int, monkeypatch: Any) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("inner.parquet", b"PAR1 and more")

    def refused(*_arguments: object, **_options: object) -> Any:
        raise OSError(number, os.strerror(number), "/tmp/member")

    monkeypatch.setattr("pipeline.readers.parts.archives.tempfile.NamedTemporaryFile", refused)
    part = Part("a.zip", "zip", 0, (tmp_path / "a.zip").stat().st_size)
    with pytest.raises(OSError, match="/tmp/member") as raised:
        list(PartReader(str(tmp_path), ReadOptions(Fields({}, None))).read(part))
    assert raised.value.errno == number


def test_footer_of_a_file_that_cannot_be_read_is_not_damaged(loop: Path) -> None:
    with Footers() as footers, pytest.raises(OSError, match="records"):
        footers.group_bytes(loop)


def test_kept_rows_are_not_dropped_where_the_file_is_not_given_any_more(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["one", "two"]}), path)
    file = file_at("a.parquet", str(path))
    path.unlink()
    path.symlink_to(path.name)
    with pytest.raises((OSError, RunError), match=r"a\.parquet"):
        write_columns(file, np.array([0, 1]), tmp_path / "out.parquet", {}, WantedFields("text", "id"))


@pytest.mark.parametrize(("fault", "is_told"), [(errno.EIO, True), (errno.ENOENT, False), (errno.EACCES, False)])
def test_archives_that_are_gone_are_unread_and_a_failing_disk_is_told(
    tmp_path: Path, fault: int, is_told: bool, monkeypatch: Any
) -> None:
    (tmp_path / "a.warc").write_bytes(b"WARC/1.0\r\nWARC-Type: warcinfo\r\n\r\n")
    source = Source(name="web", paths=[str(tmp_path)])

    def failing(url: str) -> bytes:
        raise OSError(fault, os.strerror(fault), url)

    monkeypatch.setattr(crawlers, "_head", failing)
    ask: Callable[[], Any] = lambda: crawlers.crawlers_of([source])  # noqa: E731
    if is_told:
        with pytest.raises(OSError, match=r"a\.warc"):
            ask()
    else:
        assert [(found.files, found.unread) for found in ask()] == [(1, 1)]
