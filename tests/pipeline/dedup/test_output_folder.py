"""``tokenmill dedup run --overwrite``: an earlier output stays until the new one is whole."""

import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import UserError
from pipeline.dedup.command import output_folder
from pipeline.dedup.command.output_folder import NAMES, OutputFolder  # type: ignore[attr-defined]
from pipeline.dedup.command.run import run
from tests.pipeline.dedup.helpers import request, write_jsonl
from tests.trees import tree


def made(folder: Path, text: str, **options: Any) -> Path:
    """Deduplicates one small file into ``folder / "out"``."""
    write_jsonl(folder / "in.jsonl", [{"text": text}, {"text": text}, {"text": "another text"}])
    run(request([folder / "in.jsonl"], folder / "out", **options))
    return folder / "out"


def test_earlier_output_is_replaced_only_with_the_option(tmp_path: Path) -> None:
    first = tree(made(tmp_path, "some words"))
    with pytest.raises(UserError, match="replace this earlier output with --overwrite"):
        made(tmp_path, "other words")
    assert tree(tmp_path / "out") == first
    second = tree(made(tmp_path, "other words", overwrite=True))
    assert second != first
    assert b"other words" in second["kept/in.jsonl"]
    assert set(os.listdir(tmp_path / "out")) <= set(NAMES)


def test_folder_that_holds_anything_else_is_refused_even_with_the_option(tmp_path: Path) -> None:
    out = made(tmp_path, "some words")
    (out / "thesis.tex").write_text("mine")
    before = tree(out)
    with pytest.raises(UserError, match=r"not empty \(of an earlier output and thesis.tex"):
        made(tmp_path, "other words", overwrite=True)
    assert tree(out) == before


@pytest.mark.parametrize("stop_at", range(8))
def test_earlier_output_is_back_where_publishing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    before = tree(made(tmp_path, "some words"))
    renames = 0

    def rename(source: Path, target: Path) -> None:
        nonlocal renames
        if renames == stop_at:
            renames += 1
            raise OSError(5, "Input/output error")
        renames += 1
        os.replace(source, target)

    monkeypatch.setattr(output_folder.os, "rename", rename)  # type: ignore[attr-defined]
    with pytest.raises(OSError, match="Input/output"):
        made(tmp_path, "other words", overwrite=True)
    assert tree(tmp_path / "out") == before


def test_failure_before_publishing_leaves_the_earlier_output(tmp_path: Path) -> None:
    before = tree(made(tmp_path, "some words"))
    with OutputFolder(tmp_path / "out", overwrite=True) as output:  # left without publish
        (output.kept / "half.jsonl").write_text("half")
    assert tree(tmp_path / "out") == before
