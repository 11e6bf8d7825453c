"""docs/recipes.md says of every key what it may be, and says what is so."""

import re
from pathlib import Path
from typing import get_args

import pytest

from pipeline.recipe.load import RecipeError, load_recipe
from pipeline.recipe.opt_outs import OptOut
from pipeline.recipe.page import recipes_page

SHORTEST = '[[sources]]\nname = "web"\npaths = ["x.jsonl"]\n'


@pytest.fixture(scope="module")
def page() -> str:
    return recipes_page()


def rows(page: str) -> list[tuple[str, str, str]]:
    """Section, key and what it may be, of every row of the page."""
    found, section = [], ""
    for line in page.splitlines():
        if line.startswith("## "):
            section = line[3:].strip("[]")
        elif cells := re.match(r"\| `(\w+)` \| (.*?) \| ", line):
            found.append((section, cells[1], cells[2]))
    return found


def test_page_matches_the_options(page: str, repository: Path) -> None:
    assert (repository / "docs/recipes.md").read_text() == page, "python -m pipeline.recipe.load > docs/recipes.md"


def test_every_key_says_what_it_may_be(page: str) -> None:
    assert len(rows(page)) > 150
    assert [row for row in rows(page) if not row[2]] == []


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("clean.pii", "`replace`, `count`, `off`"),
        ("clean.clean_lines", "a list of `terminal`, `short`, `javascript`, `policy`, `citations`"),
        ("filter.opt_out", "a list of " + ", ".join(f"`{mark}`" for mark in get_args(OptOut))),
        ("train.disk_full", "`stop`, `continue`"),
        ("train.precision", "`auto`, `float32`, `bfloat16`"),
        ("tokenize.validation_share", "a number, at least 0, below 1"),
    ],
)
def test_keys_that_a_newcomer_looked_for(key: str, allowed: str, page: str) -> None:
    section, _, name = key.partition(".")
    assert (section, name, allowed) in rows(page)


def test_first_value_of_every_choice_is_accepted_and_another_refused(page: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(SHORTEST)
    tried = 0
    for section, key, allowed in rows(page):
        choices = re.findall(r"`([^`]+)`", allowed)
        if section not in ("clean", "filter", "tokenize", "model", "train") or not choices or "table" in allowed:
            continue
        if choices[0] in ("true", "false") or "size" in allowed:
            continue
        value, wrong = (f'["{choices[0]}"]', '["nothing"]') if "list" in allowed else (choices[0], "nothing")
        load_recipe(recipe, [f"{section}.{key}={value}"])
        if "class path" not in allowed:
            with pytest.raises(RecipeError):
                load_recipe(recipe, [f"{section}.{key}={wrong}"])
        tried += 1
    assert tried > 12
