"""Values of other people's tables and JSON: what Python or a table cannot hold is written in another way, or told."""

import datetime
import json
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.readers import columnar, streams
from pipeline.readers.columnar_rows import read_arrow, read_parquet
from pipeline.readers.records import Fields, Record
from pipeline.readers.streams import Limits
from tests.months_arrow import write_months
from tests.pipeline.clean.inputs import Clean

TEXTS = ["one", "two", "three"]


def write(path: Path, **columns: pa.Array) -> Path:
    pq.write_table(pa.table({"text": TEXTS, **columns}), path)
    return path


@pytest.mark.parametrize(
    ("column", "printed"),
    [
        (pa.array([0, 2942896, 1], pa.date32()), "10027-05-18"),
        (pa.array([0, -(10**14), 1], pa.timestamp("ms")), "-1199-02-15 14:13:20.000"),
        (pa.array([0, 253402300799999, 1], pa.timestamp("ms", "Asia/Tokyo")), "9999-12-31 23:59:59.999Z"),
        (pa.array([0, 60, 1], pa.timestamp("s", "Mars/Olympus")), "1970-01-01 00:01:00"),
        (pa.array([0, 1 << 62, 1], pa.duration("s")), str(1 << 62)),
        (pa.array([0, 1 << 60, 1]).view(pa.date64()), str(1 << 60)),
        (pa.array([0, 1 << 60, 1]).view(pa.time64("ns")), str(1 << 60)),
    ],
)
def test_time_that_python_cannot_hold_is_text(tmp_path: Path, clean: Clean, column: pa.Array, printed: str) -> None:
    table = pa.table({"text": TEXTS, "at": column})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as file:  # Parquet has days without a time only
        file.write_table(table)
    cleaned = clean(tmp_path)
    assert cleaned.texts == TEXTS
    assert json.loads(cleaned.documents[1]["metadata"])["at"].startswith(printed)


def test_dates_within_lists_and_structs(tmp_path: Path, clean: Clean) -> None:
    odd = pa.array([[2942896]] * 3, pa.list_(pa.date32()))
    inner = pa.StructArray.from_arrays([pa.array([2942896] * 3, pa.date32()), pa.array([1] * 3)], ["day", "n"])
    cleaned = clean(write(tmp_path / "a.parquet", a=odd, b=inner))
    assert json.loads(cleaned.documents[0]["metadata"]) == {"a": ["10027-05-18"], "b": {"day": "10027-05-18", "n": 1}}


def test_column_of_a_type_without_values_costs_itself_alone(tmp_path: Path, clean: Clean) -> None:
    write_months(tmp_path / "a.arrow", TEXTS)
    cleaned = clean(tmp_path)
    assert cleaned.texts == TEXTS
    assert [(row["reason"], row["detail"]) for row in cleaned.quarantined] == [
        ("corrupt_rows", "rows 0 to 2 lack x, which cannot be read: pyarrow makes no values of month_interval")
    ]


def test_time_that_python_can_hold_is_printed_as_before(tmp_path: Path, clean: Clean) -> None:
    at = pa.array([datetime.datetime(2024, 2, 3, 4, 5, 6)] * 3)
    cleaned = clean(write(tmp_path / "a.parquet", at=at))
    assert json.loads(cleaned.documents[0]["metadata"]) == {"at": "2024-02-03 04:05:06"}


def test_struct_that_names_a_field_twice(tmp_path: Path, clean: Clean) -> None:
    twice = pa.StructArray.from_arrays([pa.array([1] * 3), pa.array([2] * 3)], ["a", "a"])
    cleaned = clean(write(tmp_path / "a.parquet", extra=twice))
    assert json.loads(cleaned.documents[0]["metadata"]) == {"extra": {"a": 1, "a (2)": 2}}


def test_two_columns_of_one_name(tmp_path: Path, clean: Clean) -> None:
    table = pa.table([pa.array(TEXTS), pa.array([1] * 3), pa.array([2] * 3)], names=["text", "n", "n"])
    pq.write_table(table, tmp_path / "a.parquet")
    pq.write_table(pa.table([pa.array(TEXTS)] * 2, names=["text", "text"]), tmp_path / "b.parquet")
    cleaned = clean(tmp_path)
    assert json.loads(cleaned.documents[0]["metadata"]) == {"n": 1, "n (2)": 2}
    assert cleaned.reasons == ["ambiguous_text"] * 3


def test_column_name_that_is_not_utf8(tmp_path: Path, clean: Clean) -> None:
    table = pa.table({"text": TEXTS, "name": [1, 2, 3]})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as file:
        file.write_table(table)
    data = (tmp_path / "a.arrow").read_bytes()
    assert b"name" in data
    (tmp_path / "a.arrow").write_bytes(data.replace(b"name", b"nam\xff"))
    cleaned = clean(tmp_path)
    assert cleaned.texts == TEXTS
    assert json.loads(cleaned.documents[2]["metadata"]) == {"nam\ufffd": 3}


@pytest.mark.parametrize("kind", ["string", "dictionary", "map", "fixed list", "list", "struct"])
def test_string_that_is_not_utf8_costs_its_row(tmp_path: Path, clean: Clean, kind: str) -> None:
    bad = pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", b"\xff\xfe", b"c"], pa.binary()).buffers())
    offsets = pa.array([0, 1, 2, 3], pa.int32())
    columns = {
        "string": bad,
        "dictionary": pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), bad),
        "map": pa.MapArray.from_arrays(offsets, pa.array(["k"] * 3), bad),
        "fixed list": pa.FixedSizeListArray.from_arrays(bad, 1),
        "list": pa.ListArray.from_arrays(offsets, bad),
        "struct": pa.StructArray.from_arrays([bad], ["s"]),
    }
    table = pa.table({"text": TEXTS, "x": columns[kind]})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as file:
        file.write_table(table)
    cleaned = clean(tmp_path)
    assert cleaned.texts == ["one", "three"]
    assert cleaned.reasons == ["not_utf8"]


def test_bytes_are_text_where_they_are_utf8(tmp_path: Path, clean: Clean) -> None:
    table = pa.table({"text": [b"caf\xc3\xa9", b"\xff\xfe"], "image": [b"\x89PNG" + bytes(5000), b"ok"]})
    pq.write_table(table, tmp_path / "a.parquet")
    cleaned = clean(tmp_path)
    assert cleaned.texts == ["café"]
    assert cleaned.reasons == ["not_utf8"]
    assert json.loads(cleaned.documents[0]["metadata"]) == {"image": "5,004 bytes"}


def test_metadata_is_json_whatever_numbers_are_in_it(tmp_path: Path, clean: Clean) -> None:
    lines = ['{"text": "a", "v": [NaN, 1], "w": {"x": -Infinity}}', '{"text": "b", "v": 1e400}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    write(tmp_path / "b.parquet", v=pa.array([float("nan"), float("inf"), 1.5]))
    cleaned = clean(tmp_path)
    found = [orjson.loads(document["metadata"]) for document in cleaned.documents]
    assert found == [{"v": [None, 1], "w": {"x": None}}, {"v": None}, {"v": None}, {"v": None}, {"v": 1.5}]


def test_whole_numbers_keep_their_digits(tmp_path: Path, clean: Clean) -> None:
    large = [(1 << 128) - 1, (1 << 128) - 2, 10**19, 5]
    records = [{"text": f"t{n}", "id": n, "of": {"list": [n]}} for n in large]
    records.append({"text": "float", "id": 1.5, "of": 1e300})
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, records)))
    cleaned = clean(tmp_path)
    assert [document["id"] for document in cleaned.documents] == [*map(str, large), "1.5"]
    assert [json.loads(document["metadata"])["of"] for document in cleaned.documents] == [
        *({"list": [n]} for n in large),
        1e300,
    ]


def test_number_of_more_digits_than_python_reads_is_no_death(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a", "id": ' + "9" * 5000 + '}\n{"text": "b"}\n')
    cleaned = clean(tmp_path)
    assert cleaned.texts[-1] == "b"


def test_one_value_many_times_is_a_bomb(tmp_path: Path, clean: Clean, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "RATIO_GRACE_BYTES", 4 << 20)
    pq.write_table(pa.table({"text": ["spam " * 200_000] * 300}), tmp_path / "a.parquet", compression="zstd")
    assert (tmp_path / "a.parquet").stat().st_size < 5000
    cleaned = clean(tmp_path)
    assert cleaned.reasons == ["decompression_bomb"]
    assert 0 < len(cleaned.documents) < 10


def test_rows_of_nothing_are_bounded(tmp_path: Path, clean: Clean, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "RATIO_GRACE_BYTES", 1 << 20)
    table = pa.table({"other": pa.nulls(30_000_000)})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as file:
        file.write_table(table)
    size = (tmp_path / "a.arrow").stat().st_size
    assert size < 2000
    (tmp_path / "b.jsonl").write_text('{"text": "after it"}\n')
    cleaned = clean(tmp_path, max_decompression_ratio=10)
    assert cleaned.reasons[-1] == "decompression_bomb"
    assert len(cleaned.quarantined) < 20_000
    assert cleaned.texts == ["after it"]


def test_large_rows_are_read_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columnar, "BATCH_BYTES", 1 << 20)
    texts = [f"{n}" + "book " * 4_000 for n in range(600)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet", compression="zstd")
    opened = pq.ParquetFile(tmp_path / "a.parquet")
    batches = list(columnar.group_batches(opened, [0]))
    assert max(batch.nbytes for batch in batches) <= 1 << 20
    assert [text for batch in batches for text in batch.column(0).to_pylist()] == texts


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_row_that_is_too_large_in_another_column_than_the_text_is_quarantined(kind: str, tmp_path: Path) -> None:
    table = pa.table({"text": ["first", "second", "third"], "page": ["x", "y" * 5000, "z"]})
    file, limits = tmp_path / f"a.{kind}", Limits(record_bytes=4096)
    if kind == "parquet":
        pq.write_table(table, file)
        items = list(read_parquet(file, "a", Fields({}, None), limits))
    else:
        with pa.ipc.new_file(file, table.schema) as sink:
            sink.write_table(table)
        items = list(read_arrow(file, "a", Fields({}, None), limits))
    assert [item.text if isinstance(item, Record) else (item.reason, item.offset) for item in items] == [
        "first",
        ("record_too_large", 1),
        "third",
    ]
