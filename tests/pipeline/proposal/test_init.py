"""`tokenmill init`: what it finds in a folder, and that the recipe it writes is the one that reads it."""

import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from flows.cli.files.init import init
from pipeline.base.errors import UserError
from pipeline.clean.stage import plan_jobs
from pipeline.proposal import sizes, sources
from pipeline.proposal.estimate import Estimate, Kept, of_presets
from pipeline.proposal.sample import groups_of
from pipeline.proposal.write import choose_preset
from pipeline.recipe import depth
from pipeline.recipe.load import load_recipe
from pipeline.recipe.options import Recipe
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
    with pytest.raises(UserError, match=r"no file that is read; .*not read: 12 PNG pictures"):
        init(str(folder / "img"), workers=1)
    assert not (tmp_path / "img.toml").exists()


def test_tables_without_a_text_are_left_out_and_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        (folder / f"settings{number}.json").write_text(json.dumps({"name": "pump", "version": number}))
    assert init(str(folder), workers=1) == 0
    assert "3 json files without a text left out, such as settings0.json (name, version)" in capsys.readouterr().out
    assert "**/*.json" in load_recipe("manuals.toml").sources[0].exclude
    (folder / "settings3.json").write_text(json.dumps({"text": manual(7)}))
    assert init(str(folder), workers=1, overwrite=True) == 0
    assert set(load_recipe("manuals.toml").sources[0].exclude) >= {f"settings{number}.json" for number in range(3)}
    read = {part["path"] for job in plan_jobs(load_recipe("manuals.toml")) for part in job.config["parts"]}
    assert {path for path in read if path.startswith("settings")} == {"settings3.json"}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("source", "doc/api/single-executable-applications-of-the-third-kind.md"),
        ("link", "https://pumps.example/manuals/third/edition/index.html?page=12"),
        ("本文", "三号泵的阀门在取出过滤器之前用手关闭。三号泵的阀门在取出过滤器之前用手关闭。再打开三号泵的阀门。"),
    ],
)
def test_long_path_or_link_is_no_text_and_a_script_without_spaces_is(folder: Path, column: str, value: str) -> None:
    for path in folder.glob("*.jsonl"):
        path.unlink()
    (folder / "odd.jsonl").write_text(json.dumps({column: value, "n": 1}) + "\n")
    found = {source.name: source.fields for source in sources.propose(sources.look([str(folder)]))}
    assert found.get("jsonl") == ({"text": column} if column == "本文" else None)


def test_tables_of_one_kind_with_other_columns_are_sources_of_their_own(folder: Path) -> None:
    (folder / "notes.jsonl").write_text(json.dumps({"note": manual(7)}) + "\n")
    assert init(str(folder), workers=1) == 0
    made = {source.name: source for source in load_recipe("manuals.toml").sources}
    assert (made["jsonl"].fields["text"], made["jsonl"].include) == ("body", ["mail.jsonl"])
    assert (made["jsonl-2"].fields["text"], made["jsonl-2"].include) == ("note", ["notes.jsonl"])


def test_recipe_and_run_in_the_folder_of_the_files_are_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert init(".", workers=1) == 0
    first = (folder / "manuals.toml").read_text()
    (folder / "runs/manuals/report").mkdir(parents=True)
    (folder / "runs/manuals/report/index.html").write_text("<p>of the run</p>")
    assert init(".", workers=1, overwrite=True) == 0
    assert (folder / "manuals.toml").read_text() == first
    read = {part["path"] for job in plan_jobs(load_recipe("manuals.toml")) for part in job.config["parts"]}
    assert not {path for path in read if path.startswith(("runs", "manuals.toml"))}
    with pytest.raises(UserError, match="is itself one of the files to look at"):
        init("manuals.toml", output=folder / "manuals.toml", workers=1, overwrite=True)


def test_folder_with_nothing_but_an_earlier_recipe_and_its_run_is_refused_with_what_to_do(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    assert init(str(folder), workers=1) == 0
    message = r"no text is here, .*manuals\.toml, written by `tokenmill init`.*`tokenmill run manuals\.toml` runs that"
    with pytest.raises(UserError, match=message):
        init(".", workers=1)
    _run_folder(tmp_path / "project" / "runs" / "manuals")
    with pytest.raises(UserError, match="runs/manuals, a run folder"):
        init(".", workers=1)
    with pytest.raises(UserError, match=message):
        init(".", output=tmp_path / "project" / "manuals.toml", workers=1, overwrite=True)
    assert [path.name for path in (tmp_path / "project").glob("*.toml")] == ["manuals.toml"]


def test_earlier_recipes_and_run_folders_among_the_files_are_left_out_of_every_source(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert init(".", output=folder / "first.toml", workers=1) == 0
    _run_folder(folder / "runs" / "first")
    assert init(".", output=folder / "second.toml", workers=1) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "runs/first left out: a run folder; first.toml left out: written by `tokenmill init`" in told
    recipe = load_recipe("second.toml")
    assert len(recipe.sources) > 1
    read = [part["path"] for job in plan_jobs(recipe) for part in job.config["parts"]]
    assert "tickets.parquet" in read
    assert [path for path in read if path.startswith("runs/") or path.endswith(".toml")] == []
    (folder / "runs/manuals").mkdir()
    shutil.copy(folder / "tickets.parquet", folder / "runs/manuals/of the run.parquet")
    assert [part["path"] for job in plan_jobs(recipe) for part in job.config["parts"]] == read


def _run_folder(root: Path) -> None:
    """What tells a run folder, with a table of documents."""
    (root / "manifests").mkdir(parents=True)
    (root / "documents").mkdir()
    (root / "recipe.toml").write_text('name = "x"\n')
    pq.write_table(pa.table({"text": [manual(1)]}), root / "documents" / "00000.parquet")


def test_names_with_blanks_quotes_and_brackets(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = folder.parent / 'it\'s [1] "ours"'
    odd.mkdir()
    (odd / "a [b].txt").write_text(manual(1))
    (odd / "c [d].jsonl").write_text(json.dumps({"note": manual(2)}) + "\n")
    (odd / "e f.jsonl").write_text(json.dumps({"body": manual(3)}) + "\n")
    assert init(str(odd), workers=1, output=folder.parent / "our recipe.toml") == 0
    assert "next: tokenmill run 'our recipe.toml' --dry-run" in capsys.readouterr().out
    parts = [part["path"] for job in plan_jobs(load_recipe("our recipe.toml")) for part in job.config["parts"]]
    assert sorted(path.rpartition("/")[2] for path in parts) == ["a [b].txt", "c [d].jsonl", "e f.jsonl"]


@pytest.mark.parametrize(
    ("own", "without", "preset"), [(84, 89, "own"), (70, 88, "code-and-docs"), (0, 0, "clean"), (40, 45, "clean")]
)
def test_preset_is_one_that_does_not_take_the_texts_for_something_else(
    folder: Path, own: int, without: int, preset: str
) -> None:
    kept = {"web": 0, "own": own, "code-and-docs": without, "clean": 100}
    tried = Estimate(unique=100, by={name: Kept(documents) for name, documents in kept.items()})
    assert choose_preset(sources.look([str(folder)]), tried)[0] == preset


def test_one_document_is_not_held_out(folder: Path) -> None:
    assert init(str(folder / "page1.html"), workers=1) == 0
    assert load_recipe("page1.toml").tokenize.validation_share == 0.0


def test_preset_that_is_asked_for_is_the_one_in_the_recipe(folder: Path, tmp_path: Path) -> None:
    assert init(str(folder / "page1.html"), output=tmp_path / "a.toml", preset="clean", workers=1) == 0
    assert load_recipe(tmp_path / "a.toml").filter.preset == "clean"
    assert all(name in (tmp_path / "a.toml").read_text() for name in PRESETS), "with what the others are for"


def test_manuals_get_the_rules_for_own_text(folder: Path) -> None:
    from pipeline.proposal import write

    found = sources.look([str(folder)])
    tried = of_presets(write.source_tables([str(folder)], sources.propose(found)), 1)
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


def test_style_sheets_and_scripts_of_pages_are_left_out_and_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "look.css").write_text("body { color: black }\n")
    (folder / "search.js").write_text("// the search of these pages\n")
    assert init(str(folder), workers=1) == 0
    assert "2 style sheets and scripts of the pages left out: .css, .js" in capsys.readouterr().out
    assert set(load_recipe("manuals.toml").sources[0].exclude) >= {"**/*.css", "**/*.js"}


def test_source_code_beside_a_few_pages_is_read(folder: Path) -> None:
    for number in range(20):
        (folder / f"part{number}.js").write_text(f"// {manual(number)}\nlet part = {number}\n")
    assert init(str(folder), workers=1) == 0
    assert "**/*.js" not in load_recipe("manuals.toml").sources[0].exclude


def test_language_is_told_of_the_whole_folder_and_not_of_the_sample(tmp_path: Path) -> None:
    """Three small kinds of files are read whole, and of the large one only some: it is most of the folder."""
    place = tmp_path / "many"
    place.mkdir()
    german = "Das Ventil an der dritten Pumpe wird von Hand geschlossen, bevor man den Filter {} herausnimmt. "
    for number in range(2000):
        (place / f"seite{number:04d}.html").write_text(
            f"<p>{''.join(german.format(number * 9 + n) for n in range(50))}"
        )
    for number in range(300):
        (place / f"note{number}.txt").write_text(manual(number))
    tried = of_presets([{"name": "files", "paths": [str(place)]}], 1)
    assert tried.languages["de"] > 0.8 * tried.documents
    assert tried.sample.documents > 500
    assert tried.documents == pytest.approx(2300)


def test_text_without_a_language_proposes_none(folder: Path) -> None:
    for number in range(12):
        (folder / f"stub{number}.txt").write_text(f"{number} 64423 +++\n")
    assert init(str(folder), workers=1) == 0
    text = Path("manuals.toml").read_text(encoding="utf-8")
    assert re.search(r"languages, by the sample: .*unknown \d+%", text)
    assert '# languages = ["en"]' in text


def test_one_large_file_does_not_use_up_the_sample_of_the_others(tmp_path: Path) -> None:
    place = tmp_path / "mixed"
    place.mkdir()
    (place / "book.json").write_text(json.dumps({"text": manual(1), "scan": "x" * (4 << 20) * 2}))
    for number in range(1500):
        (place / f"page{number:04d}.html").write_text(f"<p>{manual(number)}</p>{' ' * 6000}")
    recipe = {"stages": ["clean"], "sources": [{"name": "files", "paths": [str(place)]}]}
    groups = {group.kind: group for group in groups_of(Recipe.model_validate(recipe))}
    assert len(groups["html"].parts) > 300
    paths = [part.path for part in groups["html"].parts]
    assert {path[: len("page0")] for path in paths} == {"page0", "page1"}


@pytest.mark.parametrize("kind", ["parquet", "arrow", "stream", "feather"])
def test_first_rows_stand_for_a_large_table_of_one_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("pipeline.proposal.sample.SAMPLE_BYTES", 100_000)
    monkeypatch.setattr("pipeline.proposal.sample.PIECE_BYTES", 30_000)
    monkeypatch.setattr("pipeline.proposal.sample.MOST_WHOLE", 50_000)
    table = pa.table({"text": [f"{number} {manual(number)}" for number in range(1000)]})
    (tmp_path / "in").mkdir()
    file = tmp_path / "in" / ("all.parquet" if kind == "parquet" else "all.arrow")
    if kind == "parquet":
        pq.write_table(table, file, compression="none", use_dictionary=False)
    elif kind == "feather":
        pa.feather.write_feather(table, file, compression="uncompressed", chunksize=100)
    else:
        opened = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
        with opened(file, table.schema) as sink:
            sink.write_table(table, max_chunksize=None if kind == "arrow" else 100)
    source = {"name": "s", "paths": [str(tmp_path / "in")]}
    made = of_presets([source], 1)
    assert 40 < made.sample.documents < 80, "30,000 of some 540,000 bytes"
    assert abs(made.documents - 1000) < 60
    assert not made.whole


def test_recipe_of_which_nothing_was_sampled_says_that_it_is_a_guess(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("SAMPLE_BYTES", "MOST_WHOLE", "MOST_ALONE"):
        monkeypatch.setattr(f"pipeline.proposal.sample.{name}", 10_000)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "book.txt").write_text(manual(1) * 3000)
    monkeypatch.chdir(tmp_path)
    assert init("in", workers=1) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "must be read whole; so preset, model and steps are guesses by the bytes of the files" in told
    recipe = load_recipe("in.toml")
    assert recipe.filter.preset == "own"
    size = (tmp_path / "in" / "book.txt").stat().st_size
    assert recipe.train.steps * recipe.train.global_batch_tokens > size / 4


def test_damage_of_the_sample_is_told_with_its_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "broken.docx").write_bytes(b"PK\x03\x04" + b"\x00" * 200)
    assert init(str(folder), workers=1) == 0
    assert re.search(r"damaged: \w+ 1\n +\w+: broken.docx", capsys.readouterr().out)


def test_archive_of_records_without_a_text_is_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(folder / "search-index.zip", "w") as archive:
        archive.writestr("index.json", json.dumps([{"p": "pump", "l": number} for number in range(200)]))
    with zipfile.ZipFile(folder / "older.zip", "w") as archive:
        archive.writestr("pump.txt", manual(900))
    assert init(str(folder), workers=1) == 0
    said = capsys.readouterr().out
    assert "1 archive without a text left out, such as search-index.zip" in said
    assert "damaged" not in said
    recipe = load_recipe("manuals.toml")
    assert "search-index.zip" in recipe.sources[0].exclude
    assert "older.zip" not in recipe.sources[0].exclude
    assert recipe.clean.max_quarantined == 0.05


def test_recipe_of_a_folder_with_much_damage_lets_it_pass_and_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(30):
        (folder / f"broken{number}.docx").write_bytes(b"PK\x03\x04" + bytes(200))
    assert init(str(folder), workers=1) == 0
    assert "so the recipe has clean.max_quarantined = 0.5: see what is damaged" in capsys.readouterr().out
    assert load_recipe("manuals.toml").clean.max_quarantined == 0.5
