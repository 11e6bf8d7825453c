"""No command overwrites an output that holds something, unless it is told to; a refused command changes nothing."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from flows.cli.commands import build_app
from pipeline.base.errors import UserError
from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run
from tests.contracts.commands import commands
from tests.trees import tree

WRITES = {"output", "removed"}  # options that name what a command writes

# the command line of each command with such an option; {there} is what holds something
CASES: dict[tuple[str, ...], tuple[str, list[str]]] = {
    ("init",): ("there.toml", ["texts.jsonl.gz", "--output", "{there}"]),
    ("export",): ("there", ["run", "--output", "{there}"]),
    ("report",): ("there.html", ["run", "other", "--output", "{there}"]),
    ("licences",): ("there.md", ["run", "--output", "{there}"]),
    ("disclose",): ("there.md", ["run", "--output", "{there}"]),
    ("documents", "export"): ("there", ["run", "--output", "{there}"]),
    ("tokens", "export"): ("there.bin", ["run", "--output", "{there}"]),
    ("tokens", "import"): (
        "there/tokens/train",
        ["none", "--output", "there", "--tokenizer", "tokenizer.json", "--layout", "nanogpt"],
    ),
    ("classifier", "train"): ("there", ["--positive", "none", "--negative", "none", "--output", "{there}"]),
    ("dedup", "run"): ("there", ["texts.jsonl.gz", "--output", "{there}"]),
    ("dedup", "index", "add"): ("there.arrow", ["index", "texts.jsonl.gz", "--removed", "{there}"]),
    ("dedup", "index", "query"): ("there.arrow", ["index", "texts.jsonl.gz", "--output", "{there}"]),
}
# outputs that are no option: the page beside a run's report, and the folder of a new index
MORE = {
    ("report",): ("run/report/and-other.html", ["run", "other"]),
    ("tokens", "export"): ("there", ["run", "--output", "{there}", "--layout", "nanogpt"]),
    ("dedup", "index", "build"): ("there", ["{there}", "texts.jsonl.gz"]),
}
WITHOUT_OVERWRITE = {("dedup", "index", "build")}  # `index add` goes on with an index; another is named anew
TOKENIZER = {"model": {"vocab": {"a": 0}}, "added_tokens": [{"id": 1, "content": "<|endoftext|>", "special": True}]}


@pytest.fixture(scope="module")
def options() -> dict[tuple[str, ...], set[str]]:
    """The names of the options of every command, without dashes."""
    found = {}
    for path, app in commands(build_app([]), ()):
        names = {name for argument in app.assemble_argument_collection() for name in argument.names}
        found[path] = {name.removeprefix("--") for name in names if name.startswith("--")}
    return found


def test_every_command_that_names_an_output_is_tried_and_has_the_option(
    options: dict[tuple[str, ...], set[str]],
) -> None:
    writing = {path for path, names in options.items() if names & WRITES}
    assert writing == set(CASES)
    assert {path for path in writing if "overwrite" not in options[path]} == set()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two runs, an input and a tokenizer."""
    (tmp_path / "recipe.toml").write_text('[[sources]]\nname = "s"\npaths = ["texts.jsonl.gz"]\n')
    for name in ("run", "other"):
        Run(str(tmp_path / name), load_recipe(tmp_path / "recipe.toml")).write_recipe()
    with gzip.open(tmp_path / "texts.jsonl.gz", "wt") as file:
        file.write(json.dumps({"text": "one two three four five six"}) + "\n")
    (tmp_path / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arguments_of(path: tuple[str, ...], place: str, rest: list[str]) -> list[str]:
    return [*path, *(argument.format(there=place) for argument in rest)]


@pytest.mark.parametrize(
    ("path", "case"), [*CASES.items(), *MORE.items()], ids=lambda value: value[-1] if isinstance(value[-1], str) else ""
)
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_output_that_holds_something_stays_as_it_is(
    path: tuple[str, ...], case: tuple[str, list[str]], kind: str, folder: Path
) -> None:
    place, rest = case
    there = folder / place
    there.parent.mkdir(parents=True, exist_ok=True)
    if kind == "folder":
        there.mkdir()
        (there / "model.safetensors").write_text("a week of training")
    else:
        there.write_text("a week of writing")
    before = tree(folder)
    arguments = arguments_of(path, place, rest)
    with pytest.raises(UserError) as refused:
        build_app(arguments)(arguments)
    assert tree(folder) == before
    assert Path(place).name in str(refused.value)
    if path not in WITHOUT_OVERWRITE and "--overwrite" not in str(refused.value):
        words = ("a file is there", "is a file", "something else than", "name another")
        assert any(word in str(refused.value) for word in words), refused.value


def test_empty_output_and_replaced_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def licences(*more: str) -> Any:
        arguments = ["report", "run", "other", "--output", "page.html", *more]
        return build_app(arguments)(arguments)

    page = folder / "page.html"
    page.touch()
    assert licences() == 0
    assert page.stat().st_size > 1000
    page.write_text("another")
    with pytest.raises(UserError, match=r"--output page.html: holds a file of 7 bytes; name another, or replace it"):
        licences()
    assert licences("--overwrite") == 0
    assert page.stat().st_size > 1000
