"""The recipes in configs/ load, are what their comments say, and would run as they are."""

from pathlib import Path

import pytest

from flows.cli.run import run
from model.export.folder import export_folder
from model.export.side_files import Delimiters
from model.network.config import ModelConfig
from model.network.transformer import Transformer
from pipeline.recipe.load import load_recipe
from pipeline.recipe.presets import PRESETS
from tests.conftest import REPOSITORY
from tests.model.runs import VOCABULARY, make_run

CONFIGS = sorted((REPOSITORY / "configs").glob("*.toml"))


@pytest.fixture(scope="module")
def open_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the Qwen3 class as it comes from a hub."""
    folder = tmp_path_factory.mktemp("hub")
    tokenizer = Path(make_run(folder).root) / "tokenizer/tokenizer.json"
    (folder / "open-model").mkdir()
    model = Transformer(ModelConfig("qwen3", VOCABULARY, 512, layers=1, heads=2, width=32))
    export_folder(model, tokenizer, Delimiters(0), folder / "open-model")
    return folder / "open-model"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_recipe_would_run_as_it_is(
    path: Path, open_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = []
    if path.stem == "continued":  # its comment says that a model has to be put there
        overrides = [f"model.init={open_model}", f"tokenize.tokenizer={open_model / 'tokenizer.json'}"]
    assert run(str(path), root=str(tmp_path / "run"), set=overrides, dry_run=True) == 0
    assert "clean     runs: " in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_recipe_is_named_after_its_file_and_begins_with_what_it_is_for(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# "), path
    assert load_recipe(path).name == path.stem
    assert f"({path.name})" in (REPOSITORY / "configs/README.md").read_text()


def test_every_preset_has_a_recipe() -> None:
    assert {load_recipe(path).filter.preset for path in CONFIGS} >= PRESETS.keys()


@pytest.mark.parametrize("engine", ["slurm", "ray"])
def test_engine_options_in_the_comments_of_the_cluster_are_options(engine: str) -> None:
    from pipeline.run.engines.options import EngineOptions

    lines = (REPOSITORY / "configs/cluster.toml").read_text().split(f"--engine {engine}")[1].splitlines()[0]
    settings = [word for word in lines.split() if "=" in word]
    assert settings
    EngineOptions.of(engine, settings)
