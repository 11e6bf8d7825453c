"""Files of text are read and written in a named encoding: in the one of the locale, a run would have other bytes."""

import ast
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

MODULES = sorted(path for room in ("pipeline", "flows", "model") for path in (REPOSITORY / room).rglob("*.py"))
KERNELS = REPOSITORY / "pipeline/kernels"  # any change of these files compiles all of them anew: they read /proc only
TAKES = {"read_text": 0, "write_text": 1, "open": 1, "fdopen": 1}  # positional arguments before the encoding


def nameless(path: Path) -> list[str]:
    """Calls that open text in the encoding of the locale, by their line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in ("open", "fdopen"):
            is_text = (name == "fdopen" or isinstance(node.func, ast.Name)) and not binary(node)
        else:
            is_text = name in TAKES and len(node.args) <= TAKES[name] and isinstance(node.func, ast.Attribute)
        if is_text and not any(keyword.arg == "encoding" for keyword in node.keywords):
            found.append(f"{path.relative_to(REPOSITORY)}:{node.lineno}")
    return found


def binary(call: ast.Call) -> bool:
    modes = [*call.args[1:2], *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    return any(isinstance(mode, ast.Constant) and "b" in str(mode.value) for mode in modes)


@pytest.mark.parametrize("text", ["p.read_text()", "p.write_text(x)", "open(p)", 'open(p, "w")', "os.fdopen(1)"])
def test_a_call_without_an_encoding_is_found(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.REPOSITORY", tmp_path)
    path = tmp_path / "module.py"
    path.write_text(f"{text}\np.read_text('utf-8')\nopen(p, 'rb')\np.write_text(x, encoding='utf-8')\n")
    assert nameless(path) == ["module.py:1"]


def test_every_file_of_text_is_opened_in_a_named_encoding() -> None:
    assert len(MODULES) > 200
    assert [line for path in MODULES if KERNELS not in path.parents for line in nameless(path)] == []
