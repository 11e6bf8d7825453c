import json
import shutil
from pathlib import Path

import pytest

from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run
from tests.pipeline.lineage.conftest import run_stages, write_inputs


@pytest.fixture(scope="session")
def curated(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    """A run up to its tokens: duplicates, documents that a rule drops, and one that a sentence is cut out of."""
    folder = tmp_path_factory.mktemp("export")
    recipe = write_inputs(folder, sample)
    texts = [json.loads(line)["text"] for line in (folder / "raw/prose.jsonl").read_text().splitlines()]
    item = " ".join(max(texts, key=len).split()[40:60])
    (folder / "set.jsonl").write_text(json.dumps({"question": item}) + "\n")
    sets = f'[{{ name = "quiz", path = "{folder}/set.jsonl" }}]'
    cut = f'min_kept = 0.0\ndecontamination = {{ action = "cut", max_overlap = 0.5, sets = {sets} }}'
    recipe.write_text(recipe.read_text().replace("[filter]\n", f"[filter]\n{cut}\n"))
    run_stages(Run(str(folder / "run"), load_recipe(recipe)))
    return folder / "run"


@pytest.fixture
def run(curated: Path, tmp_path: Path) -> Run:
    """A copy of it, to be changed."""
    shutil.copytree(curated, tmp_path / "run")
    return Run.open(tmp_path / "run")
