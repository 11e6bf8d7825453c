"""datatrove's readers, filters and formatters work in our stages, and our stages in its pipelines."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from pipeline.base.errors import UserError
from pipeline.interop import from_datatrove, run_reader, to_datatrove
from pipeline.run.table_files import Table
from pipeline.run.tables import DOCUMENTS, QUARANTINE

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def batch(texts: list[str]) -> pa.RecordBatch:
    row = {
        "source": "s",
        "path": "p",
        "language": "en",
        **{f"pii_{k}": 0 for k in ("email", "ip", "phone", "iban", "card", "secret")},
    }
    rows = [{**row, "doc_id": n.to_bytes(16, "big"), "text": text, "offset": n} for n, text in enumerate(texts)]
    return pa.RecordBatch.from_pylist(rows, schema=DOCUMENTS.schema)


GOOD = "The people of the town have been to the market, and they said that it was good to be with the others. " * 8


def test_datatrove_filter_judges_our_batches() -> None:
    step = from_datatrove("datatrove.pipeline.filters.LambdaFilter", filter_function=lambda doc: len(doc.text) > 10)
    assert step.judge(batch([GOOD, "short"])) == [[], ["LambdaFilter.dropped"]]
    (kept,) = step([batch([GOOD, "short"])])
    assert kept.schema == DOCUMENTS.schema
    assert kept.column("doc_id").to_pylist() == [bytes(16)]


def test_datatrove_formatter_changes_our_texts() -> None:
    (changed,) = from_datatrove("datatrove.pipeline.formatters.FTFYFormatter")([batch(["cafÃ©"])])
    assert changed.column("text").to_pylist() == ["café"]


def test_what_is_no_datatrove_step_is_refused() -> None:
    for wrong in ("pathlib.Path", "datatrove.pipeline.filters.NoSuchFilter", 7):
        with pytest.raises(UserError):
            from_datatrove(wrong)
    with pytest.raises(UserError, match="clean"):
        to_datatrove("nonsense")


def test_our_clean_stage_is_a_datatrove_step() -> None:
    from datatrove.data import Document

    step = to_datatrove("clean")
    documents = [
        Document("e\u0301 mail bob@corp.de, which is an ordinary sentence in the English language.", "1"),
        Document(" \x00 ", "2"),
    ]
    (kept,) = list(step.run(documents, 0, 1))
    assert kept.text == "é mail <EMAIL_ADDRESS>, which is an ordinary sentence in the English language."
    assert (kept.metadata["language"], kept.metadata["pii_email"]) == ("en", 1)


def test_our_clean_stage_extracts_html_for_datatrove() -> None:
    from datatrove.data import Document

    html = "<html><body><nav>Menu</nav><main><p>A paragraph of plain running text.</p></main></body></html>"
    documents = [Document(html, "1"), Document("<div>" * 5000, "2")]
    assert [document.text for document in to_datatrove("clean", html=True).run(documents, 0, 1)] == [
        "A paragraph of plain running text."
    ]


def test_our_filter_stage_is_a_datatrove_step() -> None:
    from datatrove.data import Document

    documents = [Document("short", "1", metadata={"language": "en"})]
    assert list(to_datatrove("filter", rules=["gopher_quality"]).run(documents, 0, 1)) == []
    (kept,) = to_datatrove("filter", rules=["gopher_quality"], annotate=True).run(documents, 0, 1)
    assert "gopher_quality.min_words" in kept.metadata["reasons"]


def test_datatrove_file_reader_reads_a_source(tmp_path: Path, run_clean: Callable[..., list[dict[str, Any]]]) -> None:
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps({"body": f"text {n}", "id": str(n), "k": n}) + "\n" for n in range(3))
    )
    source = {"format": "datatrove.pipeline.readers.JsonlReader", "options": {"text_key": "body"}}
    documents = run_clean(tmp_path / "a.jsonl", source)
    assert [(d["text"], d["id"], d["offset"]) for d in documents] == [(f"text {n}", str(n), n) for n in range(3)]
    assert json.loads(documents[2]["metadata"]) == {"k": 2}


@pytest.mark.parametrize("reader", ["ParquetReader", "CSVReader", "IpcReader"])
def test_datatrove_readers_of_other_files_read_a_source(
    tmp_path: Path, run_clean: Callable[..., list[dict[str, Any]]], reader: str
) -> None:
    table = pa.table({"text": ["one", "two"], "id": ["a", "b"]})
    write: dict[str, Callable[[Any], Any]] = {
        "ParquetReader": lambda path: pq.write_table(table, path),
        "CSVReader": lambda path: pyarrow.csv.write_csv(table, path),
        "IpcReader": lambda path: pyarrow.feather.write_feather(table, path, compression="uncompressed"),
    }
    write[reader](tmp_path / "data.bin")
    documents = run_clean(tmp_path / "data.bin", {"format": f"datatrove.pipeline.readers.{reader}"})
    assert [(d["text"], d["id"], d["metadata"]) for d in documents] == [("one", "a", None), ("two", "b", None)]


def test_datatrove_reader_that_gives_no_record_of_a_file_is_noted(
    tmp_path: Path, run_clean: Callable[..., list[dict[str, Any]]]
) -> None:
    (tmp_path / "a.jsonl").write_text('{"body": "text"}\n')
    rows = run_clean(tmp_path / "a.jsonl", {"format": "datatrove.pipeline.readers.JsonlReader"}, QUARANTINE)
    assert [(row["reason"], row["length"]) for row in rows] == [("reader_failed", 17)]


def test_hugging_face_dataset_reads_as_a_source(tmp_path: Path, run_clean: Callable[..., list[dict[str, Any]]]) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    datasets.Dataset.from_list([{"text": "one"}, {"text": "two"}]).save_to_disk(str(tmp_path / "set"))
    source = {"format": "datatrove.pipeline.readers.HuggingFaceDatasetReader", "options": {"load_from_disk": True}}
    documents = run_clean(tmp_path / "set", source)
    assert [document["text"] for document in documents] == ["one", "two"]
    assert {document["path"] for document in documents} == {"set"}


def test_several_data_sets_in_a_source_are_refused() -> None:
    from pipeline.clean.stage import plan_jobs
    from pipeline.recipe.options import Recipe

    source = {"name": "s", "paths": ["a", "b"], "format": "datatrove.pipeline.readers.HuggingFaceDatasetReader"}
    with pytest.raises(UserError, match="make each path a source"):
        plan_jobs(Recipe.model_validate({"sources": [source]}))


@pytest.fixture
def run_clean(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[dict[str, Any]]]:
    from pipeline.clean.stage import plan_jobs
    from pipeline.clean.worker import clean_partition
    from pipeline.recipe.options import Recipe
    from pipeline.run.engine import Outputs
    from pipeline.run.table_files import read_table

    def run(path: Path, source: dict[str, Any], table: Table = DOCUMENTS) -> list[dict[str, Any]]:
        root = tmp_path_factory.mktemp("run")
        (job,) = plan_jobs(Recipe.model_validate({"sources": [{"name": "s", "paths": [str(path)], **source}]}))
        outputs = Outputs(str(root), job)
        clean_partition(job, outputs)
        outputs.publish()
        assert all(outputs.read.values())
        rows: list[dict[str, Any]] = read_table(root / table.name / "00000.arrow", table).to_pylist()
        return rows

    return run


def test_our_dedup_stage_is_a_datatrove_step() -> None:
    from datatrove.data import Document

    texts = [GOOD, "another text, which is like no other one at all", f"{GOOD} Again.", GOOD]
    documents = [Document(text, str(number)) for number, text in enumerate(texts)]
    step = to_datatrove("dedup")
    assert [document.id for document in step.run(documents, 0, 1)] == ["0", "1"]
    counted = {name: stat.total for name, stat in step.stats.stats.items()}
    assert counted["total"] == 4
    assert (counted["forwarded"], counted["dropped_dedup.exact"], counted["dropped_dedup.near"]) == (2, 1, 1)
    told = list(to_datatrove("dedup", annotate=True).run(documents, 0, 1))
    assert [document.metadata.get("duplicate_of") for document in told] == [None, None, "0", "0"]
    with pytest.raises(UserError, match=r"duplicates in two of them would not meet; run this step with tasks=1"):
        list(step.run(documents, 0, 2))


def test_wrong_options_of_our_steps_are_told_when_they_are_made() -> None:
    with pytest.raises(UserError, match=r"clean\.pii = 'gone'"):
        to_datatrove("clean", pii="gone")
    with pytest.raises(UserError, match="did you mean gopher_quality"):
        to_datatrove("filter", rules=["goper_quality"])
    with pytest.raises(UserError, match="min_wrds"):
        to_datatrove("filter", gopher_quality={"min_wrds": 3})
    with pytest.raises(UserError, match="unexpected keyword argument 'thres'"):
        to_datatrove("dedup", thres=0.7)
    with pytest.raises(UserError, match=r"dedup\.threshold = 7"):
        to_datatrove("dedup", threshold=7)


def test_tasks_share_the_documents_of_a_run(tmp_path: Path, sample: Path) -> None:
    from pipeline.recipe.load import load_recipe
    from pipeline.run.folder import Run
    from tests.pipeline.lineage.conftest import run_stages, write_inputs

    run_stages(Run(str(tmp_path / "run"), load_recipe(write_inputs(tmp_path, sample))))
    whole = [document.id for document in run_reader(tmp_path / "run", "all").run()]
    parts = [[d.id for d in run_reader(tmp_path / "run", "all").run(None, rank, 2)] for rank in range(2)]
    assert len(whole) == 123
    assert all(parts)
    assert sorted(parts[0] + parts[1]) == sorted(whole)
    reader = pickle.loads(pickle.dumps(run_reader(tmp_path / "run")))  # as an executor sends it to its processes
    assert len(list(reader.run())) == 120
    with pytest.raises(UserError, match="no column 'nope'"):
        run_reader(tmp_path / "run", columns=["nope"])
    with pytest.raises(UserError, match="rank 2 of 2"):
        list(run_reader(tmp_path / "run").run(None, 2, 2))
