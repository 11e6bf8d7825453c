"""Each heavy package is imported in one place."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

DOORS = {
    "torch": ("model/",),
    "prefect": ("flows/",),
    "datatrove": (
        *("pipeline/interop/", "pipeline/run/engines/", "pipeline/bench/"),
        *("pipeline/readers/datatrove.py", "pipeline/clean/datatrove.py", "pipeline/filter/datatrove.py"),
    ),
    "transformers": ("model/bench/programs/", "pipeline/bench/"),
}


@cache
def imported(path: Path) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return frozenset(found)


@pytest.mark.parametrize("package", DOORS)
def test_package_is_imported_only_behind_its_door(repository: Path, package: str) -> None:
    users = [
        path.relative_to(repository).as_posix()
        for folder in ("pipeline", "flows", "model")
        for path in sorted((repository / folder).rglob("*.py"))
        if package in imported(path)
    ]
    assert [user for user in users if not user.startswith(DOORS[package])] == []


@pytest.mark.parametrize(
    "module",
    [
        *("pipeline.recipe.load", "flows.cli.app", "flows.cli.commands", "flows.cli.run", "flows.session.stages"),
        *("pipeline.filter.stage", "pipeline.tokens.stage"),  # planning a finished run does no work
    ],
)
def test_light_module_loads_nothing_heavy(module: str) -> None:
    heavy = {"torch", "prefect", "numba", "datatrove", "tokenizers", "gigatoken", "pyarrow.compute"}
    code = f"import sys, {module}; print(sorted(set(sys.modules) & {heavy}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
