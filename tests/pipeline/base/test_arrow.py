import secrets
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.base.arrow import doc_id_array, doc_id_column, parquet_writer, text_buffers
from tests.full_disk import files_of_at_most


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_texts_of_a_slice_are_read_in_place(kind: pa.DataType) -> None:
    array = pa.array(["zero", "one", "", "東京", "last"], kind)
    offsets, data = text_buffers(array.slice(1, 3))
    assert offsets.tolist() == [0, 3, 3, 9]
    assert data.tobytes().decode() == "one東京"
    assert np.shares_memory(data, np.frombuffer(array.buffers()[2], np.uint8))


def test_texts_of_a_mapped_file_outlive_their_array(tmp_path: Path) -> None:
    table = pa.table({"text": pa.array(["one", "two"], pa.large_string())})
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    batch = pa.ipc.open_file(pa.memory_map(str(tmp_path / "t.arrow"))).get_batch(0)
    offsets, data = text_buffers(batch.column("text"))
    del batch
    assert (offsets.tolist(), data.tobytes()) == ([0, 3, 6], b"onetwo")


@pytest.mark.parametrize("texts", [[], [""], [None], pa.array([], pa.string()), pa.nulls(2), pa.array(["", None])])
def test_nothing_has_no_bytes(texts: list[str | None] | pa.Array) -> None:
    offsets, data = text_buffers(texts)
    assert offsets.tolist() == [0] * (len(texts) + 1)
    assert len(data) == 0


def test_array_of_no_strings_is_refused() -> None:
    with pytest.raises(ValueError, match="texts must be strings, got an Arrow array of int64"):
        text_buffers(pa.array([1]))


def test_ids_survive_the_way_to_a_column_and_back() -> None:
    rows = np.arange(48, dtype=np.uint8).reshape(3, 16)
    column = doc_id_column(rows)
    assert column.to_pylist() == [row.tobytes() for row in rows]
    assert np.array_equal(doc_id_array(column.slice(1)), rows[1:])
    assert doc_id_column(rows.view("<u8")).equals(column)


def test_parquet_file_that_cannot_grow_ends_in_the_error_of_the_write(tmp_path: Path) -> None:
    rows = pa.table({"text": [secrets.token_hex(500) for _ in range(100)]})
    with (
        files_of_at_most(2_000),
        pytest.raises(OSError, match="File too large"),
        parquet_writer(tmp_path / "texts.parquet", rows.schema) as file,
    ):
        file.write_table(rows)


def test_parquet_file_that_an_error_ends_has_no_footer(tmp_path: Path) -> None:
    rows = pa.table({"text": ["a"]})
    other = pa.table({"other": ["a"]})
    with (
        pytest.raises(ValueError, match="schema does not match"),
        parquet_writer(tmp_path / "texts.parquet", rows.schema) as file,
    ):
        file.write_table(other)
    with pytest.raises(pa.ArrowInvalid, match="Parquet"):
        pq.read_table(tmp_path / "texts.parquet")
