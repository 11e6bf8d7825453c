"""`tokenmill init`: what it finds in a folder, and that the recipe it writes is the one that reads it."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.cli.files.init import init
from pipeline.base.errors import UserError
from pipeline.clean.stage import plan_jobs
from pipeline.proposal import sizes, sources
from pipeline.proposal.write import choose_preset
from pipeline.recipe import depth
from pipeline.recipe.load import load_recipe
from pipeline.recipe.presets import PRESETS

SENTENCE = "The valve on the third pump is closed by hand before the filter is taken out, number {}. "
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"


def manual(number: int) -> str:
    return "".join(SENTENCE.format(number * 10 + n) for n in range(6))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Manuals as text and HTML, pictures, tickets in a Parquet file and in JSON Lines with columns of their own."""
    place = tmp_path / "manuals"
    (place / "img").mkdir(parents=True)
    for number in range(12):
        (place / f"pump {number}.md").write_text(f"# Pump {number}\n\n{manual(number)}")
        (place / f"page{number}.html").write_text(f"<html><body><p>{manual(100 + number)}</p></body></html>")
        (place / "img" / f"{number}.png").write_bytes(PNG)
    bodies = [manual(200 + number) for number in range(20)]
    table = {"document_id": [f"T-{n}" for n in range(20)], "Content": bodies, "state": ["open"] * 20}
    pq.write_table(pa.table(table), place / "tickets.parquet")
    lines = [json.dumps({"title": f"Ticket {n}", "body": manual(300 + n), "link": f"https://x/{n}"}) for n in range(20)]
    (place / "mail.jsonl").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    return place


def answer(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_every_file_is_counted_once_and_the_recipe_reads_them_all(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(str(folder), workers=1, json=True) == 0
    found = answer(capsys)
    assert found["formats"] == {"html": 12, "jsonl": 1, "parquet": 1, "text": 12}
    assert found["unsupported"] == {"image/png": 12}
    assert found["files"] == 38
    recipe = load_recipe(found["recipe"])
    read = {part["path"] for job in plan_jobs(recipe) for part in job.config["parts"]}
    assert len([part for job in plan_jobs(recipe) for part in job.config["parts"]]) == len(read) == 38
    assert found["sample"]["documents"] == 64, "12 and 12 files, 20 and 20 records"


def test_columns_that_hold_the_text_are_found_and_said_why(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(str(folder), workers=1, json=True) == 0
    by_name = {source.name: source for source in load_recipe(answer(capsys)["recipe"]).sources}
    assert by_name["parquet"].fields == {"text": "Content", "id": "document_id"}
    assert by_name["jsonl"].fields == {"text": "body", "url": "link"}
    assert (
        "# tickets.parquet has the columns document_id, Content, state" in (folder.parent / "manuals.toml").read_text()
    )


def test_paths_below_the_recipe_are_relative_and_others_absolute(folder: Path, tmp_path: Path) -> None:
    assert init(str(folder), workers=1) == 0
    assert 'paths = ["manuals"]' in (tmp_path / "manuals.toml").read_text()
    elsewhere = tmp_path / "recipes" / "own.toml"
    assert init(str(folder / "page1.html"), output=elsewhere, workers=1) == 0
    assert f'paths = ["{folder}/page1.html"]' in elsewhere.read_text()


def test_recipe_that_stands_there_is_not_overwritten(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "manuals.toml").write_text("# mine\n")
    with pytest.raises(UserError, match="--overwrite"):
        init(str(folder), workers=1)
    assert (tmp_path / "manuals.toml").read_text() == "# mine\n"


def test_folder_of_pictures_is_refused_with_what_is_in_it(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no file that is read; .*not read: image/png 12"):
        init(str(folder / "img"), workers=1)
    assert not (tmp_path / "img.toml").exists()


def test_preset_that_is_asked_for_is_the_one_in_the_recipe(folder: Path, tmp_path: Path) -> None:
    assert init(str(folder / "page1.html"), output=tmp_path / "a.toml", preset="clean", workers=1) == 0
    assert load_recipe(tmp_path / "a.toml").filter.preset == "clean"
    assert all(name in (tmp_path / "a.toml").read_text() for name in PRESETS), "with what the others are for"


def test_manuals_get_the_rules_for_own_text(folder: Path) -> None:
    from pipeline.proposal import trial, write

    found = sources.look([str(folder)])
    tried = trial.attempt(write.source_tables([str(folder)], sources.propose(found)), 1)
    assert choose_preset(found, tried)[0] == "own"


@pytest.mark.parametrize("gpu", [True, False])
@pytest.mark.parametrize("tokens", [0, 10_000, 1_000_000, 30_000_000, 3_000_000_000])
def test_sizes_grow_with_the_tokens_and_never_pass_four_epochs(tokens: int, gpu: bool) -> None:
    found = sizes.sizes(tokens, cores=2, gpu=gpu)
    larger = sizes.sizes(tokens * 10, cores=2, gpu=gpu)
    assert (found.depth, found.vocabulary_size, found.context_length) <= (
        larger.depth,
        larger.vocabulary_size,
        larger.context_length,
    )
    assert found.global_batch_tokens % found.context_length == 0
    blocks = 12 * found.depth * (depth.HEAD_WIDTH * found.depth) ** 2
    if found.steps > 20:
        assert (found.steps - 1) * found.global_batch_tokens <= min(4 * tokens, 20 * blocks)
    if not gpu and found.seconds is not None:
        assert found.seconds <= sizes.CPU_SECONDS
