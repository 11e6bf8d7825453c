"""docs/notebooks: their cells are valid and use what docs/python-api.md documents; they run from beginning to end."""

import ast
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

import tokenmill

NOTEBOOKS = ("own-files", "what-the-model-saw")
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


def notebook(repository: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((repository / f"docs/notebooks/{name}.ipynb").read_text(encoding="utf-8"))
    return found


def code(cells: list[dict[str, Any]]) -> list[str]:
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_there_are_no_others(repository: Path) -> None:
    assert {path.stem for path in (repository / "docs/notebooks").glob("*.ipynb")} == set(NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_cells_are_valid_and_use_documented_names(name: str, repository: Path) -> None:
    found = notebook(repository, name)
    nbformat = pytest.importorskip("nbformat", reason="nbformat is in the extra ci")
    nbformat.validate(found)
    assert all(cell.get("outputs", []) == [] for cell in found["cells"]), "outputs are not committed: they would age"
    page = (repository / "docs/python-api.md").read_text(encoding="utf-8")
    for source in code(found["cells"]):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.value.id == "tokenmill":
                    assert node.attr in tokenmill.__all__
                if node.value.id == "run":
                    assert f"`run.{node.attr}" in page
    for cell in found["cells"]:
        for target in LINK.findall("".join(cell["source"])) if cell["cell_type"] == "markdown" else ():
            assert (repository / "docs/notebooks" / target).exists(), target


@pytest.mark.slow
@pytest.mark.flow
@pytest.mark.xdist_group("prefect")
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_runs_from_beginning_to_end(
    name: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ipykernel", reason="ipykernel is in the extra ci")
    import nbformat
    from nbclient import NotebookClient

    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(repository), *others]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("TOKENMILL_RUN", raising=False)
    opened = nbformat.reads(json.dumps(notebook(repository, name)), 4)
    (tmp_path / "work").mkdir()
    client = NotebookClient(
        opened, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path / "work"}}
    )
    client.execute()
    assert all(cell["execution_count"] for cell in opened.cells if cell["cell_type"] == "code")
    if name == "own-files":
        import polars

        assert polars.read_parquet(tmp_path / "work/kept.parquet").height == 12
