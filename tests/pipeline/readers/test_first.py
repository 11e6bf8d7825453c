"""The columns of a file's first records, as data: for `init`, checks of a recipe and errors."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.readers.parts.first import Column, FirstRecords, first_records, value_at
from pipeline.readers.parts.inputs import list_inputs

ROWS = [{"Title": f"Pump {n}", "Body": f"The valve is closed by hand, {n}.", "page": n} for n in range(60)]


def look(file: Path, **options: Any) -> FirstRecords:
    inputs = list_inputs("own", [str(file)])
    return first_records(inputs, inputs.files[0], **options)


def written(folder: Path, ending: str) -> Path:
    """A file of the rows."""
    file = folder / f"pumps.{ending}"
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), file)
    elif ending == "arrow":
        table = pa.Table.from_pylist(ROWS)
        with pa.ipc.new_file(str(file), table.schema) as writer:
            writer.write_table(table)
    elif ending == "csv":
        file.write_text("Title,Body,page\n" + "".join(f'{r["Title"]},"{r["Body"]}",{r["page"]}\n' for r in ROWS))
    elif ending == "json":
        file.write_text(json.dumps(ROWS))
    else:
        lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
        file.write_bytes(gzip.compress(lines) if ending.endswith("gz") else lines)
    return file


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "json", "csv", "parquet", "arrow"])
def test_columns_are_told_whatever_they_are_called(ending: str, tmp_path: Path) -> None:
    first = look(written(tmp_path, ending))
    assert [column.name for column in first.columns] == ["Title", "Body", "page"]
    assert len(first.values) == 50
    assert not first.damaged
    body, page = first.columns[1:]
    assert (body.kinds, body.filled, body.example) == (("string",), 50, "The valve is closed by hand, 0.")
    assert body.characters == sum(len(str(row["Body"])) for row in ROWS[:50]) / 50
    assert page.kinds == (("string",) if ending == "csv" else ("number",))


def test_columns_of_objects_have_the_dotted_names_that_fields_take(tmp_path: Path) -> None:
    file = tmp_path / "nested.jsonl"
    file.write_text('{"data": {"body": {"en": "A text."}}, "tags": ["a"]}\n{"data": null, "ok": true}\n')
    first = look(file)
    assert [(column.name, column.kinds, column.filled) for column in first.columns] == [
        ("data", ("object",), 1),
        ("tags", ("list",), 1),
        ("data.body", ("object",), 1),
        ("data.body.en", ("string",), 1),
        ("ok", ("boolean",), 1),
    ]
    assert value_at(first.values[0], "data.body.en") == "A text."
    assert value_at(first.values[1], "data.body.en") is None


def test_columns_of_a_member_of_an_archive_and_of_a_name_that_is_no_unicode(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "pumps.zip", "w") as archive:
        archive.write(written(tmp_path, "csv"), "inner/pumps.csv")
    assert [column.name for column in look(tmp_path / "pumps.zip").columns] == ["Title", "Body", "page"]
    odd = tmp_path / "odd" / "caf\udce9.jsonl"
    odd.parent.mkdir()
    odd.write_text('{"body": "A text."}\n')
    assert look(odd.parent).columns == (Column("body", ("string",), 1, 7.0, "A text."),)


def test_damage_and_formats_without_fields_give_no_columns(tmp_path: Path) -> None:
    (tmp_path / "half.jsonl").write_text('{"a": 1}\n{"a": \n')
    first = look(tmp_path / "half.jsonl")
    assert [column.name for column in first.columns] == ["a"]
    assert [item.reason for item in first.damaged] == ["json_invalid"]
    (tmp_path / "plain.txt").write_text("A text.")
    assert look(tmp_path / "plain.txt").columns == ()
    (tmp_path / "twice.csv").write_text("text,text\na,b\n")
    assert [column.name for column in look(tmp_path / "twice.csv").columns] == ["text", "text (2)"]
