from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.base.errors import FormatError
from pipeline.run.table_files import TableWriter, batches, open_table, read_table
from pipeline.run.tables import DOC_INDEX, VERDICTS, tokens_table
from pipeline.run.tables.__main__ import formats_page

ROWS = pa.table(
    [pa.array([b"0" * 16, b"1" * 16], pa.binary(16)), pa.array([True, None]), pa.array([["a.b"], []])],
    schema=VERDICTS.schema,
)


def written(path: Path) -> Path:
    with TableWriter(path, VERDICTS, {"stage": "filter"}) as writer:
        writer.write(ROWS)
    return path


def test_round_trip_returns_the_same_rows_and_metadata(tmp_path: Path) -> None:
    path = written(tmp_path / "a.arrow")
    assert read_table(path, VERDICTS).equals(ROWS)
    metadata = open_table(path, VERDICTS).schema.metadata
    assert metadata[b"stage"] == b"filter"
    assert metadata[b"tokenmill.format"] == b"1.0"


def test_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    assert written(tmp_path / "a.arrow").read_bytes() == written(tmp_path / "b.arrow").read_bytes()


def test_selected_columns_only(tmp_path: Path) -> None:
    (batch,) = batches(written(tmp_path / "a.arrow"), VERDICTS, ["keep"])
    assert batch.schema.names == ["keep"]


def test_another_table_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="expected a doc_index table, found verdicts"):
        open_table(written(tmp_path / "a.arrow"), DOC_INDEX)


def test_another_major_version_is_refused_and_named(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    schema = VERDICTS.schema.with_metadata({**VERDICTS.schema.metadata, b"tokenmill.format": b"9.3"})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(ROWS.cast(schema))
    with pytest.raises(FormatError, match=r"format 9\.3"):
        open_table(path, VERDICTS)


def test_truncated_file_is_reported_with_its_name(tmp_path: Path) -> None:
    path = written(tmp_path / "a.arrow")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FormatError, match=r"a\.arrow: expected a verdicts table"):
        open_table(path, VERDICTS)


def test_token_width_follows_the_vocabulary() -> None:
    assert tokens_table(65_536).schema.field("tokens").type == pa.large_list(pa.uint16())
    assert tokens_table(65_537).schema.field("tokens").type == pa.large_list(pa.uint32())


def test_formats_page_matches_schema(repository: Path) -> None:
    assert (repository / "docs/formats.md").read_text() == formats_page()
