"""What a dry run says of the sources, and how near its estimate comes to what the stages then make."""

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from flows.session.preview import preview
from flows.session.stages import STAGES
from pipeline.base.pool import InProcess
from pipeline.clean.stage import run as clean
from pipeline.preview.room import free_bytes, too_little
from pipeline.preview.sources import look_at_sources
from pipeline.proposal.estimate import estimate
from pipeline.proposal.sample import MOST_ALONE, MOST_WHOLE
from pipeline.recipe.load import load_recipe
from pipeline.recipe.options import Recipe
from pipeline.run.context import Context
from pipeline.run.engine import load_function
from pipeline.run.folder import Run
from pipeline.run.stages import StagePlan

SENTENCE = "The valve on the third pump is closed by hand before the filter number {} is taken out. "
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"


def text(number: int, sentences: int = 12) -> str:
    return "".join(SENTENCE.format(number * 50 + n) for n in range(sentences))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Texts, a large compressed JSON Lines file, and what nobody reads."""
    place = tmp_path / "in"
    place.mkdir()
    for number in range(60):
        (place / f"{number}.txt").write_text(text(number))
    lines = [json.dumps({"title": f"T {n}", "text": text(n, 80)}) for n in range(900)]
    (place / "mail.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode(), 1))
    (place / "a.png").write_bytes(PNG)
    (place / "loose").symlink_to("nowhere")
    return place


def recipe(folder: Path, *overrides: str) -> Recipe:
    path = folder.parent / "recipe.toml"
    path.write_text('[[sources]]\nname = "s"\npaths = ["in"]\n[filter]\npreset = "own"\n')
    return load_recipe(path, overrides)


def test_sources_are_described_by_kind_with_columns_and_what_is_not_read(folder: Path) -> None:
    (looked,) = look_at_sources(recipe(folder))
    assert list(looked.lines())[1:] == [
        "  columns of mail.jsonl.gz: title, text",
        "  not read: 1 link to nothing, 1 PNG picture",
    ]
    assert next(looked.lines()).endswith("MB: text 60, jsonl 1")
    assert looked.as_dict()["formats"] == {"jsonl": 1, "text": 60}


def test_files_that_the_recipe_leaves_out_are_counted(folder: Path) -> None:
    sources = [{"name": "files", "paths": [str(folder)], "exclude": ["*.png", "1.txt"]}]
    looked = look_at_sources(Recipe.model_validate({"stages": ["clean"], "sources": sources}))[0]
    assert next(looked.lines()).endswith("; 2 others left out by include and exclude")


def test_estimate_is_near_what_the_clean_stage_makes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.proposal.sample.SAMPLE_BYTES", 60_000)
    monkeypatch.setattr("pipeline.proposal.sample.PIECE_BYTES", 30_000)
    wanted = recipe(folder, "stages=['clean']", "clean.max_quarantined=1")
    found = estimate(wanted)
    run = Run(str(tmp_path / "run"), wanted)
    run.write_recipe()
    made = clean(Context(run, InProcess()))
    assert made["documents"] == 960
    assert abs(found.documents - 960) < 0.1 * 960
    assert 0 < found.share < 1
    assert found.seconds > 0
    assert not list((tmp_path / "run").glob(".scratch/*"))


def test_estimate_of_what_is_small_is_what_the_stages_make(folder: Path, tmp_path: Path) -> None:
    (folder / "mail.jsonl.gz").unlink()
    lines = [json.dumps({"text": text(100 + n % 40, 30)}) for n in range(50)]
    (folder / "mail.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    with zipfile.ZipFile(folder / "old.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(20):
            archive.writestr(f"{number}.txt", text(500 + number, 30))
    wanted = recipe(folder, "tokenize.vocabulary_size=512", "filter.preset=clean")
    found = estimate(wanted)
    assert found.whole
    run = Run(str(tmp_path / "run"), wanted)
    run.write_recipe()
    context = Context(run, InProcess())
    made = {stage: load_function(STAGES[stage])(context) for stage in ("clean", "dedup", "filter", "tokenize")}
    assert round(found.documents) == made["clean"]["documents"] == 130
    assert round(found.unique) == made["dedup"]["kept"] == 120
    assert round(found.kept.documents) == made["filter"]["kept"]
    assert abs(found.tokens(wanted.tokenize) / made["tokenize"]["tokens"] - 1) < 0.03


def test_dry_run_tells_kept_share_tokens_minutes_and_disk(folder: Path, tmp_path: Path) -> None:
    run = Run(str(tmp_path / "run"), recipe(folder))
    found = preview(run, [StagePlan("clean", "run"), StagePlan("train", "after")], workers=2)
    assert found is not None
    words = "\n".join(found.lines())
    assert "the rules keep" in words
    assert "estimate: under a minute for the curation with 2 workers; training: " in words
    assert "GB are free on its disk" in words
    assert found.as_dict()["estimate"]["documents"] == round(found.estimate.documents)
    assert not (tmp_path / "run").exists()
    assert preview(run, [StagePlan("clean", "done"), StagePlan("train", "run")], workers=2) is None


def test_file_too_large_to_be_read_whole_gives_no_estimate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.proposal.sample.SAMPLE_BYTES", MOST_WHOLE)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/book.txt").write_text(text(1, MOST_WHOLE // 60))
    found = estimate(recipe(tmp_path / "in"))
    assert found.documents == 1, "the only file is read all the same"
    monkeypatch.setattr("pipeline.proposal.sample.MOST_ALONE", MOST_WHOLE)
    found = estimate(recipe(tmp_path / "in"))
    assert found.why_none == f"no estimate: every file is larger than {MOST_ALONE:,} bytes and must be read whole"


def test_disk_with_too_little_room_is_told(tmp_path: Path) -> None:
    free = free_bytes(str(tmp_path / "not/yet/there"))
    assert free is not None
    assert too_little(str(tmp_path), free / 2, "an estimate") == ""
    assert "GB are free on its disk; make room" in too_little(str(tmp_path), 2 * free, "an estimate")
    assert too_little("s3://bucket/run", 1e30, "an estimate") == ""
