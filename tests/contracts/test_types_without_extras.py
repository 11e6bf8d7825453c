"""`make lint` says the same with and without the extra ``ci``: mypy looks into no package that only ``ci`` brings."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement

OURS = ("pipeline", "flows", "model", "tests", "tokenmill")


def test_mypy_passes_over_what_dev_does_not_install(repository: Path) -> None:
    settings = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    passed_over = settings["tool"]["mypy"]["overrides"][0]["module"]
    installed, owners = with_dev(), packages_distributions()
    names = {name for path in sources(repository) for name in imported(path)}
    foreign = {name for name in names if name.partition(".")[0] not in (*OURS, *sys.stdlib_module_names)}
    assert len(foreign) > 50  # the reading below finds imports at all
    missing = {
        name
        for name in foreign
        if not installed.intersection(map(normal, owners.get(name.partition(".")[0], ())))
        and not any(fnmatch(f"{name}.", pattern) for pattern in passed_over)
    }
    assert missing == set(), "add them to the first of pyproject.toml's [[tool.mypy.overrides]]"


def with_dev() -> set[str]:
    """The distributions that `.[dev]` installs here, with what they need in turn."""
    found: set[str] = set()
    waiting = [Requirement("tokenmill[dev]")]
    seen: set[str] = set()
    while waiting:
        wanted = waiting.pop()
        if str(wanted) in seen:
            continue
        seen.add(str(wanted))
        try:
            needs = distribution(wanted.name).requires or []
        except PackageNotFoundError:
            continue
        found.add(normal(wanted.name))
        extras = wanted.extras or {""}
        for need in map(Requirement, needs):
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(need)
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def sources(repository: Path) -> Iterator[Path]:
    yield repository / "tokenmill.py"
    for package in OURS[:-1]:
        yield from (repository / package).rglob("*.py")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
