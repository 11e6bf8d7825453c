"""--vary becomes whole, validated recipes."""

from pathlib import Path

import pytest

from pipeline.ablation.variants import read_variants
from pipeline.base.errors import UserError
from pipeline.recipe.load import RecipeError, toml_value

RECIPE = '[[sources]]\nname = "s"\npaths = ["x"]\n'


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return str(path)


def test_every_combination_is_a_variant_and_the_first_values_come_first(recipe: str) -> None:
    vary = ['filter.rules=[["c4"], []]', "train.learning_rate=[1e-3, 2e-3]"]
    variants = read_variants(recipe, ["train.steps=7"], vary)
    assert [variant.name for variant in variants] == [
        'filter.rules=["c4"], train.learning_rate=0.001',
        'filter.rules=["c4"], train.learning_rate=0.002',
        "filter.rules=[], train.learning_rate=0.001",
        "filter.rules=[], train.learning_rate=0.002",
    ]
    assert variants[3].recipe.filter.rules == []
    assert variants[3].recipe.train.learning_rate == 2e-3
    assert {variant.recipe.train.steps for variant in variants} == {7}


def test_variants_that_differ_in_training_share_their_data_and_not_their_trials(recipe: str) -> None:
    one, other = read_variants(recipe, [], ["train.learning_rate=[1e-3, 2e-3]"])
    assert one.data_key() == other.data_key()
    assert one.trial_key(1) != other.trial_key(1)
    assert one.trial_key(1) != one.trial_key(2)


def test_variants_that_differ_in_a_filter_have_data_of_their_own(recipe: str) -> None:
    one, other = read_variants(recipe, [], ["filter.gopher_quality.min_words=[20, 50]"])
    assert one.data_key() != other.data_key()


def test_a_source_is_varied_by_its_name(recipe: str) -> None:
    one, other = read_variants(recipe, [], ["sources.s.weight=[1.0, 0.5]"])
    assert (one.recipe.sources[0].weight, other.recipe.sources[0].weight) == (1.0, 0.5)


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        (["filter.rules"], "expected KEY=\\[VALUE"),
        (["train.steps=3"], "expected KEY=\\[VALUE"),
        (["train.steps=[]"], "expected KEY=\\[VALUE"),
        (["train.steps=[1,"], "not a TOML list"),
        (["train.steps=[1]"], "gives 1 variants"),
        (["train.seed=[1,2]"], "--seeds varies it"),
        (["tokenize.validation_share=[0.1,0.2]"], "cannot be varied"),
        (["train.steps=[1,2]", "train.steps=[3,4]"], "names a key twice"),
        ([f"train.steps={list(range(70))}"], "gives 70 variants"),
    ],
)
def test_what_cannot_be_varied_is_refused_with_the_reason(recipe: str, vary: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_variants(recipe, [], vary)


def test_wrong_value_names_the_variant_and_how_lists_are_written(recipe: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_variants(recipe, [], ['filter.rules=["c4", "fineweb"]'])
    assert 'filter.rules="c4"' in str(caught.value)
    assert "one whole value" in str(caught.value)


def test_values_are_written_as_toml_reads_them() -> None:
    import tomllib

    value = {"a": [1, 2.5, True, 'x"y', []]}
    assert tomllib.loads(f"v = {toml_value(value)}")["v"] == value
