"""What a record, a part or a library does wrong costs itself: the run goes on, and the quarantine names it."""

import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.base.pool import Pool
from pipeline.clean import worker
from pipeline.clean.languages import identify as language
from pipeline.clean.stage import run as run_clean
from pipeline.readers.columns.footers import Footers
from pipeline.readers.parts import part_reader
from pipeline.recipe.options import Clean as CleanOptions
from pipeline.recipe.options import Recipe, Source
from pipeline.run.context import Context
from pipeline.run.folder import Run
from pipeline.run.table_files import read_table
from pipeline.run.tables import QUARANTINE
from tests.encrypted_parquet import encrypted
from tests.pipeline.clean.inputs import Clean


def write_lines(path: Path, count: int) -> None:
    path.write_text(
        "".join(json.dumps({"id": f"r{n}", "text": f"Record number {n}."}) + "\n" for n in range(count)),
        encoding="utf-8",
    )


@pytest.mark.slow  # four processes import datatrove
def test_what_kills_its_worker_costs_its_part(tmp_path: Path) -> None:
    for name, text in {"a": "one\ntwo", "b": "three\nKILL\nfour", "c": "five"}.items():
        (tmp_path / f"{name}.txt").write_text(text)
    source = Source(name="s", paths=[str(tmp_path / "*.txt")], format="tests.pipeline.clean.odd_readers.OddReader")
    run = Run(str(tmp_path / "run"), Recipe(sources=[source], clean=CleanOptions(max_quarantined=1.0)))
    with run.lock(), Pool(1) as pool:
        summary = run_clean(Context(run, pool))
    assert (summary["documents"], summary["quarantined_reasons"]) == (3, {"process_died": 1})
    (row,) = read_table(tmp_path / "run/quarantine/00000.arrow", QUARANTINE).to_pylist()
    assert (row["path"], row["length"]) == ("b.txt", 15)


def test_what_a_reader_raises_costs_the_rest_of_its_part(
    tmp_path: Path, clean: Clean, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lines(tmp_path / "a.jsonl", 3)
    write_lines(tmp_path / "b.jsonl", 3)
    true = part_reader.read_jsonl  # type: ignore[attr-defined]

    def failing(chunks: object, path: str, *rest: object) -> object:
        for number, item in enumerate(true(chunks, path, *rest)):  # type: ignore[arg-type]
            if path == "a.jsonl" and number == 1:
                raise KeyError("nobody foresaw this")
            yield item

    monkeypatch.setattr(part_reader, "read_jsonl", failing)
    cleaned = clean(tmp_path)
    assert cleaned.numbers() == (4, 0, 1)
    assert cleaned.quarantined[0]["detail"] == "KeyError: 'nobody foresaw this'"
    assert cleaned.reasons == ["reader_failed"]


@pytest.mark.parametrize("step", ["normalise", "detect", "clean_lines"])
def test_what_a_step_raises_costs_the_record_and_not_its_slice(
    tmp_path: Path, clean: Clean, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    write_lines(tmp_path / "a.jsonl", 5)
    true = getattr(worker, step)

    def failing(texts: object, *rest: object, **options: object) -> object:
        if "Record number 3." in texts:  # type: ignore[operator]
            raise RuntimeError("this text")
        return true(texts, *rest, **options)

    monkeypatch.setattr(worker, step, failing)
    cleaned = clean(tmp_path, clean_lines=["javascript"])
    assert [document["id"] for document in cleaned.documents] == ["r0", "r1", "r2", "r4"]
    assert [(row["reason"], row["detail"]) for row in cleaned.quarantined] == [
        ("record_failed", "RuntimeError: this text")
    ]
    assert language.detect(["English words"], 100)[0] == ["en"]  # the model itself is whole


def test_half_a_surrogate_pair_in_a_page_s_json_ld_is_replaced(tmp_path: Path, clean: Clean) -> None:
    head = '<script type="application/ld+json">{"license": "cut \\ud83d"}</script>'
    text = "A paragraph of running text that is long enough to be taken for the content of a page."
    (tmp_path / "a.html").write_text(f"<html><head>{head}</head><body><main><p>{text}</p></main></body></html>")
    cleaned = clean(tmp_path / "a.html")
    assert [document["licence"] for document in cleaned.documents] == ["cut \ufffd"]


def test_a_value_that_its_column_cannot_hold_costs_its_record(
    tmp_path: Path, clean: Clean, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lines(tmp_path / "a.jsonl", 4)
    true = worker.decode, worker.detect  # type: ignore[attr-defined]

    def odd(texts: list[str], *how: object) -> object:
        languages, scores = true[1](texts, *how)
        return ["en\ud83d" if "2" in text else name for text, name in zip(texts, languages, strict=True)], scores

    monkeypatch.setattr(worker, "detect", odd)
    cleaned = clean(tmp_path)
    assert [document["id"] for document in cleaned.documents] == ["r0", "r1", "r3"]
    assert cleaned.reasons == ["record_failed"]
    assert cleaned.counts["text_bytes"] == 3 * len("Record number 0.")


def test_footer_that_ends_a_process_is_none(tmp_path: Path) -> None:
    encrypted(tmp_path / "a.parquet", 3)
    pq.write_table(pa.table({"text": ["a"] * 10}), tmp_path / "b.parquet", row_group_size=5)
    with Footers() as footers:
        assert footers.group_bytes(tmp_path / "a.parquet") is None
        assert [len(group) for group in footers.chunks(tmp_path / "b.parquet") or []] == [1, 1]


def test_encrypted_column_costs_itself_also_where_the_file_is_split(
    tmp_path: Path, clean: Clean, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypted(tmp_path / "a.parquet", 30)
    monkeypatch.setattr("pipeline.readers.parts.partition.MIN_PARTITION_BYTES", 100)
    cleaned = clean(tmp_path)
    assert cleaned.numbers() == (30, 0, 1)
    assert cleaned.quarantined[0]["detail"].startswith("rows 0 to 29 lack secret, which cannot be read: ")


def test_the_recursion_limit_is_what_it_was(tmp_path: Path, clean: Clean) -> None:
    limit = sys.getrecursionlimit()
    levels = [900, 985, 1020]
    (tmp_path / "a.jsonl").write_text(
        "".join(f'{{"text": "deep {n}", "x": {"[" * n}{"]" * n}}}\n' for n in levels) + '{"text": "flat"}\n'
    )
    cleaned = clean(tmp_path)
    assert len(cleaned.documents) + cleaned.reasons.count("json_invalid") == 4
    assert cleaned.texts[-1] == "flat"
    assert sys.getrecursionlimit() == limit
