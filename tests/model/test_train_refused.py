"""A training that is refused has changed nothing: no folder, no recipe."""

from pathlib import Path

import pytest

from model.train import main
from tests.model.runs import make_run
from tests.trees import tree


def code_of(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_mistyped_root_makes_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path)
    assert code_of("--recipe", f"{run.root}/recipe.toml", "--root", str(tmp_path / "rum")) == 2
    assert not (tmp_path / "rum").exists()
    assert f"{tmp_path}/rum/tokens/train: no training tokens" in capsys.readouterr().err


def test_recipe_is_written_only_after_everything_was_checked(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    recipe = f"{run.root}/recipe.toml"
    other = tmp_path / "other.toml"
    other.write_text(Path(recipe).read_text(encoding="utf-8"))
    before = tree(run.root)
    assert code_of("--recipe", str(other), "--root", run.root, "--set", "model.heads=3") == 2
    assert tree(run.root) == before
