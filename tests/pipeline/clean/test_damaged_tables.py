"""Damage in Parquet, Arrow and CSV costs the rows it lies in."""

import io
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipeline.clean.inputs import Clean, damage


def test_parquet_without_the_text_column_is_damaged_row_by_row(tmp_path: Path, clean: Clean) -> None:
    pq.write_table(pa.table({"body": ["a", "b", "c"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": ["x"]}), tmp_path / "b.parquet")
    cleaned = clean(tmp_path)
    assert cleaned.numbers() == (1, 0, 3)
    assert cleaned.reasons == ["missing_text"] * 3


def test_parquet_with_text_of_a_wrong_type_is_damaged_row_by_row(tmp_path: Path, clean: Clean) -> None:
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "a.parquet")
    cleaned = clean(tmp_path / "a.parquet")
    assert cleaned.numbers() == (0, 0, 2)
    assert cleaned.reasons == ["wrong_type"] * 2


def test_parquet_rows_with_null_or_bad_bytes_cost_themselves(tmp_path: Path, clean: Clean) -> None:
    bad = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"], pa.binary()).buffers())
    text = pa.chunked_array([pa.array(["a", None]), bad, pa.array(["b"])])
    pq.write_table(pa.table({"text": text}), tmp_path / "a.parquet")
    cleaned = clean(tmp_path / "a.parquet")
    assert cleaned.texts == ["a", "b"]
    assert cleaned.reasons == ["missing_text", "not_utf8"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.list_(pa.string()), pa.struct({"a": pa.string()})])
def test_arrow_offsets_that_lead_outside_cost_their_column_in_their_batch(
    tmp_path: Path, clean: Clean, kind: pa.DataType
) -> None:
    values = {pa.list_(pa.string()): [["q" * 40]] * 3, pa.struct({"a": pa.string()}): [{"a": "q" * 40}] * 3}
    table = pa.table({"text": ["one", "two", "three"], "x": pa.array(values.get(kind, ["q" * 40] * 3), kind)})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as file:
        for _ in range(3):
            file.write_table(table)
    width = 8 if kind == pa.large_string() else 4
    offsets = b"".join((40 * n).to_bytes(width, "little") for n in range(4))
    before, first, second, after = (tmp_path / "a.arrow").read_bytes().split(offsets)
    wrong = offsets[:-width] + (1 << 30).to_bytes(width, "little")
    (tmp_path / "a.arrow").write_bytes(before + offsets + first + wrong + second + offsets + after)
    cleaned = clean(tmp_path / "a.arrow")
    assert cleaned.texts == ["one", "two", "three"] * 3
    assert [json.loads(row["metadata"] or "{}").get("x") is None for row in cleaned.documents] == [
        *([False] * 3 + [True] * 3 + [False] * 3)
    ]
    (row,) = cleaned.quarantined
    assert (row["reason"], row["offset"]) == ("corrupt_rows", 3)
    assert row["detail"].startswith("rows 3 to 5 lack x, which cannot be read: ")


def arrow_stream(batches: int, column: str = "text") -> bytes:
    sink = io.BytesIO()
    table = pa.table({column: ["a", "b", "c"]})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for _ in range(batches):
            writer.write_table(table)
    return sink.getvalue()


@pytest.mark.parametrize(("cut", "read"), [(0.7, 3), (1.0, 6)])
def test_arrow_stream_that_ends_before_its_file_or_after_keeps_what_was_read(
    tmp_path: Path, clean: Clean, cut: float, read: int
) -> None:
    content = arrow_stream(2)
    (tmp_path / "a.arrow").write_bytes(content[: int(len(content) * cut)] if cut < 1 else content + content)
    cleaned = clean(tmp_path / "a.arrow")
    assert (len(cleaned.texts), cleaned.reasons) == (read, ["corrupt_rows"])


def test_damaged_arrow_stream_without_the_text_column_is_counted(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.arrow").write_bytes(arrow_stream(2, "body")[:-100])
    assert clean(tmp_path / "a.arrow").reasons == ["missing_text"] * 3 + ["corrupt_rows"]


def test_parquet_whose_footer_lost_its_row_groups_is_damaged(tmp_path: Path, clean: Clean) -> None:
    pq.write_table(pa.table({"text": ["a", "b"]}), tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    at = content.index(b"\x16\x04\x19\x1c") + 3  # two rows; then a list of one row group: it becomes empty
    (tmp_path / "a.parquet").write_bytes(content[:at] + b"\0\0" + content[at + 2 :])
    cleaned = clean(tmp_path / "a.parquet")
    assert (cleaned.texts, cleaned.reasons) == ([], ["corrupt_file"])
    assert "2 rows, but its row groups hold 0" in cleaned.quarantined[0]["detail"]


def test_corrupt_row_group_costs_its_rows_as_one_region(tmp_path: Path, clean: Clean) -> None:
    rows = [os.urandom(300).hex() for _ in range(30)]
    pq.write_table(pa.table({"text": rows}), tmp_path / "a.parquet", row_group_size=10, use_dictionary=False)
    column = pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(1).column(0)
    data = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(damage(data, column.data_page_offset, 40))
    cleaned = clean(tmp_path / "a.parquet")
    assert cleaned.texts == rows[:10] + rows[20:]
    assert cleaned.reasons == ["corrupt_rows"]


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.zip", "a.tar"])
def test_file_that_is_not_of_its_format_costs_one(tmp_path: Path, clean: Clean, name: str) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind " * 100)
    (tmp_path / "b.txt").write_bytes(b"plain words")
    cleaned = clean(tmp_path)
    assert cleaned.numbers() == (1, 0, 1)
    assert cleaned.reasons == ["corrupt_file"]


def test_file_of_another_format_is_told_by_its_first_bytes(tmp_path: Path, clean: Clean) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.arrow")
    (quarantined,) = clean(tmp_path / "a.arrow").quarantined
    assert quarantined["detail"].endswith("; it begins like parquet: state its format in the recipe")


def test_csv_with_ragged_rows_loses_only_those(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.csv").write_bytes(
        b'id,text\n1,one\n2\n3,three,and more\n4,"fo\nur"\n5,caf\xe9\n6,"six\n7,seven\n8,"eight"x\n9,nine\n'
    )
    cleaned = clean(tmp_path / "a.csv")
    assert cleaned.texts == ["one", "fo\nur", "seven", "nine"]
    assert cleaned.reasons == ["ragged_row", "ragged_row", "not_utf8", "csv_invalid", "csv_invalid"]
    assert {row["path"] for row in cleaned.quarantined} == {"a.csv"}


def test_csv_header_that_is_not_utf8_costs_no_row(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.csv").write_bytes("größe;text\n1;one\n2;two\n".encode("cp1252"))
    cleaned = clean(tmp_path / "a.csv")
    assert cleaned.texts == ["one", "two"]
    assert json.loads(cleaned.documents[0]["metadata"]) == {"gr\ufffd\ufffde": "1"}


def test_csv_whose_header_alone_ends_with_a_carriage_return_loses_no_row(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.csv").write_bytes(b'id,text\rk0,"first row"\nk1,second row\nk2,third row\n')
    (tmp_path / "b.csv").write_bytes(b'"i\rd",text\nk0,words\n')
    cleaned = clean(tmp_path)
    assert cleaned.texts == ["first row", "second row", "third row", "words"]
    assert [row["id"] for row in cleaned.documents] == ["k0", "k1", "k2", None]


def test_csv_whose_lines_end_with_carriage_returns_is_read(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.csv").write_bytes(b'id,text\r1,one\r2,"two\rlines"\r')
    assert clean(tmp_path / "a.csv").texts == ["one", "two\nlines"]


def test_csv_with_a_quote_that_never_closes_loses_one_row(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.csv").write_bytes(b'id,text\n1,one\n2,"two\n' + b"".join(b"%d,good\n" % n for n in range(3, 500)))
    cleaned = clean(tmp_path / "a.csv")
    assert cleaned.numbers() == (498, 0, 1)


def test_lines_that_each_open_a_quote_take_linear_time(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.csv").write_text("id,text\n" + 'x","\n' * 20_000 + "k1,a good row at the end\n")
    cleaned = clean(tmp_path / "a.csv")
    assert cleaned.texts == ["a good row at the end"]
    assert cleaned.reasons == ["csv_invalid"] * 20_000


def test_field_of_one_line_may_be_as_long_as_a_record(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.csv").write_text("id,text\nk0,short\nk1," + "x" * (33 << 20) + "\nk2,short, too\n")
    cleaned = clean(tmp_path / "a.csv", pii="off", fix_mojibake=False)
    assert [len(text) for text in cleaned.texts] == [5, 33 << 20]
    assert cleaned.reasons == ["ragged_row"]


def test_damaged_header_eats_no_row(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.csv").write_text('"i"d,text\nk0,first\nk1,second\nk2,third\n')
    cleaned = clean(tmp_path / "a.csv")
    assert cleaned.texts == ["first", "second", "third"]


@pytest.mark.parametrize(
    "content",
    [
        'id;text\n"c0";"one, two"\n"c1";"three; four"\n',
        'sep=;\nid;text\nc0;one, two\nc1;"three; four"\n',
        '"id";"text"\n"c0";"one, two"\n"c1";"three; four"\n',
        'id, text\nc0, "one, two"\nc1, "three; four"\n',
        'ID,TEXT\nc0,"one, two"\nc1,three; four\n',
        'an export\n\nid,text\nc0,"one, two"\nc1,three; four\n',
        'id,text,\nc0,"one, two",\nc1,three; four,\n',
        "id,text\n'c0','one, two'\n'c1','three; four'\n'c2','five'\n'c3','six'\n",
    ],
)
def test_dialects_of_exports(tmp_path: Path, clean: Clean, content: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    cleaned = clean(tmp_path / "a.csv")
    assert cleaned.texts[:2] == ["one, two", "three; four"]
    assert len({document["doc_id"] for document in cleaned.documents}) == len(cleaned.documents)


def test_backslashes_before_quotes(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "b.csv").write_text('id,text\n1,"she said \\"no, never\\" twice"\n2,"plain"\n', newline="")
    (tmp_path / "c.csv").write_text('id,text\n1,"C:\\data\\"\n2,"D:\\"\n', newline="")
    assert clean(tmp_path / "b.csv").texts == ['she said "no, never" twice', "plain"]
    assert clean(tmp_path / "c.csv").texts == ["C:\\data\\", "D:\\"]


def test_two_columns_with_the_text_s_name_are_refused(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.csv").write_text("id,text,text\n1,one,two\n")
    assert clean(tmp_path / "a.csv").reasons == ["ambiguous_text"]


def test_rows_that_spare_their_last_fields(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.csv").write_text("id,text,note\n1,one\n2,two,x\n3,three\n4\n")
    cleaned = clean(tmp_path / "a.csv")
    assert cleaned.texts == ["one", "two", "three"]
    assert cleaned.reasons == ["ragged_row"]
