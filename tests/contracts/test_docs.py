"""The pages hold together: each is reached from the index, says what it is for, and names what exists."""

import ast
import importlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import pytest

from flows.cli.commands import build_app
from pipeline import __version__
from tests.conftest import REPOSITORY
from tests.contracts import markdown

GENERATED = ("cli.md", "recipes.md", "formats.md")
PAGES = [path.relative_to(REPOSITORY).as_posix() for path in markdown.pages(REPOSITORY)]
MAX_LINE = 120


def read(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def targets(name: str) -> list[tuple[Path, str]]:
    """File and anchor of each relative link of a page."""
    found = []
    for link in markdown.links(read(name)):
        path, _, anchor = link.partition("#")
        found.append(((REPOSITORY / name).parent.joinpath(path).resolve() if path else REPOSITORY / name, anchor))
    return found


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    for path, anchor in targets(name):
        assert path.exists(), path
        if anchor:
            assert anchor in markdown.anchors(path.read_text(encoding="utf-8")), f"{path.name}#{anchor}"


def test_every_page_is_reached_from_the_index() -> None:
    direct = {path for path, _ in targets("docs/index.md")}
    assert len(direct) > 15
    second = {path for page in direct if page.suffix == ".md" for path, _ in targets(str(page.relative_to(REPOSITORY)))}
    pages = set((REPOSITORY / "docs").rglob("*.md")) - {REPOSITORY / "docs/index.md"}
    assert sorted(path.name for path in pages - direct - second) == []


@pytest.mark.parametrize("name", PAGES)
def test_page_begins_by_saying_what_it_is_for(name: str) -> None:
    title, _, rest = read(name).partition("\n")
    assert title.startswith("# ")
    first = rest.strip().split("\n\n")[0]
    assert not first.startswith(("|", "#", "-", "!", "```")), "a page begins with a sentence"
    assert "." in first or ":" in first


@pytest.mark.parametrize("name", [page for page in PAGES if Path(page).name not in GENERATED])
def test_lines_are_at_most_120_characters_but_in_tables_and_blocks(name: str) -> None:
    prose = markdown.prose(read(name))
    assert [line for line in prose.splitlines() if len(line) > MAX_LINE and not line.startswith(("|", "!["))] == []


@cache
def options(path: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """The sub-commands below a command, and the options that it takes."""
    app: Any = build_app(list(path))
    for name in path:
        app = app[name]
    if app.default_command is None:
        return [name for name in app if not name.startswith("-")], ["--help", "--version"]
    return [], ["--help", *(name for argument in app.assemble_argument_collection() for name in argument.names)]


@pytest.mark.parametrize("name", [page for page in PAGES if Path(page).name not in ("CHANGELOG.md", *GENERATED)])
def test_every_command_that_a_page_names_exists_with_its_options(name: str) -> None:
    for line in markdown.command_lines(read(name)):
        _, *rest = markdown.words(line)
        path: tuple[str, ...] = ()
        while rest and options(path)[0] and not rest[0].startswith("-"):
            choices = rest.pop(0).split("|")
            assert set(choices) <= set(options(path)[0]), f"{line}: no command {choices}"
            path = (*path, choices[0])
        given = [word.partition("=")[0] for word in rest if re.match(r"--[a-z]", word)]
        assert set(given) <= set(options(path)[1]), f"{line}: {given}"


def test_an_option_that_does_not_exist_would_be_noticed() -> None:
    assert "--threshold" in options(("dedup", "run"))[1]
    assert "--treshold" not in options(("dedup", "run"))[1]
    assert "run" in options(())[0]
    assert sum(len(list(markdown.command_lines(read(name)))) for name in PAGES if Path(name).name not in GENERATED) > 80


def commands_of_other_programs(name: str, pattern: str) -> set[str]:
    """What follows ``pattern`` in blocks and inline code of a page."""
    page = read(name)
    texts = [block.text for block in markdown.blocks(page)] + markdown.INLINE_CODE.findall(markdown.prose(page))
    return {found for text in texts for found in re.findall(pattern, text)}


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([\w-]+):", read("Makefile"), re.MULTILINE))
    named = {
        found for name in PAGES for found in commands_of_other_programs(name, r"(?:^|\n)(?:\.venv/bin/)?make ([a-z-]+)")
    }
    assert {"setup", "demo", "test"} <= named
    assert named - targets == set()


def test_every_module_that_a_page_runs_exists() -> None:
    named = {found for name in PAGES for found in commands_of_other_programs(name, r"python3? -m ([\w.]+)")}
    assert len(named) > 5
    assert [name for name in sorted(named) if not stands_on_the_path(name)] == []


def stands_on_the_path(module: str) -> bool:
    """Whether a module's file is found, without the import hooks that a package may have put before the path."""
    *packages, last = module.split(".")
    places: Sequence[str] | None = None
    for package in packages:
        found = PathFinder.find_spec(package, places)
        places = found.submodule_search_locations if found else None
        if places is None:
            return False
    return PathFinder.find_spec(last, places) is not None


def test_changelog_has_a_part_for_each_kind_of_change_in_each_version() -> None:
    first, *versions = re.split(r"^## ", read("CHANGELOG.md"), flags=re.MULTILINE)
    assert "Keep a Changelog" in first
    assert versions[0].startswith("Unreleased\n")
    assert versions[1].startswith(f"{__version__}\n")
    for version in versions:
        kinds = re.findall(r"^### (.+)$", version, re.MULTILINE)
        assert len(kinds) == len(set(kinds))
        assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
        before = version.partition("### ")[0]
        assert not re.search(r"^- ", before, re.MULTILINE), "each change stands under its kind"


def test_every_name_that_an_example_imports_from_us_exists() -> None:
    found = 0
    for name in PAGES:
        for block in markdown.blocks(read(name)):
            if block.language != "python" or block.marker or ">>>" in block.text:  # run by a test of its own
                continue
            for node in ast.walk(ast.parse(block.text)):
                if isinstance(node, ast.ImportFrom) and str(node.module).startswith(("pipeline", "model", "flows")):
                    module = importlib.import_module(str(node.module))
                    assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == [], name
                    found += 1
    assert found >= 4
