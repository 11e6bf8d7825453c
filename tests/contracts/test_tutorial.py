"""The tutorial is run as it stands: its files are written, its commands called, and what they print is compared."""

import sys
from pathlib import Path

import pytest

from tests.contracts import markdown
from tests.contracts.transcripts import check_transcript, matches


def test_three_dots_stand_for_any_lines_and_nothing_else_does() -> None:
    assert matches(["a", "...", "d"], ["a", "b", "c", "d"])
    assert matches(["a", "...", "b"], ["a", "b"])
    assert not matches(["a", "b"], ["a", "c", "b"])
    assert not matches(["a"], ["a", "b"])


@pytest.mark.flow
@pytest.mark.timeout(900)  # on a machine that compiles the kernels first
def test_every_command_prints_what_the_tutorial_shows(repository: Path, tmp_path: Path) -> None:
    shim = tmp_path / "bin" / "tokenmill"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m flows.cli "$@"\n')
    shim.chmod(0o755)
    folder = tmp_path / "first"
    folder.mkdir()
    called = 0
    for block in markdown.blocks((repository / "docs/tutorial.md").read_text()):
        kind, _, name = block.marker.partition(": ")
        if kind in ("file", "append"):
            (folder / name).parent.mkdir(exist_ok=True)
            with (folder / name).open("w" if kind == "file" else "a") as file:
                file.write(block.text)
        if block.language == "console":
            called += check_transcript(block.text, folder, str(repository), str(shim.parent))
    assert called >= 9
