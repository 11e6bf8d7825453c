"""What several tests share stands in modules of its own."""

import ast
from collections.abc import Iterator
from pathlib import Path


def test_no_test_imports_another(repository: Path) -> None:
    modules = sorted((repository / "tests").rglob("*.py"))
    assert len(modules) > 100
    found = [(path.relative_to(repository).as_posix(), name) for path in modules for name in imported(path)]
    assert [(user, name) for user, name in found if any(part.startswith("test_") for part in name.split("."))] == []


def test_every_folder_of_tests_is_a_package(repository: Path) -> None:
    folders = {path.parent for path in (repository / "tests").rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def imported(path: Path) -> Iterator[str]:
    """Modules that are imported, also inside functions; a name that is imported may be one."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
