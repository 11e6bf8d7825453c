"""A damaged line of ``metrics/train.jsonl`` is named and left out; the others are read."""

from pathlib import Path

import pytest

from model.training.metrics import read_lines
from pipeline.lineage.training import read_json_lines


@pytest.mark.parametrize("damage", [b"\xff\xfe\n", b"{\n", b"\x00\n"])
def test_damaged_line_is_named_and_the_others_are_read(
    tmp_path: Path, damage: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "metrics/train.jsonl"
    path.parent.mkdir()
    path.write_bytes(b'{"step": 1}\n' + damage + b'{"step": 2}\n{"step": 3')
    assert read_json_lines(str(path)) == read_lines(str(tmp_path)) == [{"step": 1}, {"step": 2}]
    assert capsys.readouterr().err.count(f"{path}: line 2 is damaged") == 2
