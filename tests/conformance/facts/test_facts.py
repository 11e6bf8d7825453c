"""The measures of facts about texts, tried on a few files."""

import json
from pathlib import Path

import pytest

from tests.conformance.facts import figures, run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A suite of encodings with a few files, and none of the others."""
    place = tmp_path / "suites" / "char-dataset"
    text = "Мельница стоит у реки и мелет зерно для всей деревни. " * 12
    files = {
        "windows_1251/a.txt": text.encode("cp1251"),
        "utf_16/b.txt": text.encode("utf-16"),
        "None/c.bin": bytes(64),
    }
    files |= {"None/c.bin": bytes(64)}
    for name, data in {**files, "koi8_r/wrong.txt": text.encode("cp1251"), "README.md": b"about"}.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    return tmp_path / "suites"


def test_suite_that_is_there_is_measured_and_the_others_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["--suites", str(folder), "--no-fetch"]) == 0
    said = capsys.readouterr().out
    assert "char-dataset: text is that of the file's codec: 2 of 3" in said
    assert "char-dataset: no text, and refused: 1 of 1" in said
    assert f"not run: decon: no clone of https://github.com/allenai/decon at {folder / 'decon'}" in said
    with pytest.raises(SystemExit):
        run.main(["--suites", str(folder), "--only", "nothing"])
    assert run.main(["--suites", str(folder / "none"), "--no-fetch", "--only", "decon"]) == 1


def test_table_shows_every_figure_of_the_results() -> None:
    results = json.loads(figures.RESULTS.read_text(encoding="utf-8"))
    lines = list(figures.table(results))
    count = sum(len(suite["figures"]) for suite in results["suites"])
    assert [suite["suite"] for suite in results["suites"]] == run.known()
    assert sum(line.startswith("| ") for line in lines) == count + 1
    assert figures.Figure("x", 0.25, 4, mean=True).shown() == "25.0%, mean of 4"
