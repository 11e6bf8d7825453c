"""README's figures and tree are those of the project; its commands and links are held by test_docs.py."""

import json
import re
import runpy
import subprocess
from pathlib import Path

import pytest

from tests.contracts import markdown

FOLDER = re.compile(r"[\w.]+/")


@pytest.fixture(scope="module")
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text()


def test_figures_of_the_demo_are_those_of_its_run(readme: str, repository: Path) -> None:
    script = runpy.run_path(str(repository / "docs/benchmarks/demo.py"))
    known = json.loads((repository / "docs/benchmarks/demo.json").read_text())
    table = script["table"](known)
    assert table.count("\n") == 6
    page = (repository / "docs/benchmarks/demo.md").read_text()
    assert table in page
    figures = known["figures"]
    assert f"from {figures['clean']['records_in']:,} records to {figures['filter']['kept']:,} documents" in readme
    minutes, seconds = divmod(round(sum(known["seconds"].values())), 60)
    said = re.search(r"(\d+) min (\d+) s in all", readme)
    assert said is not None
    assert said[0] in page
    assert 0 <= int(said[1]) * 60 + int(said[2]) - (minutes * 60 + seconds) < 20  # start and end of the process


def test_model_page_has_the_same_figure_for_the_demo_model(repository: Path) -> None:
    known = json.loads((repository / "docs/benchmarks/demo.json").read_text())["figures"]["train"]
    pages = [repository / "docs/model.md", *(repository / "docs/benchmarks").glob("*.md")]
    rows = [line for page in pages for line in page.read_text().splitlines() if line.startswith("| the demo's model")]
    assert rows
    for row in rows:
        assert f"{known['bits_per_byte']:.3f} bits per byte" in row


def listed_folders(readme: str) -> list[str]:
    """Folders of the tree, a package's own below it."""
    (tree,) = (block.text for block in markdown.blocks(readme) if block.language == "tree")
    folders, above = [], ""
    for line in tree.splitlines():
        names = FOLDER.findall(re.split(r"\s{3,}", line.strip())[0])
        assert names, line
        if line.startswith(" "):
            folders += [above + name for name in names]
        else:
            (above,) = names
            folders.append(above)
    return folders


def test_tree_names_every_folder_and_no_other(readme: str, repository: Path) -> None:
    listed = listed_folders(readme)
    assert [name for name in listed if not (repository / name).is_dir()] == []
    tracked = subprocess.run(["git", "ls-files"], cwd=repository, capture_output=True, text=True, check=True).stdout
    paths = [Path(line) for line in tracked.splitlines()]
    top = {f"{path.parts[0]}/" for path in paths if len(path.parts) > 1 and not path.parts[0].startswith(".")}
    rooms = {f"{path.parts[0]}/{path.parts[1]}/" for path in paths if len(path.parts) > 2 and path.suffix == ".py"}
    packages = {room for room in rooms if room.startswith(("pipeline/", "model/", "flows/"))}
    assert sorted((top | packages) - set(listed)) == []
