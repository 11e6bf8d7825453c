"""Documents out of a run: which ones, with what, whole or not at all, and as other tools read them."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from flows.cli.app import main
from pipeline.base import storage
from pipeline.base.errors import RunError, UserError
from pipeline.export import folder
from pipeline.export.columns import choose_columns
from pipeline.export.documents import Select
from pipeline.export.hub import hub_licences
from pipeline.export.request import Format, Request
from pipeline.recipe.stage_names import SELECTION
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.rows import shard_names
from pipeline.run.table_files import read_table
from pipeline.run.tables import CLUSTERS, DOCUMENTS, SIGNALS, VERDICTS
from pipeline.takedown.choose import Choice
from pipeline.takedown.takedown import take_down
from tests.full_disk import files_of_at_most
from tests.trees import objects, tree


def request(
    run: Run, select: Select = "kept", kind: Format = "parquet", columns: list[str] | None = None, size: int = 1 << 29
) -> Request:
    return Request(run, choose_columns(run, columns, select), select, kind, size)


def export(run: Run, output: Path, *arguments: Any, **options: Any) -> pa.Table:
    folder.write(request(run, *arguments, **options), str(output), 1)
    return pa.concat_tables([pq.read_table(path) for path in sorted((output / "data").iterdir())])


def joined(run: Run, folder_name: str, table: Any) -> list[dict[str, Any]]:
    return [
        row
        for shard in shard_names(run)
        for row in read_table(run.local(f"{folder_name}{shard}.arrow"), table).to_pylist()
    ]


def expected(run: Run) -> list[dict[str, Any]]:
    """Every document with what the tables say of it, joined row by row in plain Python."""
    rows = joined(run, layout.DOCUMENTS, DOCUMENTS)
    signals = joined(run, layout.SIGNALS, SIGNALS)
    judged = {stage: joined(run, layout.verdicts_folder(stage), VERDICTS) for stage in (*SELECTION, "tokenize")}
    for number, row in enumerate(rows):
        verdicts = {stage: found[number] for stage, found in judged.items()}
        row["kept"] = all(verdicts[stage]["keep"] for stage in SELECTION)
        row["reasons"] = [reason for found in verdicts.values() for reason in found["reasons"]]
        row["split"] = verdicts["tokenize"]["split"]
        row["word_count"] = signals[number]["word_count"]
        raw, spans = row["text"].encode(), verdicts["filter"]["cut_spans"] or []
        for start, end in reversed(list(zip(spans[::2], spans[1::2], strict=True))):
            raw = raw[:start] + raw[end:]
        row["cut_bytes"] = len(row["text"].encode()) - len(raw)
        row["text"], row["doc_id"] = raw.decode(), row["doc_id"].hex()
    return rows


@pytest.mark.parametrize("select", ["kept", "dropped", "all"])
def test_rows_are_those_of_the_tables_with_verdicts_and_cuts(run: Run, tmp_path: Path, select: Select) -> None:
    wanted = {"kept": (True,), "dropped": (False,), "all": (True, False)}[select]
    names = [*DOCUMENTS.schema.names, "kept", "reasons", "split", "cut_bytes", "word_count"]
    rows = [{name: row[name] for name in names} for row in expected(run) if row["kept"] in wanted]
    assert export(run, tmp_path / "out", select, columns=names).to_pylist() == rows
    assert len(rows) > 2
    if select != "dropped":
        assert sum(row["cut_bytes"] > 0 for row in rows) == 1


def test_duplicates_name_the_document_kept_in_their_place(run: Run, tmp_path: Path) -> None:
    rows = export(run, tmp_path / "out", "all", columns=["doc_id", "kept_id", "similarity"]).to_pylist()
    evidence = read_table(run.local(layout.EVIDENCE), CLUSTERS).to_pylist()
    found = {row["doc_id"]: (row["kept_id"], row["similarity"]) for row in rows if row["kept_id"]}
    assert found == {row["doc_id"].hex(): (row["kept_id"].hex(), row["similarity"]) for row in evidence}
    assert len(found) >= 2


def test_small_files_and_workers_give_the_rows_of_one_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = export(run, tmp_path / "whole")
    small = export(run, tmp_path / "small", size=1)
    assert small.equals(whole)
    assert len(list((tmp_path / "small/data").iterdir())) == 2
    folder.write(request(run, size=1), str(tmp_path / "workers"), 2)
    assert tree(tmp_path / "workers") == tree(tmp_path / "small")


def test_interrupted_export_goes_on_and_ends_in_the_same_bytes(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(run, tmp_path / "whole", size=1)
    asked, output = request(run, size=1), tmp_path / "out"
    ended = iter([False, True])
    real = folder.write_one

    def dies_at_the_second(*arguments: Any) -> Any:
        if next(ended):
            storage.scratch(str(output)).write_bytes(b"half-written, by a worker that was killed")
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(folder, "write_one", dies_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            folder.write(asked, str(output), 1)
    assert not (output / "export.json").exists()
    assert not (output / ".scratch").exists()
    with pytest.raises(UserError, match="an interrupted export of another request"):
        folder.write(request(run, "all"), str(output), 1)
    assert folder.write(asked, str(output), 1)["resumed_files"] == 1
    assert tree(output) == tree(tmp_path / "whole")
    assert not (output / ".export").exists()


def test_what_was_taken_down_is_in_no_export(run: Run, tmp_path: Path) -> None:
    kept = export(run, tmp_path / "before", columns=["doc_id", "text"])
    gone = kept["doc_id"][0].as_py()
    take_down(run, Choice(ids=(gone,)))
    assert gone not in export(run, tmp_path / "kept", columns=["doc_id"])["doc_id"].to_pylist()
    everything = export(run, tmp_path / "all", "all", columns=["doc_id", "text"])
    assert gone not in everything["doc_id"].to_pylist()
    assert "" not in everything["text"].to_pylist()


def test_folder_that_holds_something_is_refused_and_stays(run: Run, tmp_path: Path) -> None:
    export(run, tmp_path / "out")
    before = tree(tmp_path / "out")
    with pytest.raises(UserError, match=r"holds README.md.*replace it with --overwrite"):
        folder.write(request(run), str(tmp_path / "out"), 1)
    assert tree(tmp_path / "out") == before
    folder.write(request(run, "dropped"), str(tmp_path / "out"), 1, overwrite=True)
    assert json.loads((tmp_path / "out/export.json").read_text())["select"] == "dropped"
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds mine\.txt, which is no export"):
        folder.write(request(run), str(tmp_path / "out"), 1, overwrite=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="expected a folder, and a file is there"):
        folder.write(request(run), str(tmp_path / "file"), 1)


def test_disk_without_room_is_refused_before_anything_is_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder.shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    with pytest.raises(RunError, match="bytes are needed, 1 are free there"):
        folder.write(request(run), str(tmp_path / "deep/out"), 1)
    assert not (tmp_path / "deep").exists()
    (tmp_path / "mine").mkdir()  # such as the root of a disk, which nobody could remove
    with pytest.raises(RunError, match="bytes are needed, 1 are free there"):
        folder.write(request(run), str(tmp_path / "mine"), 1)
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize("columns", [None, ["doc_id", "word_count"], ["text"]])
@pytest.mark.parametrize("select", ["kept", "dropped"])
def test_json_lines_take_the_room_that_is_said(
    run: Run, tmp_path: Path, select: Select, columns: list[str] | None
) -> None:
    asked = request(run, select, "jsonl", columns)
    said = asked.expected_bytes(asked.plan())
    written = folder.write(asked, str(tmp_path / "out"), 1)["bytes"]
    assert 0.75 < said / written < 1.34


def test_columns_that_are_left_out_need_no_room(run: Run) -> None:
    everything, ids = request(run), request(run, columns=["doc_id"])
    assert 0 < ids.expected_bytes(ids.plan()) < 0.2 * everything.expected_bytes(everything.plan())


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "arrow"])
def test_file_that_cannot_grow_ends_in_its_own_error(run: Run, tmp_path: Path, kind: Format) -> None:
    asked = request(run, kind=kind)
    with files_of_at_most(2_000), pytest.raises(OSError, match="File too large"):
        folder.write(asked, str(tmp_path / "out"), 1)
    assert not (tmp_path / "out").exists()


def test_run_without_the_stage_and_unknown_columns_are_told(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--columns: no column 'txt'; did you mean text\?$"):
        request(run, columns=["txt"])
    with pytest.raises(UserError, match=r"no column 'qqqq'; \S+ has doc_id, id, text, .*kept, reasons"):
        request(run, columns=["qqqq"])
    with pytest.raises(UserError, match="text more than once"):
        request(run, columns=["text", "text"])
    (Path(run.root) / layout.stage_manifest("filter")).unlink()
    with pytest.raises(UserError, match=r"its filter stage has not finished; .* --stages clean,dedup,filter`"):
        export(run, tmp_path / "out")
    assert export(run, tmp_path / "all", "all", columns=["text"]).num_rows == len(
        joined(run, layout.DOCUMENTS, DOCUMENTS)
    )


@pytest.mark.parametrize(
    ("column", "step"),
    [("split", "tokenize.split"), ("kept_id", "dedup"), ("word_count", "filter.signals"), ("reasons", "filter")],
)
def test_column_of_a_stage_that_has_not_finished_is_refused(run: Run, tmp_path: Path, column: str, step: str) -> None:
    (Path(run.root) / layout.stage_manifest(step)).unlink()
    with pytest.raises(UserError, match=rf"its {step.split('.')[0]} stage has not finished; `tokenmill run"):
        export(run, tmp_path / "out", "all", columns=["text", column])
    assert not (tmp_path / "out").exists()


def test_column_of_a_stage_that_the_recipe_leaves_out_is_refused(run: Run, tmp_path: Path) -> None:
    shutil.rmtree(Path(run.root) / layout.SIGNALS)
    alone = dataclasses.replace(run, recipe=run.recipe.model_copy(update={"stages": ["clean"]}))
    for column, stage in (("split", "tokenize"), ("similarity", "dedup"), ("word_count", "filter")):
        with pytest.raises(UserError, match=rf"'{column}' is made by the {stage} stage, which the recipe leaves out$"):
            request(alone, columns=["text", column])
    with pytest.raises(UserError, match="nothing is dropped, as its recipe has no stage dedup or filter"):
        request(alone, "dropped").plan()
    assert request(alone, columns=["text", "kept", "reasons", "cut_bytes"]).plan()


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "arrow"])
def test_formats_hold_the_same_rows(run: Run, tmp_path: Path, kind: Format) -> None:
    rows = export(run, tmp_path / "parquet", columns=["doc_id", "text", "metadata", "reasons"]).to_pylist()
    folder.write(request(run, kind=kind, columns=["doc_id", "text", "metadata", "reasons"]), str(tmp_path / "out"), 1)
    path = next((tmp_path / "out/data").iterdir())
    if kind == "jsonl":
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        rows = [{**row, "metadata": row["metadata"] and json.loads(row["metadata"])} for row in rows]
    else:
        table = pq.read_table(path) if kind == "parquet" else pa.ipc.open_file(path).read_all()
        found = table.to_pylist()
    assert found == rows


def test_standard_output_gets_the_lines_of_the_file(run: Run, tmp_path: Path, capfdbinary: Any) -> None:
    for output in ("-", str(tmp_path / "out")):
        with pytest.raises(SystemExit) as ended:
            main(["documents", "export", run.root, "--output", output, "--format", "jsonl"])
        assert ended.value.code == 0
        if output == "-":
            lines = capfdbinary.readouterr().out
    assert lines == (tmp_path / "out/data/00000.jsonl").read_bytes()


def test_standard_output_gets_no_other_format(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["documents", "export", run.root, "--output", "-", "--format", "hf"])
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "--format hf and --output -: standard output gets jsonl; name a folder" in told.err


def test_datasets_and_datatrove_open_what_is_written(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    texts = export(run, tmp_path / "out", kind="hf")["text"].to_pylist()
    from datasets import load_dataset  # type: ignore[import-untyped]
    from datatrove.pipeline.readers import ParquetReader

    loaded = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train"]
    assert loaded["train"]["text"][:] == texts
    assert [document.text for document in ParquetReader(str(tmp_path / "out/data"))()] == texts


def test_object_store_gets_the_same_files(run: Run, tmp_path: Path, bucket: str) -> None:
    export(run, tmp_path / "out", size=1)
    target = f"{bucket}/out"
    folder.write(request(run, size=1), target, 1)
    assert objects(target) == tree(tmp_path / "out")
    with pytest.raises(UserError, match="replace it with --overwrite"):
        folder.write(request(run, size=1), target, 1)
    folder.write(request(run, size=1), target, 1, overwrite=True)
    assert objects(target) == tree(tmp_path / "out")


def test_polars_and_duckdb_read_the_folder(run: Run, tmp_path: Path) -> None:
    import duckdb
    import polars

    table = export(run, tmp_path / "out", size=1)
    place = str(tmp_path / "out/data/*.parquet")
    assert polars.read_parquet(place).sort("doc_id")["text"].to_list() == table.sort_by("doc_id")["text"].to_pylist()
    found = duckdb.sql(f"select count(*), sum(strlen(text)) from '{place}'")
    assert found is not None
    (row,) = found.fetchall()
    assert row == (table.num_rows, sum(len(text.encode()) for text in table["text"].to_pylist()))


def test_card_and_croissant_say_what_the_files_hold(run: Run, tmp_path: Path) -> None:
    import hashlib

    table = export(run, tmp_path / "out", kind="hf")
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    for source in ("prose", "web"):
        assert f"| {source} | {table['source'].to_pylist().count(source):,} |" in card
    head = card.split("---")[1]
    assert yaml.safe_load(head)["license"] == hub_licences(dict.fromkeys(table["licence"].drop_null().to_pylist()))
    assert f"| pyarrow | {pa.__version__} |" in card
    croissant = json.loads((tmp_path / "out/croissant.json").read_text(encoding="utf-8"))
    (file,) = [part for part in croissant["distribution"] if part["@type"] == "cr:FileObject"]
    data = (tmp_path / "out" / file["contentUrl"]).read_bytes()
    assert file["sha256"] == hashlib.sha256(data).hexdigest()
    assert file["contentSize"] == f"{len(data)} B"
    assert [field["name"] for field in croissant["recordSet"][0]["field"]] == table.schema.names
    assert (tmp_path / "out/recipe.toml").read_bytes() == (Path(run.root) / "recipe.toml").read_bytes()


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
@pytest.mark.filterwarnings("ignore")  # of the library's own
def test_mlcroissant_validates_the_metadata_and_reads_the_records(run: Run, tmp_path: Path, kind: Format) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    folder.write(request(run, kind=kind, columns=["doc_id", "text", "url"]), str(tmp_path / "out"), 1)
    data_set = mlcroissant.Dataset(jsonld=tmp_path / "out/croissant.json")  # raises where it finds an error
    found = list(data_set.records(record_set="documents"))
    expected = export(run, tmp_path / "again", columns=["text"])["text"].to_pylist()
    assert [record["documents/text"].decode() for record in found] == expected


@pytest.mark.slow  # the start of a virtual machine for Java
def test_pyspark_reads_the_folder(run: Run, tmp_path: Path) -> None:
    pyspark_sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed: 456 MB, and needs a Java 17")
    if shutil.which("java") is None:
        pytest.skip("no Java here")
    names = ["doc_id", "text", "reasons", "language_score", "metadata"]
    table = export(run, tmp_path / "out", "all", columns=names, size=1)
    options = {"spark.ui.enabled": "false", "spark.sql.warehouse.dir": str(tmp_path / "warehouse")}
    session = pyspark_sql.SparkSession.builder.master("local[1]").config(map=options).getOrCreate()
    try:
        found = session.read.parquet(str(tmp_path / "out/data")).collect()
    finally:
        session.stop()
    rows = sorted((row.asDict() for row in found), key=lambda row: row["doc_id"])
    assert rows == table.sort_by("doc_id").to_pylist()
