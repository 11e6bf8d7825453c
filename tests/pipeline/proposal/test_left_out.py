"""`tokenmill init`: what programs wrote is no text, tables in archives get fields, its recipe passes its own gates."""

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.cli.files.init import init
from pipeline.base.errors import UserError
from pipeline.base.words import LONGEST_NAME
from pipeline.clean.stage import plan_jobs
from pipeline.proposal import sources
from pipeline.proposal.estimate import Estimate, Kept
from pipeline.proposal.write import MIN_KEPT, choose_preset, least_kept
from pipeline.recipe.load import load_recipe

NOTE = "The valve on the third pump is closed by hand before the filter is taken out of case number {}."
ROWS = "id;subject;note\n" + "".join(f"{n};pump {n};{NOTE.format(n)}\n" for n in range(4))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "own"
    place.mkdir()
    monkeypatch.chdir(tmp_path)
    return place


def archive(members: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, text in members.items():
            made.writestr(name, text)
    return buffer.getvalue()


def proposed(folder: Path) -> dict[str, sources.Proposed]:
    return {source.name: source for source in sources.propose(sources.look([str(folder)]))}


def read(recipe: str) -> set[str]:
    return {part["path"] for job in plan_jobs(load_recipe(recipe)) for part in job.config["parts"]}


# -- archives


def test_table_in_an_archive_gets_its_fields(folder: Path) -> None:
    (folder / "old.zip").write_bytes(archive({"tickets.csv": ROWS, "readme.txt": NOTE.format(9)}))
    (folder / "tickets.csv").write_text(ROWS)
    (folder / "readme.txt").write_text(NOTE.format(10))
    found = proposed(folder)
    assert set(found) == {"files", "csv", "archive"}
    assert found["archive"].fields == found["csv"].fields == {"text": "note", "id": "id"}
    assert (found["archive"].format, found["archive"].include) == ("auto", ("old.zip",))
    assert found["archive"].why.startswith("old.zip/tickets.csv has the columns id, subject, note")
    assert set(found["files"].exclude) == {"**/*.csv", "old.zip"}


def test_run_reads_what_init_saw_in_an_archive_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "old.zip").write_bytes(archive({"tickets.csv": ROWS, "readme.txt": NOTE.format(9)}))
    assert init(str(folder), workers=1, json=True) == 0
    assert json.loads(capsys.readouterr().out)["sample"]["documents"] == 5, "four rows and a text"
    recipe = load_recipe("own.toml")
    assert [source.name for source in recipe.sources] == ["archive"]
    assert recipe.clean.max_quarantined == 0.05


def test_tables_of_an_archive_that_its_fields_do_not_reach_are_told(folder: Path) -> None:
    other = json.dumps({"report": NOTE.format(1)}) + "\n"
    (folder / "old.zip").write_bytes(archive({"tickets.csv": ROWS, "other.jsonl": other, "settings.json": '{"a": 1}'}))
    source = proposed(folder)["archive"]
    assert source.fields["text"] == "note", "of four records against one"
    assert "1 table in it, such as old.zip/other.jsonl, have their texts in other columns" in source.why


def test_tables_of_one_name_in_two_folders_keep_their_own_fields(folder: Path) -> None:
    (folder / "2023").mkdir()
    (folder / "tickets.csv").write_text(ROWS)
    (folder / "2023/tickets.csv").write_text(ROWS.replace("note", "report"))
    (folder / "a.txt").write_text(NOTE.format(1))
    assert init(str(folder), workers=1) == 0
    by_text = {source.fields.get("text"): source for source in load_recipe("own.toml").sources}
    assert (by_text["note"].include, by_text["note"].exclude) == (["tickets.csv"], ["2023/tickets.csv"])
    assert by_text["report"].include == ["2023/tickets.csv"]
    assert sorted(part["path"] for job in plan_jobs(load_recipe("own.toml")) for part in job.config["parts"]) == [
        *("2023/tickets.csv", "a.txt", "tickets.csv")
    ]


def test_tables_that_fill_a_folder_are_named_by_it(folder: Path) -> None:
    for package in ("a", "b [1]"):
        (folder / "duck" / f"package={package}").mkdir(parents=True)
        (folder / "duck" / f"package={package}" / "data.csv").write_text(ROWS)
    (folder / "polars.csv").write_text(ROWS.replace("note", "report"))
    assert {source.include for source in proposed(folder).values()} == {("duck/**/*.csv",), ("polars.csv",)}
    (folder / "duck" / "other.csv").write_text(ROWS.replace("note", "report"))
    found = {source.fields["text"]: source.include for source in proposed(folder).values()}
    assert found["note"] == ("duck/package=a/data.csv", "duck/package=b [[]1]/data.csv")


def test_tables_without_a_text_are_told_also_where_all_others_need_fields(folder: Path) -> None:
    (folder / "tickets.csv").write_text(ROWS)
    pq.write_table(pa.table({"day": [1, 2], "views": [3, 4]}), folder / "stats.parquet")
    (source,) = proposed(folder).values()
    assert source.why.endswith("; 1 parquet file without a text left out, such as stats.parquet (day, views)")


def test_table_that_needs_no_fields_is_not_lost_with_one_of_its_name(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "a.jsonl").write_text(json.dumps({"note": NOTE.format(1)}) + "\n")
    (folder / "sub/a.jsonl").write_text(json.dumps({"text": NOTE.format(2)}) + "\n")
    assert init(str(folder), workers=1) == 0
    assert read("own.toml") == {"a.jsonl", "sub/a.jsonl"}


def test_packed_table_in_a_tar_archive_gets_its_fields(folder: Path) -> None:
    with tarfile.open(folder / "old.tar.gz", "w:gz") as made:
        packed = gzip.compress(ROWS.encode())
        info = tarfile.TarInfo("in/tickets.csv.gz")
        info.size = len(packed)
        made.addfile(info, io.BytesIO(packed))
    assert proposed(folder)["archive"].fields == {"text": "note", "id": "id"}


INDEX = "file,pages\n" + "".join(f"{n}.txt,{n}\n" for n in range(30))


def test_index_in_an_archive_of_texts_is_left_out_as_outside_of_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "old.zip").write_bytes(archive({"index.csv": INDEX, "a.txt": NOTE.format(1), "b.txt": NOTE.format(2)}))
    (folder / "new.zip").write_bytes(archive({"tickets.csv": ROWS, "in/index.csv": INDEX}))
    assert init(str(folder), workers=1) == 0
    said = capsys.readouterr().out
    assert "2 tables without a text in archives left out, such as new.zip/in/index.csv (file, pages)" in said
    assert "damaged" not in said
    recipe = load_recipe("own.toml")
    assert {source.name: source.exclude for source in recipe.sources} == {
        "files": ["new.zip", "old.zip/index.csv"],
        "archive": ["new.zip/in/index.csv"],
    }
    assert recipe.clean.max_quarantined == 0.05


def test_many_tables_without_a_text_in_an_archive_are_named_by_their_ending(folder: Path) -> None:
    settings = {f"{number}.json": json.dumps({"p": number}) for number in range(30)}
    (folder / "old.zip").write_bytes(archive({**settings, "a.csv": INDEX, "b.csv": ROWS}))
    assert proposed(folder)["archive"].exclude == ("old.zip/**/*.json", "old.zip/a.csv")


def test_table_within_an_archive_that_no_glob_goes_into_stays(folder: Path) -> None:
    (folder / "old.backup").write_bytes(archive({"index.csv": INDEX, "a.txt": NOTE.format(1)}))
    (source,) = proposed(folder).values()
    assert (source.exclude, source.why) == ((), "")


def test_archive_whose_tables_need_no_fields_stays_with_the_rest(folder: Path) -> None:
    (folder / "old.zip").write_bytes(archive({"a.jsonl": json.dumps({"text": NOTE.format(1)}) + "\n"}))
    assert set(proposed(folder)) == {"files"}


def test_source_that_would_be_empty_is_not_proposed(folder: Path) -> None:
    (folder / "index.zip").write_bytes(archive({"index.json": json.dumps([{"p": 1}, {"p": 2}])}))
    (folder / "tickets.csv").write_text(ROWS)
    assert init(str(folder), workers=1) == 0
    assert [source.name for source in load_recipe("own.toml").sources] == ["csv"]
    (folder / "tickets.csv").unlink()
    with pytest.raises(UserError, match="no text in 1 file"):
        init(str(folder), workers=1, overwrite=True)


# -- what programs wrote


def test_lock_files_are_left_out_also_where_their_ending_is_that_of_a_source(folder: Path) -> None:
    packages = {f"node_modules/{n}": {"description": NOTE.format(n)} for n in range(300)}
    (folder / "site").mkdir()
    (folder / "site/package-lock.json").write_text(json.dumps({"packages": packages, "note": NOTE * 9}))
    (folder / "notes.json").write_text(json.dumps([{"note": NOTE.format(n)} for n in range(3)]))
    (folder / "poetry.lock").write_text('[[package]]\nname = "pump"\n')
    (folder / "a.txt").write_text(NOTE.format(3))
    assert init(str(folder), workers=1) == 0
    assert "# 2 lock files left out: package-lock.json, poetry.lock" in (folder.parent / "own.toml").read_text("utf-8")
    assert read("own.toml") == {"a.txt", "notes.json"}


def test_source_maps_are_no_text_and_no_source(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.css.map").write_text(json.dumps({"version": 3, "sourcesContent": [NOTE * 5, NOTE * 6]}))
    (folder / "land.map").write_text(NOTE.format(1))
    (folder / "a.txt").write_text(NOTE.format(3))
    assert init(str(folder), workers=1) == 0
    assert "source files: 1 source map left out: .css.map" in capsys.readouterr().out
    assert read("own.toml") == {"a.txt", "land.map"}


@pytest.mark.parametrize(("scripts", "texts", "stay"), [(5, 30, False), (20, 10, True)])
def test_scripts_stay_where_the_folder_is_source_code_however_few_pages_it_has(
    folder: Path, scripts: int, texts: int, stay: bool
) -> None:
    (folder / "page.html").write_text(f"<p>{NOTE}</p>")
    for number in range(scripts):
        (folder / f"{number}.js").write_text("let pump = 1\n")
        (folder / f"{number}.css").write_text("p { color: black }\n")
    for number in range(texts):
        (folder / f"{number}.txt").write_text(NOTE.format(number))
    assert ("**/*.js" not in proposed(folder)["files"].exclude) is stay
    assert ("**/*.css" not in proposed(folder)["files"].exclude) is stay


def test_columns_are_named_up_to_a_number_and_a_length(folder: Path) -> None:
    row = {"note": NOTE.format(1), "k" * 500: 1} | {f"column{number}": 1 for number in range(300)}
    (folder / "wide.jsonl").write_text(json.dumps(row) + "\n")
    why = proposed(folder)["jsonl"].why
    assert why.endswith("and 282 more")
    assert "k" * (LONGEST_NAME - 1) + "…" in why
    assert len(why) < 500


def test_prose_is_taken_before_the_same_as_json(folder: Path) -> None:
    bodies = [NOTE.format(n) for n in range(5)]
    as_json = [json.dumps({"title": "pump", "rating": 5.0, "body": body}) for body in bodies]
    pq.write_table(pa.table({"full_json": as_json, "full": bodies}), folder / "reports.parquet")
    assert proposed(folder)["parquet"].fields == {"text": "full"}


def test_short_sentences_with_numbers_are_a_text(folder: Path) -> None:
    rows = "".join(f"{n},This is row {n} of 10000000 in list 0000000{n}\n" for n in range(5))
    (folder / "a.csv").write_text(f"number,said\n{rows}")
    assert proposed(folder)["csv"].fields == {"text": "said"}


def test_vector_in_a_string_is_no_text(folder: Path) -> None:
    vectors = [" ".join(f"0.{n}{m}" for m in range(200)) for n in range(5)]
    pq.write_table(pa.table({"vector": vectors, "body": [NOTE.format(n) for n in range(5)]}), folder / "v.parquet")
    assert proposed(folder)["parquet"].fields == {"text": "body"}


# -- presets


def tried(web: int, own: int, warc: int, text: int) -> Estimate:
    kept = {"web": web, "own": own, "code-and-docs": own, "clean": 100}
    made = Estimate(unique=100, by={name: Kept(documents) for name, documents in kept.items()})
    made.by_kind.update({"warc": warc, "text": text})
    return made


@pytest.mark.parametrize(
    ("web", "warc", "preset", "said"),
    [
        (60, 90, "web", "90% of the text is of WARC files"),
        (60, 20, "own", "20.0% of the text is of WARC files; the web rules would keep 60%"),
        (31, 90, "own", '90% of the text is of WARC files, but "web" would keep 31%'),
        (31, 99, "web", "99% of the text is of WARC files"),
    ],
)
def test_crawl_is_told_by_its_share_of_the_text_and_not_below_the_gate(
    folder: Path, web: int, warc: int, preset: str, said: str
) -> None:
    (folder / "a.warc").write_bytes(b"WARC/1.0\r\n")
    chosen, why = choose_preset(sources.look([str(folder)]), tried(web, 95, warc, 100 - warc))
    assert chosen == preset
    assert why.startswith(said)


def test_gate_of_a_preset_that_keeps_little_is_below_what_it_keeps() -> None:
    assert least_kept(tried(31, 95, 0, 1), "web") == 0.15
    assert least_kept(tried(31, 95, 0, 1), "own") == MIN_KEPT


def test_one_page_of_a_crawl_among_notes_does_not_make_it_a_crawl(folder: Path) -> None:
    page = f"<html><body><p>{NOTE.format(0)}</p></body></html>".encode()
    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + page
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://x/\r\nContent-Length: {len(body)}\r\n\r\n"
    (folder / "cc.warc.gz").write_bytes(gzip.compress(head.encode() + body + b"\r\n\r\n"))
    for number in range(16):
        (folder / f"{number}.md").write_text(f"# Pump {number}\n\n{NOTE.format(number)} {NOTE.format(number + 50)}")
    assert init(str(folder), workers=1) == 0
    assert load_recipe("own.toml").filter.preset != "web"


# -- words


def test_path_that_names_nothing_is_told_without_a_source(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^no file at "):
        sources.look([str(tmp_path / "nonexistent")])


@pytest.mark.parametrize("steps", [20, 21, 300, 1138, 1999])
def test_last_two_validations_are_not_close_to_each_other(folder: Path, steps: int) -> None:
    from pipeline.proposal.write import validate_every

    last = steps % validate_every(steps) or validate_every(steps)
    assert 2 * last >= validate_every(steps)
