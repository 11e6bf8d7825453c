"""The floors of docs/architecture.md: every import goes down the list, and no files import each other in a circle.

Imports inside functions count, and so do functions that are named as ``"module:name"`` and loaded later; those under
``if TYPE_CHECKING`` do not.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGES = ("pipeline", "model", "flows")
NAMED = re.compile(r"((?:pipeline|model|flows)(?:\.\w+)+):\w+")
FACES = ("pipeline/interop", "pipeline/bench", "pipeline/bench/recipe")  # they know all, and nobody inside knows them


def test_every_folder_stands_on_one_floor(repository: Path) -> None:
    listed = floors(repository)
    rooms = {room_of(path, repository) for path in modules(repository).values()}
    assert sorted(listed) == sorted(rooms)
    assert len(listed) == len(set(listed))


def test_every_import_goes_down(repository: Path) -> None:
    place = {room: number for number, room in enumerate(floors(repository))}
    arrows = list(room_arrows(repository))
    assert len(arrows) > 500  # the reading below finds imports at all
    assert [arrow for arrow in arrows if place[arrow[1]] > place[arrow[3]]] == []


def test_no_files_import_each_other_in_a_circle(repository: Path) -> None:
    graph = {name: set(uses) for name, uses in imports(repository).items()}
    while leaves := [name for name, uses in graph.items() if not uses]:
        for leaf in leaves:
            del graph[leaf]
        for uses in graph.values():
            uses.difference_update(leaves)
    assert graph == {}  # every file that is left is part of a circle, or stands above one


@pytest.mark.parametrize("face", FACES)
def test_nobody_inside_imports_a_face(repository: Path, face: str) -> None:
    users = [arrow[0] for arrow in room_arrows(repository) if arrow[3] == face]
    assert [user for user in users if not user.startswith(("flows.cli.", "model.bench.", "pipeline.bench."))] == []


def test_rooms_are_small(repository: Path) -> None:
    sizes: dict[str, int] = {}
    for path in modules(repository).values():
        if path.name != "__init__.py":
            sizes[folder_of(path, repository)] = sizes.get(folder_of(path, repository), 0) + 1
    assert {folder: size for folder, size in sizes.items() if size > 16 and folder != "pipeline/kernels"} == {}
    assert sizes["pipeline"] <= 3


def floors(repository: Path) -> list[str]:
    """The list in docs/architecture.md, from the top down."""
    text = (repository / "docs" / "architecture.md").read_text(encoding="utf-8")
    block = text.split("```floors\n", 1)[1].split("```", 1)[0]
    return [line.split()[0] for line in block.splitlines() if line.strip()]


def modules(repository: Path) -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in sorted((repository / package).rglob("*.py")):
            parts = path.relative_to(repository).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def folder_of(path: Path, repository: Path) -> str:
    return path.parent.relative_to(repository).as_posix()


def room_of(path: Path, repository: Path) -> str:
    """A folder is a room; a module that stands alone in ``pipeline/`` is one too."""
    folder = folder_of(path, repository)
    return path.relative_to(repository).as_posix() if folder == "pipeline" else folder


def room_arrows(repository: Path) -> Iterator[tuple[str, str, str, str]]:
    """For each import from one room to another: module, its room, the module it imports, that one's room."""
    known = modules(repository)
    for name, uses in imports(repository).items():
        for other in sorted(uses):
            room, below = room_of(known[name], repository), room_of(known[other], repository)
            if room != below:
                yield name, room, other, below


@cache
def imports(repository: Path) -> dict[str, set[str]]:
    known = modules(repository)
    return {name: imported(ast.parse(path.read_text(encoding="utf-8")), known) - {name} for name, path in known.items()}


def imported(tree: ast.AST, known: dict[str, Path]) -> set[str]:
    """Modules of ours that a module's code imports or names."""
    found: set[str] = set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found.update(name if name in known else node.module for name in names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named = NAMED.fullmatch(node.value)
            found.update([named[1]] if named else [])
        waiting += ast.iter_child_nodes(node)
    return found & known.keys()
