"""docs/datatrove.md: its examples give what they show, its recipe runs, and it names the release that is installed."""

import doctest
import json
import re
import shutil
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import tokenmill
from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run
from tests.pipeline.lineage.conftest import run_stages, write_inputs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs/datatrove.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    folder = tmp_path_factory.mktemp("datatrove")
    run_stages(Run(str(folder / "run"), load_recipe(write_inputs(folder, sample))))
    return folder


def test_page_names_the_release_that_it_was_tried_with(page: str) -> None:
    assert f"datatrove {version('datatrove')}, the newest release" in page


def test_examples_give_what_the_page_shows(page: str, corpus: Path, tmp_path: Path) -> None:
    names: dict[str, Any] = {"CORPUS": corpus / "run", "DOCUMENTS": corpus / "raw", "OUT": tmp_path}
    test = doctest.DocTestParser().get_doctest(page.replace("```\n", "\n"), names, "datatrove", None, 0)
    assert len(test.examples) > 15
    failed, _ = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test)
    assert failed == 0


def test_recipe_of_the_page_runs_with_their_reader_extractor_and_filter(
    page: str, corpus: Path, tmp_path: Path
) -> None:
    found = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert found is not None
    (tmp_path / "raw").mkdir()
    lines = [json.loads(line) for line in (corpus / "raw/prose.jsonl").read_text().splitlines()]
    lines.append({"text": "Too short.", "id": "short"})
    bodies = "".join(json.dumps({"body": line["text"], "id": line["id"]}) + "\n" for line in lines)
    (tmp_path / "raw/a.jsonl").write_text(bodies)
    shutil.copy(corpus / "raw/web.jsonl", tmp_path / "raw/b.jsonl")  # has no field of that name
    (tmp_path / "recipe.toml").write_text(found[1])
    assert set(tomllib.loads(found[1])["filter"]["datatrove"]) <= set(tomllib.loads(found[1])["filter"]["rules"])
    recipe = load_recipe(tmp_path / "recipe.toml", ["clean.max_quarantined=1.0"])
    run_stages(Run(str(tmp_path / "run"), recipe))
    run = tokenmill.Run(tmp_path / "run")
    dropped = [row for batch in run.documents("dropped", ["id", "reasons"]) for row in batch.to_pylist()]
    (short,) = [row for row in dropped if row["id"] == "short"]
    assert "GopherQualityFilter.gopher_short_doc" in short["reasons"]
    quarantined = [row for batch in run.table("quarantine") for row in batch.to_pylist()]
    assert [(row["path"], row["reason"]) for row in quarantined] == [("b.jsonl", "reader_failed")]
