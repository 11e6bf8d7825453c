"""Tables that are read range by range: what is written comes back, nothing else is read, and damage is told."""

import os
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.errors import FormatError
from pipeline.run.table_files import (
    Column,
    RangeReader,
    RangeWriter,
    Table,
    TableWriter,
    mark_sound,
    range_checksum,
    read_range,
)

TABLE = Table(
    "things",
    "things/",
    (1, 0),
    (
        Column("number", pa.int64(), "a number"),
        Column("name", pa.string(), "a name", nullable=True),
        Column("parts", pa.list_(pa.uint64()), "numbers", nullable=True),
        Column("flag", pa.bool_(), "yes or no", nullable=True),
    ),
    "by number",
    None,
)
ROWS = st.lists(
    st.tuples(
        st.integers(-5, 5),
        st.none() | st.text("aé", max_size=3),
        st.none() | st.lists(st.integers(0, 9), max_size=3),
        st.none() | st.booleans(),
    ),
    max_size=20,
)


def rows_table(rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(TABLE.columns)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, TABLE.schema, strict=True)], schema=TABLE.schema)


def write(path: Path, table: pa.Table, edges: list[int]) -> None:
    with RangeWriter(TableWriter(path, TABLE)) as ranges:
        ranges.write_all(table, edges)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.lists(st.integers(0, 20), max_size=5))
def test_ranges_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]], cuts: list[int]
) -> None:
    table, path = rows_table(rows), tmp_path_factory.mktemp("ranges") / "things.arrow"
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    write(path, table, edges)
    with RangeReader(str(path), TABLE) as reader:
        found = [reader.read(number) for number in range(reader.ranges)]
    assert [batch.to_pylist() for batch in found] == [
        table.slice(start, end - start).to_pylist()
        for start, end in zip(edges[:-1], edges[1:], strict=True)  # noqa: RUF007
    ]
    for number, batch in enumerate(found):
        assert read_range(str(path), TABLE, number, range_checksum(batch, TABLE.schema)).equals(batch)


def test_no_flipped_bit_of_a_range_goes_unnoticed(tmp_path: Path) -> None:
    rows = [(number, f"name {number}", [number, 7], number % 2 == 0) for number in range(40)]
    path, table = tmp_path / "things.arrow", rows_table(rows)
    write(path, table, [0, 10, 40])
    whole, unnoticed, told = path.read_bytes(), 0, set()
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        try:
            assert read_range(str(path), TABLE, 1).to_pylist() == table.slice(10).to_pylist()
            unnoticed += 1  # a byte of the other range, of padding, or one that says nothing
        except FormatError as error:
            told.add(str(path) in str(error))
    assert 0 < unnoticed < len(whole) / 3
    assert told == {True}


def test_of_a_file_that_this_process_has_written_what_came_later_is_noticed(tmp_path: Path) -> None:
    path, table = tmp_path / "things.arrow", rows_table([(1, "name", [1], True)])
    write(path, table, [0, 1])
    mark_sound(path)
    assert read_range(str(path), TABLE, 0).to_pylist() == table.to_pylist()
    data, before = path.read_bytes(), path.stat()
    path.write_bytes(data.replace(b"name", b"nape"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(FormatError, match=r"the checksum of range 0 is not the one written with it"):
        read_range(str(path), TABLE, 0)


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_a_short_file_is_named(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "things.arrow"
    write(path, rows_table([(1, "a", [1], True)]), [0, 1])
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep if keep < 1 else keep)])
    with pytest.raises(FormatError, match=r"things\.arrow.*tokenmill verify RUN"):
        read_range(str(path), TABLE, 0)


def test_a_missing_file_and_a_missing_range_are_named(tmp_path: Path) -> None:
    path = tmp_path / "things.arrow"
    with pytest.raises(FileNotFoundError) as missing:
        read_range(str(path), TABLE, 0)
    assert missing.value.filename == str(path)
    write(path, rows_table([]), [0, 0])
    with pytest.raises(FormatError, match=r"things.arrow: expected at least 4 ranges, found 1"):
        read_range(str(path), TABLE, 3)


def test_of_an_object_the_end_and_the_range_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = np.arange(400_000)
    columns = [pa.array(numbers), *(pa.nulls(len(numbers), field.type) for field in list(TABLE.schema)[1:])]
    table = pa.Table.from_arrays(columns, schema=TABLE.schema)
    write(tmp_path / "things.arrow", table, [0, 200_000, 201_000, 400_000])
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/ranges/things.arrow", (tmp_path / "things.arrow").read_bytes())
    asked: list[tuple[int, int]] = []
    whole = type(memory).cat_file

    def cat_file(self: Any, path: str, start: int, end: int, **options: Any) -> bytes:
        asked.append((start, end))
        return bytes(whole(self, path, start=start, end=end, **options))

    monkeypatch.setattr(type(memory), "cat_file", cat_file)
    found = read_range("memory://ranges/things.arrow", TABLE, 1)
    assert found.column("number").to_pylist() == list(range(200_000, 201_000))
    assert 1 < len(asked) <= 4
    assert sum(end - start for start, end in asked) < 120_000 < (tmp_path / "things.arrow").stat().st_size / 20
    memory.rm("/ranges", recursive=True)
