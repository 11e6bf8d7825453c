"""The how-to pages are run as they stand, each in a copy of a checkout after `make demo`.

Only the training of the demo is shorter here; what depends on it is left out of what the pages show.
"""

import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.contracts import markdown
from tests.contracts.transcripts import check_transcript, run_in

PAGES = sorted(path.name for path in (REPOSITORY / "docs/how-to").glob("*.md") if "```console" in path.read_text())

pytestmark = [pytest.mark.slow, pytest.mark.flow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a program ``tokenmill`` that runs this checkout."""
    shim = tmp_path_factory.mktemp("bin") / "tokenmill"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m flows.cli "$@"\n')
    shim.chmod(0o755)
    return shim.parent


@pytest.fixture(scope="module")
def demo(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the checkout is after ``make demo``."""
    folder = tmp_path_factory.mktemp("demo")
    for name in ("data", "configs"):
        (folder / name).symlink_to(REPOSITORY / name)
    command = "tokenmill run configs/demo.toml --root runs/demo --set train.steps=2"
    done = run_in(folder, command, str(REPOSITORY), str(program))
    assert done.returncode == 0, done.stdout
    return folder


@pytest.mark.parametrize("name", PAGES)
def test_every_command_prints_what_the_page_shows(name: str, demo: Path, program: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkout"
    shutil.copytree(demo, folder, symlinks=True)
    called = 0
    for block in markdown.blocks((REPOSITORY / "docs/how-to" / name).read_text()):
        kind, _, file = block.marker.partition(": ")
        if kind == "file":
            (folder / file).write_text(block.text)
        if block.language == "console":
            called += check_transcript(block.text, folder, str(REPOSITORY), str(program))
    assert called >= 2
