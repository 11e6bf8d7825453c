"""The depth dial: what one number sets, and what wins over it."""

import tomllib
from pathlib import Path

import pytest

from pipeline.recipe import depth
from pipeline.recipe.load import Recipe, RecipeError, load_recipe, recipe_toml

SOURCE = '[[sources]]\nname = "web"\npaths = ["raw/*.jsonl"]\n'


def load(folder: Path, text: str, *overrides: str) -> Recipe:
    path = folder / "recipe.toml"
    path.write_text(SOURCE + text)
    return load_recipe(path, overrides)


def test_depth_sets_shape_rates_batch_and_steps(tmp_path: Path) -> None:
    recipe = load(tmp_path, "[model]\ndepth = 6\ncontext_length = 512\n")
    assert (recipe.model.layers, recipe.model.heads, recipe.model.width) == (6, 6, 384)
    train = recipe.train
    found = {key: getattr(train, key) for key in depth.TRAIN_KEYS}
    assert found == depth.training(6, 384, 512, "adamw")
    weights = 12 * 6 * 384**2
    assert train.steps * train.global_batch_tokens == pytest.approx(20 * weights, rel=0.01)
    assert train.global_batch_tokens % 512 == 0


def test_rates_fall_with_the_root_of_the_width_and_muon_has_its_own() -> None:
    small, large = (depth.training(d, 64 * d, 256, "muon") for d in (4, 16))
    assert small["learning_rate"] == pytest.approx(2 * large["learning_rate"], rel=0.01)
    assert small["muon_learning_rate"] == large["muon_learning_rate"]
    assert small["global_batch_tokens"] < large["global_batch_tokens"]
    assert small["learning_rate"] != depth.training(4, 256, 256, "adamw")["learning_rate"]


def test_explicit_keys_win_and_the_others_follow_them(tmp_path: Path) -> None:
    recipe = load(tmp_path, "[model]\ndepth = 3\nheads = 6\n[train]\nglobal_batch_tokens = 1024\nlearning_rate = 0.5\n")
    assert (recipe.model.layers, recipe.model.heads) == (3, 6)
    assert (recipe.train.global_batch_tokens, recipe.train.learning_rate) == (1024, 0.5)
    assert recipe.train.steps == round(20 * 12 * 3 * 192**2 / 1024)


def test_dial_on_the_command_line_wins_over_the_file_but_not_over_the_command_line(tmp_path: Path) -> None:
    text = "[model]\nlayers = 4\nwidth = 256\n[train]\nsteps = 7\nlearning_rate = 0.5\n"
    recipe = load(tmp_path, text, "model.depth=2", "train.steps=9")
    assert (recipe.model.layers, recipe.model.heads, recipe.model.width) == (2, 2, 128)
    assert recipe.train.steps == 9
    assert recipe.train.learning_rate == depth.training(2, 128, 256, "adamw")["learning_rate"]


def test_resolved_recipe_says_what_the_dial_chose_and_loads_to_the_same(tmp_path: Path) -> None:
    recipe = load(tmp_path, "[model]\ndepth = 2\n")
    text = recipe_toml(recipe)
    assert tomllib.loads(text)["train"]["steps"] == recipe.train.steps
    (tmp_path / "resolved.toml").write_text(text)
    assert load_recipe(tmp_path / "resolved.toml") == recipe


def test_without_depth_nothing_is_set(tmp_path: Path) -> None:
    assert load(tmp_path, "[model]\ndepth = 0\n").train.steps == 200


def test_depth_and_init_are_refused_together(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="leave depth out"):
        load(tmp_path, '[model]\ndepth = 2\ninit = "folder"\n')


def test_mistakes_beside_the_dial_are_told_once(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, '[model]\ndepth = 2\n[train]\nglobal_batch_tokens = "many"\n')
    assert len(caught.value.problems) == 1


def test_init_is_relative_to_the_recipe(tmp_path: Path) -> None:
    assert load(tmp_path, '[model]\ninit = "folder"\n').model.init == str(tmp_path / "folder")
