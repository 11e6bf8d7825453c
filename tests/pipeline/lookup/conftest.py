"""A small run of files as people have them: pages, notes, a JSON Lines file, a picture, damage, an empty file."""

import json
import zipfile
from pathlib import Path

import pytest

from flows.session.stages import run_stage, working_context
from pipeline.base.pool import InProcess
from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run

RECIPE = """
name = "found"
stages = ["clean", "filter"]

[[sources]]
name = "docs"
paths = ["raw/docs"]

[[sources]]
name = "rows"
paths = ["raw/rows.jsonl"]

[filter]
rules = ["gopher_quality"]
min_language_score = 0.0
[filter.gopher_quality]
min_words = 20
"""
PROSE = (
    "The harbour of our town was dug by hand in the years before the war, and two hundred men worked on it for three "
    "winters, because the fields needed them in summer and the sea was too warm to stand in for long."
)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


def write_inputs(folder: Path) -> Path:
    docs = folder / "raw/docs"
    for name in ("sub", "guide/sql", "guide/old"):
        (docs / name).mkdir(parents=True)
    (docs / "README.md").write_text(f"{PROSE} The first of the two notes.")
    (docs / "sub/README.md").write_text(f"{PROSE} The second of the two notes.")
    page = f"<html><body><h1>SELECT</h1><p>{PROSE}</p><p>Rows  are\nretrieved from a Table.</p></body></html>"
    (docs / "guide/sql/sql-select.html").write_text(page)
    (docs / "guide/sql/sql-insert.html").write_text("<html><body><p>Rows come in.</p></body></html>")
    (docs / "guide/old/Übersicht.txt").write_text(f"{PROSE} Straße und Hafen.")
    (docs / "guide/logo.png").write_bytes(PNG)
    (docs / "broken.txt").write_bytes(b"secret words of a broken file \x00\xff\xfe\x01" + bytes(range(256)) * 40)
    (docs / "empty.txt").write_bytes(b"")
    with zipfile.ZipFile(docs / "old.zip", "w") as archive:
        archive.writestr("inner/letter.txt", f"{PROSE} A letter from an archive.")
    rows = [{"text": f"{PROSE} Row {n}.", "id": f"row {n}", "url": f"https://example.org/{n}/"} for n in range(30)]
    lines = [json.dumps(row) for row in rows]
    (folder / "raw/rows.jsonl").write_text("\n".join([*lines[:5], '{"text": "a broken line', *lines[5:]]) + "\n")
    (folder / "recipe.toml").write_text(RECIPE)
    return folder / "recipe.toml"


@pytest.fixture(scope="session")
def found_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("found")
    run = Run(str(folder / "run"), load_recipe(write_inputs(folder), ["clean.max_quarantined=1.0"]))
    with run.lock():
        run.write_recipe()
        for stage in run.recipe.stages:
            run_stage(stage, working_context(run, InProcess()))
    return Run.open(run.root)
