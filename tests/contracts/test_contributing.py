"""The examples of CONTRIBUTING.md are laid over the code as they stand, and run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contracts import markdown
from tests.contracts.transcripts import check_transcript

# Finds the changed and the new modules before those of the checkout: a whole copy would compile every kernel anew.
SITECUSTOMIZE = """
import importlib.util, os, sys

CODE = {code!r}

class Overlay:
    def find_spec(self, name, path=None, target=None):
        place = os.path.join(CODE, *name.split("."))
        if os.path.isfile(package := os.path.join(place, "__init__.py")):
            return importlib.util.spec_from_file_location(name, package, submodule_search_locations=[place])
        return importlib.util.spec_from_file_location(name, place + ".py") if os.path.isfile(place + ".py") else None

sys.meta_path.insert(0, Overlay())
"""


@pytest.fixture(scope="module")
def page(repository: Path) -> list[markdown.Block]:
    return markdown.blocks((repository / "CONTRIBUTING.md").read_text())


@pytest.fixture(scope="module")
def overlay(repository: Path, page: list[markdown.Block], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the new files, and those that are edited as they are afterwards."""
    folder = tmp_path_factory.mktemp("overlay")
    for block in page:
        kind, _, name = block.marker.partition(": ")
        path = folder / name
        if kind == "new":
            assert not (repository / name).exists(), f"{name} exists: the example is an example no more"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif kind == "edit":
            before = path if path.exists() else repository / name
            text = edited(before.read_text(), block.text, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return folder


def edited(text: str, change: str, name: str) -> str:
    """The text with the lines of a diff block changed; what is not new must stand in it exactly once."""
    lines = change.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] in " -")
    new = "".join(line[1:] if line[0] in " +" else "" for line in lines)
    assert text.count(old) == 1, f"{name}: these lines are not there exactly once:\n{old}"
    return text.replace(old, new)


def test_a_stale_example_is_noticed() -> None:
    assert edited("a\nb\n", " a\n+x\n", "f") == "a\nx\nb\n"
    assert edited("a\nb\n", "-a\n+x\n", "f") == "x\nb\n"
    for text in ("c\nb\n", "a\na\n"):
        with pytest.raises(AssertionError, match="not there exactly once"):
            edited(text, " a\n+x\n", "f")


def test_every_file_to_touch_is_named_in_the_text(repository: Path, page: list[markdown.Block]) -> None:
    touched = {block.marker.partition(": ")[2] for block in page if block.marker.startswith(("new: ", "edit: "))}
    assert len(touched) > 10
    prose = markdown.prose((repository / "CONTRIBUTING.md").read_text())
    assert [name for name in touched if name not in prose and f"{Path(name).parent}/" not in prose] == []


def test_changed_modules_are_formatted_and_checked(overlay: Path, repository: Path) -> None:
    files = [str(path) for path in overlay.rglob("*.py")]
    ours = 'lint.isort.known-first-party=["pipeline", "model", "flows"]'
    settings = ["--no-cache", "--config", str(repository / "pyproject.toml"), "--config", ours]
    for command in (["check"], ["format", "--check"]):
        call = [sys.executable, "-m", "ruff", *command, *settings, *files]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.flow
@pytest.mark.timeout(900)  # on a machine that compiles the kernels first
def test_reader_rule_stage_and_command_work(
    repository: Path, overlay: Path, page: list[markdown.Block], tmp_path: Path
) -> None:
    start = tmp_path / "start"
    start.mkdir()
    (start / "sitecustomize.py").write_text(SITECUSTOMIZE.replace("{code!r}", repr(str(overlay))))
    (commands,) = (block.text for block in page if block.marker == "commands")
    for block in page:
        if block.marker.startswith("file: "):
            (tmp_path / block.marker.removeprefix("file: ")).write_text(block.text)
    commands = re.sub(r"^\$ python ", f"$ {sys.executable} ", commands, flags=re.MULTILINE)
    assert check_transcript(commands, tmp_path, f"{start}{os.pathsep}{repository}") == 3
