from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.base.errors import UserError
from pipeline.inspection.describe import describe
from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run
from pipeline.run.table_files import TableWriter
from pipeline.run.tables import EXCLUDED, QUARANTINE


@pytest.fixture
def root(tmp_path: Path) -> str:
    """A run folder with two quarantine shards of 30 files, and one excluded shard."""
    (tmp_path / "in.txt").write_text("A text.")
    (tmp_path / "recipe.toml").write_text('[[sources]]\nname = "s"\npaths = ["in.txt"]\n')
    Run(str(tmp_path / "run"), load_recipe(tmp_path / "recipe.toml")).write_recipe()
    for shard, offset in (("00000", 0), ("00001", 1000)):
        rows = [row(f"rows-{n}.jsonl", offset + n, "json_invalid") for n in range(30)]
        rows += [row("large.jsonl", offset + n, "record_too_large", b"Words  of a long line") for n in range(40)]
        with TableWriter(tmp_path / f"run/quarantine/{shard}.arrow", QUARANTINE) as writer:
            writer.write(pa.RecordBatch.from_pylist(rows, QUARANTINE.schema))
    picture = {"source": "s", "path": "a.png", "offset": 0, "reason": "unsupported: image/png"}
    with TableWriter(tmp_path / "run/excluded/00000.arrow", EXCLUDED) as writer:
        writer.write(pa.RecordBatch.from_pylist([picture], EXCLUDED.schema))
    return str(tmp_path / "run")


def row(path: str, offset: int, reason: str, head: bytes = b"{") -> dict[str, object]:
    return {"source": "s", "path": path, "offset": offset, "reason": reason, "head": head, "length": 9}


def test_a_quarantine_table_is_counted_by_reason_and_file_before_its_rows(root: str) -> None:
    found = describe(f"{root}/quarantine/00001.arrow", 2)
    assert found["by_reason"] == {
        "record_too_large": {"rows": 40, "files": 1},
        "json_invalid": {"rows": 30, "files": 30},
    }
    assert found["by_file"][0] == {
        "source": "s",
        "path": "large.jsonl",
        "reason": "record_too_large",
        "rows": 40,
        "first_offset": 1000,
    }
    assert len(found["by_file"]) == 31
    text = found["text"]
    assert "         40  record_too_large, in 1 file\n         30  json_invalid, in 30 files\n" in text
    assert "         40  record_too_large  large.jsonl (s), first at 1,000" in text
    assert "and 11 more lines; --json has all of them" in text
    assert text.index("by file and reason") < text.index("row 0")


def test_the_folder_is_counted_as_a_whole(root: str) -> None:
    assert describe(f"{root}/quarantine", 0)["by_reason"]["json_invalid"] == {"rows": 60, "files": 30}
    assert describe(f"{root}/excluded/", 1)["by_reason"] == {"unsupported: image/png": {"rows": 1, "files": 1}}


def test_rows_that_hold_some_words_are_shown_alone(root: str) -> None:
    found = describe(f"{root}/quarantine/00000.arrow", 5, "words OF a long")
    assert found["rows"] == 40
    assert list(found["by_reason"]) == ["record_too_large"]
    with pytest.raises(UserError, match="no row has 'nowhere' in a column of text"):
        describe(f"{root}/quarantine/00000.arrow", 5, "nowhere")


def test_any_other_folder_is_refused_with_a_file_of_it(root: str) -> None:
    Path(f"{root}/manifests").mkdir()
    Path(f"{root}/manifests/clean.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="no run folder; name one of its files"):
        describe(f"{root}/manifests", 5)
