"""docs/python-api.md: every example gives what the page shows, and every public name is on the page."""

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run
from tests.model.runs import make_run
from tests.pipeline.lineage.conftest import run_stages, write_inputs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_examples_give_what_the_page_shows(repository: Path, sample: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    run_stages(Run(str(corpus / "run"), load_recipe(write_inputs(corpus, sample))))
    run = make_run(tmp_path, overrides=("train.steps=2",))
    command = [sys.executable, "-m", "model.train", "--recipe", f"{run.root}/recipe.toml", "--root", run.root]
    subprocess.run(command, cwd=repository, check=True, capture_output=True)
    page = (repository / "docs/python-api.md").read_text().replace("```\n", "\n")
    names = {"RUN": Path(run.root), "CORPUS": corpus / "run"}
    test = doctest.DocTestParser().get_doctest(page, names, "python-api", None, 0)
    assert len(test.examples) > 20
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    failed, _ = doctest.DocTestRunner(optionflags=flags).run(test)
    assert failed == 0


def test_import_loads_neither_torch_nor_pyarrow(repository: Path) -> None:
    code = "import sys, tokenmill; print(sorted({'torch', 'pyarrow', 'numpy', 'prefect'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=repository, check=True, capture_output=True, text=True)
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize("module", ["tokenmill", "pipeline.dedup", "pipeline.filter", "pipeline.interop", "model"])
def test_every_public_name_is_on_the_page(module: str, repository: Path) -> None:
    from importlib import import_module

    page = (repository / "docs/python-api.md").read_text()
    for name in import_module(module).__all__:
        assert f"`{name}" in page, f"{module}.{name}"
