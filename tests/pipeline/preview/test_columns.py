"""Columns that the recipe names and no record has: told before the stage reads, from the first records."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from pipeline.preview.columns import refused
from pipeline.recipe.load import load_recipe

TEXT = "The valve on the third pump is closed by hand before the filter is taken out."
ROWS = [{"document_id": f"T-{n}", "Inhalt": f"{TEXT} {n}", "state": "open"} for n in range(3)]


def write(folder: Path, name: str, rows: Sequence[dict[str, Any]]) -> None:
    path, table = folder / name, pa.Table.from_pylist(list(rows))
    if name.endswith(".parquet"):
        pq.write_table(table, path)
    elif name.endswith(".arrow"):
        feather.write_feather(table, str(path), compression="uncompressed")
    elif name.endswith(".jsonl"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        lines = [";".join(rows[0]), *(";".join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines) + "\n")


def told(folder: Path, more: str = "", *overrides: str) -> list[str]:
    path = folder / "recipe.toml"
    path.write_text(f'[[sources]]\nname = "s"\npaths = ["*.*"]\nexclude = ["recipe.toml"]\n{more}')
    return list(refused(load_recipe(path, overrides)))


@pytest.mark.parametrize("kind", ["parquet", "arrow", "jsonl", "csv"])
def test_missing_column_is_told_with_those_there_are_and_the_line_to_add(tmp_path: Path, kind: str) -> None:
    write(tmp_path, f"a.{kind}", ROWS)
    (words,) = told(tmp_path)
    assert words == (
        f"source s: no record has a text: there is no text or content or raw_content in a.{kind}; columns: "
        'document_id, Inhalt, state. Set in this source: fields = {text = "Inhalt"}'
    )
    line = words.rpartition(": ")[2]
    assert told(tmp_path, f"{line}\n") == []


def test_fields_that_were_given_stay_in_the_line_to_add(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", ROWS)
    (words,) = told(tmp_path, 'fields = { text = "body", id = "document_id" }\n')
    assert "there is no body in a.jsonl" in words
    assert words.endswith('fields = {text = "Inhalt", id = "document_id"}')


def test_one_file_of_many_that_has_the_text_lets_the_run_go_on(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        write(tmp_path, name, ROWS)
    assert "in a.jsonl, nor in any of 2 files" in told(tmp_path)[0]
    write(tmp_path, "c.jsonl", [{"text": TEXT}])
    assert told(tmp_path) == []


@pytest.mark.parametrize(
    "rows",
    [
        [*ROWS, {"text": TEXT}],  # a record that lacks it among those that have it
        [{"text": None, "n": 1}, {"text": None, "n": 2}],  # the column is there
        [{"text": 7}],
    ],
)
def test_records_that_are_damaged_for_another_reason_refuse_nothing(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    write(tmp_path, "a.jsonl", rows)
    assert told(tmp_path) == []


def test_what_is_no_table_is_left_to_its_reader(tmp_path: Path) -> None:
    write(tmp_path, "package.jsonl", ROWS)
    (tmp_path / "read.me.txt").write_text(TEXT)
    assert told(tmp_path) == []
    (tmp_path / "read.me.txt").unlink()
    assert told(tmp_path, "[clean]\nmax_quarantined = 1.0\n") == []  # all of it may be damaged: somebody has said so


def test_other_fields_that_no_table_has(tmp_path: Path) -> None:
    write(tmp_path, "a.parquet", ROWS)
    write(tmp_path, "b.csv", [{"Inhalt": TEXT, "link": "x"}])
    for name in ("link", "Link"):  # a CSV reader takes either case
        assert told(tmp_path, f'fields = {{ text = "Inhalt", url = "{name}" }}\n') == []
    (words,) = told(tmp_path, 'fields = { text = "Inhalt", url = "web" }\n')
    assert words.startswith("source s: fields.url = 'web': no record has it; columns: document_id, Inhalt, state")
    write(tmp_path, "c.jsonl", [{"Inhalt": TEXT}])  # a later record may have it
    assert told(tmp_path, 'fields = { text = "Inhalt", url = "web" }\n') == []


def test_column_to_keep_by_that_no_record_has(tmp_path: Path) -> None:
    write(tmp_path, "a.parquet", ROWS)
    fields = 'fields = { text = "Inhalt" }\n'
    assert told(tmp_path, fields, "dedup.keep=state") == told(tmp_path, fields, "dedup.keep=url") == []
    (words,) = told(tmp_path, fields, "dedup.keep=views")
    assert words.startswith("dedup.keep = 'views': no record has it; columns: document_id, Inhalt, state;")
    order = 'stages=["clean", "filter", "dedup"]'
    assert told(tmp_path, fields, "dedup.keep=views", order) == []  # a signal may be called so
