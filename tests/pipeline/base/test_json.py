"""JSON of files that others may have written: nested deeper than Python reads it is an error like any other."""

from pathlib import Path

import pytest

from flows.session import night_log
from pipeline.base.errors import UserError, parse_json
from pipeline.clean.facts.robots import Tdmrep
from pipeline.dedup.command.describe_output import describe_output
from pipeline.dedup.files.own_outputs import _is_summary
from pipeline.run import layout

DEEP = "[" * 200_000


@pytest.mark.parametrize("text", [DEEP, DEEP.encode(), '{"a":' * 100_000])
def test_nested_deeper_than_python_reads_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="nested deeper"):
        parse_json(text)


def test_json_is_read_as_the_standard_library_reads_it() -> None:
    assert parse_json('{"a": [1, 2.5, null, "ä"]}') == {"a": [1, 2.5, None, "ä"]}
    with pytest.raises(ValueError, match="Expecting value"):
        parse_json(b"nothing")


def test_deep_files_where_they_are_met(tmp_path: Path) -> None:
    summary = tmp_path / "summary.json"
    summary.write_text(DEEP)
    assert not _is_summary(summary)
    with pytest.raises(UserError, match=r"summary\.json: damaged .*--overwrite makes it again"):
        describe_output(str(tmp_path), 3)
    (tmp_path / layout.NIGHT_LOG).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / layout.NIGHT_LOG).write_text(DEEP)
    assert night_log.read(str(tmp_path)) == {}
    Tdmrep(DEEP)
