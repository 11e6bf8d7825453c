import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from pipeline.base.errors import UserError
from pipeline.recipe.load import Recipe, RecipeError, apply_override, load_recipe, recipe_toml
from pipeline.recipe.section import OptionalRecipePath, RecipePath, UrlEntry

SHORTEST = '[[sources]]\nname = "web"\npaths = ["raw/*.jsonl"]\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def test_shortest_recipe_is_one_source(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, SHORTEST))
    assert recipe.stages == ["clean", "dedup", "filter", "tokenize", "train", "report"]
    assert recipe.sources[0].paths == [str(tmp_path / "raw/*.jsonl")]


def test_three_mistakes_are_reported_together_with_the_nearest_key(tmp_path: Path) -> None:
    text = SHORTEST + "[dedup]\nthreshold = 1.7\nbnads = 3\n[tokenize]\nvocabulary_size = 'many'\n"
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(tmp_path, text))
    assert len(caught.value.problems) == 3
    message = str(caught.value)
    assert "dedup.threshold = 1.7: input should be less than or equal to 1" in message
    assert "dedup.bnads: unknown key; did you mean bands?" in message
    assert "tokenize.vocabulary_size = 'many'" in message


def keys_of_fractions(model: type[BaseModel], place: str = "") -> Iterator[str]:
    for key, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from keys_of_fractions(inner, f"{place}{key}.")
        elif float in (inner, *get_args(inner)) and get_origin(inner) is not dict:
            yield f"{place}{key}"


@pytest.mark.parametrize("number", ["inf", "-inf", "nan"])
def test_no_key_takes_a_number_that_is_not_finite(number: str, tmp_path: Path) -> None:
    keys = [*keys_of_fractions(Recipe), "sources.0.weight", "sources.0.max_epochs", "tokenize.tokenizer_weights.web"]
    assert {"clean.max_decompression_ratio", "train.clip_norm", "model.rotary_base"} <= set(keys)
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(tmp_path, SHORTEST), [f"{key}={number}" for key in keys])
    told = [problem.partition(" = ")[0] for problem in caught.value.problems]
    assert sorted(told) == sorted(keys)
    assert "train.clip_norm = inf: input should be a finite number" in str(caught.value) or number != "inf"


def test_folder_or_text_in_the_place_of_a_recipe_is_led_to_init(tmp_path: Path) -> None:
    raw = tmp_path / "raw files"
    raw.mkdir()
    with pytest.raises(UserError, match=r"a folder, not a recipe; `tokenmill init '.*raw files'` looks at it"):
        load_recipe(raw)
    (raw / "a.txt").write_text("Once upon a time")
    with pytest.raises(
        RecipeError, match=r"not a TOML file: .*; if this is text to train on, `tokenmill init '.*a.txt'"
    ):
        load_recipe(raw / "a.txt")
    write(raw, SHORTEST)
    with pytest.raises(
        UserError, match=r"a run folder.*; `tokenmill run '.*raw files/recipe.toml' --root '.*raw files'"
    ):
        load_recipe(raw)


def test_override_beats_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, SHORTEST + "[dedup]\nthreshold = 0.7\n")
    recipe = load_recipe(
        path, ["dedup.threshold=0.9", 'filter.languages=["en"]', "sources.web.weight=2.5", "name=other"]
    )
    assert (recipe.dedup.threshold, recipe.filter.languages) == (0.9, ["en"])
    assert (recipe.sources[0].weight, recipe.name) == (2.5, "other")


@pytest.mark.parametrize("override", ["dedup.threshold", "=3", "sources.nobody.weight=1", "name.x=1"])
def test_malformed_override_is_refused_with_its_text(override: str) -> None:
    with pytest.raises(ValueError, match="--set"):
        apply_override({"name": "a", "sources": [{"name": "web"}]}, override)


@pytest.mark.parametrize(
    "stages", ['["dedup", "clean"]', '["clean", "tokenize", "filter"]', '["clean", "clean"]', '["clean", "bake"]']
)
def test_impossible_stage_order_is_refused(tmp_path: Path, stages: str) -> None:
    with pytest.raises(RecipeError, match="stages"):
        load_recipe(write(tmp_path, f"stages = {stages}\n{SHORTEST}"))


def test_filter_may_come_before_dedup(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, f'stages = ["clean", "filter", "dedup", "tokenize"]\n{SHORTEST}'))
    assert recipe.stages.index("filter") < recipe.stages.index("dedup")


def test_resolved_recipe_loads_as_itself(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, SHORTEST))
    text = recipe_toml(recipe)
    assert tomllib.loads(text)["dedup"]["bands"] == 14
    assert load_recipe(write(tmp_path, text)) == recipe


def test_missing_and_malformed_files_are_recipe_errors(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such file"):
        load_recipe(tmp_path / "none.toml")
    with pytest.raises(RecipeError, match="not a TOML file"):
        load_recipe(write(tmp_path, "name = "))


def test_wrong_choice_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="did you mean dedup"):
        load_recipe(write(tmp_path, 'stages = ["clean", "dedupe"]\n' + SHORTEST))


def test_mistyped_threshold_is_named_with_its_whole_key_and_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path, SHORTEST)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, ["filter.gopher_quality.min_word=30", "filter.rules=['c5']"])
    assert len(caught.value.problems) == 2
    rules, threshold = caught.value.problems
    assert threshold.startswith(
        "filter.gopher_quality.min_word: unknown threshold; did you mean min_words?; there are "
    )
    assert "max_words, " in threshold
    assert rules.startswith("filter.rules: unknown rule set 'c5'; did you mean c4?")
    assert "{" not in str(caught.value), "no section is printed as Python"


def test_contradiction_in_a_section_is_told_without_the_section(tmp_path: Path) -> None:
    path = write(tmp_path, SHORTEST)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, ["dedup.bands=500", "dedup.rows=100"])
    assert caught.value.problems == ["dedup: bands x rows = 500 x 100 = 50,000 permutations; at most 4,096"]


def test_every_mistake_of_a_source_is_named_with_what_is_allowed(tmp_path: Path) -> None:
    source = 'format = "tsvv"\nencoding = "windws-1252"\nfields = { txet = "body" }\noptions = { text_key = "body" }\n'
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(tmp_path, SHORTEST + source))
    assert len(caught.value.problems) == 4
    message = str(caught.value)
    assert "sources.0: format = 'tsvv': unknown; did you mean tsv?; allowed: auto, warc" in message
    assert "sources.0: fields.txet: unknown; did you mean text?" in message
    assert "windows-1252" in message
    assert "datatrove reader" in message


def test_bare_word_in_a_url_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"'ut2' is no domain.*did you mean ut1"):
        load_recipe(write(tmp_path, SHORTEST + '[clean]\nurl_block = ["ut2"]\n'))
    allowed = '["example.org", "localhost/*", "@list", "ut1", "ut1-words", "*.xyz"]'
    assert load_recipe(write(tmp_path, SHORTEST + f"[clean]\nurl_block = {allowed}\n")).clean.url_block


def keys_of_text(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key that holds text, with the type and the validators of one of its values."""
    for name, field in model.model_fields.items():
        parts: list[Any] = [field.annotation, *get_args(field.annotation)]
        parts += [argument for part in parts for argument in get_args(part)]
        for part in parts:
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from keys_of_text(part, f"{prefix}{name}.")
        if str in parts:
            yield f"{prefix}{name}", [*field.metadata, *parts]


def test_every_key_that_names_a_file_is_a_recipe_path() -> None:
    """The type is what makes a path absolute: a key of another type would stay relative to wherever one stands."""
    validators = [get_args(kind)[1] for kind in (RecipePath, OptionalRecipePath, UrlEntry)]
    keys = dict(keys_of_text(Recipe))
    of_the_type = {key for key, parts in keys.items() if any(part in validators for part in parts)}
    named = re.compile(r"(^|_|\b)(paths?|files?|folders?|dirs?|roots?|runs?|init|tokenizer|blocklist)$")
    assert {key for key in keys if named.search(key)} <= of_the_type
    assert of_the_type == {
        *("sources.paths", "clean.url_block", "clean.url_allow", "clean.robots", "dedup.against"),
        *("filter.classifiers.path", "filter.decontamination.sets.path", "tokenize.tokenizer", "tokenize.held_out"),
        *("filter.url.blocklist", "model.init", "train.runs", "clean.language_model"),
    }


def test_every_path_becomes_absolute_but_urls_and_bundled_lists(tmp_path: Path) -> None:
    text = SHORTEST + (
        '[clean]\nurl_block = ["@here.txt", "ut1"]\n[dedup]\nagainst = ["here", "s3://bucket/run"]\n'
        '[filter.url]\nblocklist = "here.txt"\n[filter.classifiers.good]\npath = "here.bin"\n'
        '[[filter.decontamination.sets]]\nname = "a"\npath = "here.jsonl"\n'
        '[tokenize]\ntokenizer = "../here.json"\nheld_out = ""\n[model]\ninit = "here"\n[train]\nruns = ["here"]\n'
    )
    recipe = load_recipe(write(tmp_path, text))
    assert recipe.clean.url_block == [f"@{tmp_path}/here.txt", "ut1"]
    assert recipe.dedup.against == [f"{tmp_path}/here", "s3://bucket/run"]
    assert recipe.filter.url.blocklist == f"{tmp_path}/here.txt"
    assert recipe.filter.classifiers["good"].path == f"{tmp_path}/here.bin"
    assert recipe.filter.decontamination.sets[0].path == f"{tmp_path}/here.jsonl"
    assert (recipe.tokenize.tokenizer, recipe.tokenize.held_out) == (f"{tmp_path.parent}/here.json", None)
    assert (recipe.model.init, recipe.train.runs) == (f"{tmp_path}/here", [f"{tmp_path}/here"])


def test_key_below_the_name_of_a_rule_is_led_to_where_it_stands(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"filter.language: unknown key; did you mean filter.min_language_score\?"):
        load_recipe(write(tmp_path, SHORTEST), ["filter.language.min_language_score=0.1"])
