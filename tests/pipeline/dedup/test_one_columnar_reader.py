"""Parquet and Arrow files as a run and as ``dedup run`` read them: the same texts, the same damage."""

import errno
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.dedup.files.fields import WantedFields
from pipeline.dedup.files.input_files import Part, file_at
from pipeline.dedup.files.records import RecordReader
from pipeline.readers import columnar
from pipeline.readers.columnar_rows import read_arrow, read_parquet
from pipeline.readers.records import Damaged, Fields, Record
from pipeline.readers.streams import Limits

TEXTS = [f"record {number} " + "word " * (number % 7) for number in range(300)]
TABLE = pa.table({"id": list(range(300)), "text": TEXTS, "n": list(range(300))})


def written(folder: Path, kind: str) -> Path:
    file = folder / f"a.{kind}"
    if kind == "parquet":
        pq.write_table(TABLE, file, row_group_size=100, use_dictionary=False)
    else:
        with pa.ipc.new_file(file, TABLE.schema) as sink:
            sink.write_table(TABLE, max_chunksize=100)
    return file


def by_a_run(file: Path, kind: str, limits: Limits) -> tuple[list[str], set[tuple[str, int]]]:
    read = read_parquet if kind == "parquet" else read_arrow
    items = list(read(file, file.name, Fields({}, None), limits))
    lost = {
        (item.reason, item.offset) for item in items if isinstance(item, Damaged) and " lack " not in str(item.detail)
    }
    return [item.text for item in items if isinstance(item, Record)], lost


def by_dedup(file: Path, limits: Limits) -> tuple[list[str], set[tuple[str, int]], RecordReader]:
    reader = RecordReader(Part.whole(file_at(file.name, str(file))), WantedFields("text", "id"), limits)
    texts = [text for batch in reader.batches() for text in batch.texts.to_pylist()]
    return texts, {(item.reason, item.offset) for item in reader.damaged}, reader


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_both_find_the_same_texts_and_the_same_damage(kind: str, tmp_path: Path) -> None:
    file, chosen, seen = written(tmp_path, kind), random.Random(1), set()
    whole = file.read_bytes()
    for _ in range(60):
        data = bytearray(whole)
        at = chosen.randrange(8, len(data) - 16)
        data[at : at + 4] = chosen.randbytes(4)
        file.write_bytes(data)
        run, dedup = by_a_run(file, kind, Limits()), by_dedup(file, Limits())
        assert dedup[:2] == run
        seen |= {reason for reason, _ in run[1]}
    assert {"corrupt_file", "corrupt_rows"} & seen


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_both_stop_where_a_file_becomes_too_much(kind: str, tmp_path: Path) -> None:
    limits = Limits(decompressed_bytes=columnar.ROW_BYTES * 150)
    (texts, lost), (found, damage, reader) = (
        by_a_run(written(tmp_path, kind), kind, limits),
        by_dedup(tmp_path / f"a.{kind}", limits),
    )
    assert {reason for reason, _ in lost} == {reason for reason, _ in damage} == {"decompression_bomb"}
    assert 0 < len(texts) <= len(found) < 300
    assert reader.rows <= 300


def test_records_of_which_the_id_cannot_be_read_are_kept(tmp_path: Path) -> None:
    file = written(tmp_path, "parquet")
    data = bytearray(file.read_bytes())
    at = pq.read_metadata(file).row_group(1).column(0).data_page_offset
    data[at : at + 20] = b"\xff" * 20
    file.write_bytes(data)
    texts, damage, _ = by_dedup(file, Limits())
    assert texts == by_a_run(file, "parquet", Limits())[0] == TEXTS
    assert damage == set()


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_text_of_more_bytes_than_a_record_may_have_is_damage_to_both(kind: str, tmp_path: Path) -> None:
    limits = Limits(record_bytes=1024)
    table = pa.table({"text": ["ä" * 600, "short"]})
    file = tmp_path / f"a.{kind}"
    if kind == "parquet":
        pq.write_table(table, file)
    else:
        with pa.ipc.new_file(file, table.schema) as sink:
            sink.write_table(table)
    assert (
        by_a_run(file, kind, limits)
        == by_dedup(file, limits)[:2]
        == (
            ["short"],
            {("record_too_large", 0)},
        )
    )


def refusing(number: int) -> Any:
    def batches(*_: object) -> Iterator[pa.RecordBatch]:
        raise OSError(number, "refused")
        yield

    return batches


def test_file_that_the_system_does_not_give_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, "parquet")
    monkeypatch.setattr(columnar, "group_batches", refusing(errno.EIO))
    texts, damage, _ = by_dedup(file, Limits())
    assert (texts, damage) == ([], {("unreadable", 0)})


def test_process_without_descriptors_takes_no_file_for_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, "parquet")
    monkeypatch.setattr(columnar, "group_batches", refusing(errno.EMFILE))
    with pytest.raises(OSError, match="refused"):
        by_dedup(file, Limits())
