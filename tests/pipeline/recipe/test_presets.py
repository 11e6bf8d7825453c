"""Rule presets: what one word sets, what wins over it, and that it decides no bytes by itself."""

from pathlib import Path

import pytest

from pipeline.recipe.load import load_recipe, recipe_toml
from pipeline.recipe.options import Recipe
from pipeline.recipe.presets import PRESETS, REPETITION_ONLY
from pipeline.recipe.rule_sets import RULES


def load(folder: Path, filter_section: str, *overrides: str) -> Recipe:
    path = folder / "recipe.toml"
    path.write_text(f'[[sources]]\nname = "a"\npaths = ["a.txt"]\n[filter]\n{filter_section}\n')
    return load_recipe(path, overrides)


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_is_what_its_keys_written_out_are(tmp_path: Path, preset: str) -> None:
    made = load(tmp_path, f'preset = "{preset}"').filter
    assert {key: getattr(made, key) for key in PRESETS[preset]} == PRESETS[preset]
    (tmp_path / "resolved.toml").write_text(recipe_toml(load(tmp_path, f'preset = "{preset}"')))
    assert load_recipe(tmp_path / "resolved.toml").filter == made


def test_web_is_what_a_recipe_without_a_preset_does(tmp_path: Path) -> None:
    assert load(tmp_path, 'preset = "web"').filter.model_dump(exclude={"preset"}) == load(
        tmp_path, ""
    ).filter.model_dump(exclude={"preset"})


def test_keys_of_the_recipe_win_over_its_preset(tmp_path: Path) -> None:
    made = load(tmp_path, 'preset = "own"\nrules = ["c4"]').filter
    assert (made.rules, made.gopher_repetition) == (["c4"], REPETITION_ONLY)


def test_one_threshold_of_the_recipe_leaves_the_others_to_its_preset(tmp_path: Path) -> None:
    threshold = "max_top_2gram_char_ratio"
    expected = {**REPETITION_ONLY, threshold: 0.5}
    made = load(tmp_path, f'preset = "own"\ngopher_repetition = {{ {threshold} = 0.5 }}')
    assert made.filter.gopher_repetition == expected
    by_option = load(tmp_path, 'preset = "own"', f"filter.gopher_repetition.{threshold}=0.5")
    assert by_option.filter == made.filter
    (tmp_path / "resolved.toml").write_text(recipe_toml(made))
    assert load_recipe(tmp_path / "resolved.toml").filter == made.filter


def test_preset_of_the_command_line_wins_over_the_keys_of_a_resolved_recipe(tmp_path: Path) -> None:
    made = load(tmp_path, 'rules = ["c4"]\nmin_language_score = 0.9', "filter.preset=own", "filter.rules=[]").filter
    assert (made.rules, made.min_language_score) == ([], PRESETS["own"]["min_language_score"])


def test_thresholds_of_presets_are_rules_that_exist() -> None:
    assert set(REPETITION_ONLY) <= set(RULES["gopher_repetition"])
    assert all(REPETITION_ONLY[name] >= RULES["gopher_repetition"][name] for name in REPETITION_ONLY)
