"""``-`` stands for standard input and output where a file is one."""

import io
import sys
from pathlib import Path

import pytest

from flows.cli.files.dedup import compare
from flows.display.standard import as_files, lines_of
from pipeline.base.errors import UserError


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three lines on standard input."""
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BytesIO("one\n\nzwölf words here\n".encode()), encoding="utf-8")
    )


@pytest.mark.usefixtures("given")
def test_standard_input_is_a_file_with_that_ending_and_goes_afterwards() -> None:
    with as_files("a.jsonl", "-", ending="jsonl") as (first, second):
        assert first == "a.jsonl"
        assert second.endswith(".jsonl")
        assert Path(second).read_text(encoding="utf-8").startswith("one\n\nzwölf")
    assert not Path(second).exists()


def test_standard_input_is_read_once() -> None:
    with pytest.raises(UserError, match="can be read once"), as_files("-", "-"):
        pass


@pytest.mark.usefixtures("given")
def test_lines_of_standard_input() -> None:
    assert lines_of("--ids-file", Path("-")) == ["one", "zwölf words here"]


@pytest.mark.usefixtures("given")
def test_compare_reads_one_of_its_texts_from_standard_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "b.txt").write_text("one\n\nzwölf words here\n", encoding="utf-8")
    assert compare("-", str(tmp_path / "b.txt")) == 0
    assert "exact" in capsys.readouterr().out
