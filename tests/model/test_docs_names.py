"""docs/model.md walks from the equations to the code by names; each of them exists."""

import importlib
import re
from pathlib import Path

import pytest

from model.network.config import ModelConfig
from model.network.transformer import Transformer

FILE = re.compile(r"(?:model|pipeline|tests)/[\w/]+\.py")


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "model.md").read_text()


def equation_rows(page: str) -> list[list[str]]:
    table = page[page.index("| equation |") :].split("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()[2:]]


def test_every_place_of_the_equations_is_in_the_code(page: str) -> None:
    places = [name for row in equation_rows(page) for name in re.findall(r"`([^`]+)`", row[-1])]
    assert len(places) >= 8
    for place in places:
        first, *rest = place.split(".")
        module = importlib.import_module(f"model.network.{'transformer' if first[0].isupper() else first}")
        found = module if first[0].islower() else getattr(module, first)
        for name in rest:
            found = getattr(found, name)
        assert callable(found), place


def test_every_parameter_of_the_equations_is_in_the_model_and_none_is_left_out(page: str) -> None:
    model = Transformer(ModelConfig("gpt2", 64, 8, layers=1, heads=2, width=8, tied_embeddings=False))
    parameters = [name for name, _ in model.named_parameters()]
    named = set()
    for row in equation_rows(page):
        whole = ""
        for name in re.findall(r"`([^`]+)`", row[1]):
            if name.startswith(".") and name.count(".") == 1:  # .bias after the whole name of a .weight
                whole = whole.rsplit(".", 1)[0] + name
            else:
                whole = name.replace("blocks[i]", "blocks.0") if name[0] != "." else f"blocks.0{name}"
            fitting = [p for p in parameters if p == whole or p.startswith(f"{whole}.")]
            assert fitting, name
            named |= set(fitting)
    assert named == set(parameters)


def test_every_file_that_the_page_names_exists(page: str, repository: Path) -> None:
    names = set(FILE.findall(page))
    assert len(names) >= 8
    assert [name for name in names if not (repository / name).is_file()] == []
