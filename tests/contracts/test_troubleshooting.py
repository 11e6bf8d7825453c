"""Every message that docs/troubleshooting.md quotes still stands in the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

QUOTED = re.findall(r"^> `(.+)`$", (REPOSITORY / "docs/troubleshooting.md").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def texts(repository: Path) -> list[str]:
    """Every string of the code, with ``…`` where a value is put in."""
    files = [path for folder in ("pipeline", "model", "flows") for path in (repository / folder).rglob("*.py")]
    return [text for path in files for text in strings(ast.parse(path.read_text()))]


def strings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_the_page_quotes_messages() -> None:
    assert len(QUOTED) > 20


@pytest.mark.parametrize("message", QUOTED)
def test_message_stands_in_the_code(message: str, texts: list[str]) -> None:
    assert any(message in text for text in texts), f"no such message in the code: {message}"
