"""Files and modules that docs, docstrings and comments name exist; what was moved is renamed there too."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDERS = ("pipeline", "model", "flows", "tests", "docs", "data", "configs", ".ci")
SUFFIXES = (".py", ".md", ".toml", ".yaml", ".yml")
# not CHANGELOG.md, which tells of what was
PAGES = ("README.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml", "prefect.yaml", ".pre-commit-config.yaml")
FILE = re.compile(rf"(?<![\w/.:-])(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./-]*\w\.(?:py|md|npz|ftz|toml)\b")
BARE = re.compile(r"(?<![\w/.*-])[A-Za-z_][\w-]*\.(?:py|md)\b")
MODULE = re.compile(r"(?<![\w/.])(?:pipeline|flows|tests)(?:\.\w+)+")  # not model: model.depth is a key of recipes
NEW = re.compile(r"<!-- new: (\S+) -->")  # a file that an example of CONTRIBUTING.md makes
ELSEWHERE = {
    "openai_public.py",  # tiktoken's
    "card.md",  # of a classifier's folder
    "ATTRIBUTION.md",  # what `tokenmill licences` writes
}


@pytest.fixture(scope="module")
def prose(repository: Path) -> list[tuple[str, str]]:
    """Every page, docstring and comment, with its file."""
    paths = [repository / name for name in PAGES]
    for folder in FOLDERS:
        paths += sorted(path for path in (repository / folder).rglob("*") if path.suffix in SUFFIXES)
    return [(path.relative_to(repository).as_posix(), text) for path in paths if path.exists() for text in texts(path)]


@pytest.fixture(scope="module")
def files(repository: Path, prose: list[tuple[str, str]]) -> set[str]:
    """Every file that may be named."""
    paths = [path for folder in FOLDERS for path in (repository / folder).rglob("*")]
    there = {path.relative_to(repository).as_posix() for path in [*paths, *repository.iterdir()] if path.is_file()}
    return there | ELSEWHERE | {name for _, text in prose for name in NEW.findall(text)}


def texts(path: Path) -> Iterator[str]:
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield source
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node, clean=False) or ""


def test_every_file_that_is_named_with_its_folder_exists(files: set[str], prose: list[tuple[str, str]]) -> None:
    found = [(place, name) for place, text in prose for name in FILE.findall(text)]
    assert len(found) > 50
    assert [(place, name) for place, name in found if name not in files] == []


def test_every_file_that_is_named_alone_exists(files: set[str], prose: list[tuple[str, str]]) -> None:
    names = {file.rpartition("/")[2] for file in files}
    found = [(place, name) for place, text in prose for name in BARE.findall(text)]
    assert len(found) > 20
    assert [(place, name) for place, name in found if name not in names] == []


def test_every_module_that_is_named_exists(repository: Path, files: set[str], prose: list[tuple[str, str]]) -> None:
    found = [(place, name) for place, text in prose for name in MODULE.findall(text)]
    assert len(found) > 30
    assert [(place, name) for place, name in found if not is_there(repository, name, files)] == []


def is_there(repository: Path, name: str, files: set[str]) -> bool:
    """Whether it is a folder, a module, or a name that is defined or imported in one."""
    place = name.replace(".", "/")
    if f"{place}.py" in files or f"{place}/__init__.py" in files:
        return True
    above, _, last = name.rpartition(".")
    module = repository / above.replace(".", "/")
    module = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
    return module.is_file() and re.search(rf"\b{last}\b", module.read_text(encoding="utf-8")) is not None
