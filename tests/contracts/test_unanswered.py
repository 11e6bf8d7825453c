"""A disk or store that does not answer is never taken for an absent or damaged file.

Whoever goes on after an error of the project's own, as of something that is gone, lets ``UnansweredError`` through
first; and whoever takes errors of reading for damage lets the system's refusals through.
"""

import ast
from collections.abc import Iterator

from tests.conftest import REPOSITORY

BROAD = {"TokenmillError", "RunError"}  # classes that UnansweredError is one of
# handlers that carry what they met to another process, which ends with it
CARRIES = {
    "model/devices/world.py",  # to the other processes of a training
    "model/train.py",  # to the program above it
    "pipeline/run/engines/shard_work.py",  # to the process that waits for the batch
}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for folder in ("pipeline", "model", "flows"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            yield path.relative_to(REPOSITORY).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def named(handler: ast.ExceptHandler) -> set[str]:
    return {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)} if handler.type else set()


def raises(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(node, ast.Raise) for node in ast.walk(handler))


def swallowing(tree: ast.Module) -> Iterator[int]:
    """Lines of handlers that go on after any error of the project's, and of a store that did not answer with it."""
    for block in (node for node in ast.walk(tree) if isinstance(node, ast.Try)):
        let_through: set[str] = set()
        for handler in block.handlers:
            if named(handler) & BROAD and not raises(handler) and "UnansweredError" not in let_through:
                yield handler.lineno
            let_through |= named(handler) if raises(handler) else set()


def test_nobody_goes_on_as_if_something_was_gone_where_a_store_did_not_answer() -> None:
    found = [f"{path}:{line}" for path, tree in sources() if path not in CARRIES for line in swallowing(tree)]
    assert found == []


def test_the_check_sees_such_a_handler() -> None:
    taken = "try:\n    f()\nexcept RunError as error:\n    note(error)\n"
    passed = "try:\n    f()\nexcept UnansweredError:\n    raise\nexcept RunError as error:\n    note(error)\n"
    assert list(swallowing(ast.parse(taken))) == [3]
    assert list(swallowing(ast.parse(passed))) == []
