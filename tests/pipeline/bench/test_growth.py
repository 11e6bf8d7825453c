"""``bench growth``: its documents, its figures, and one stage in a process of its own."""

import gzip
from pathlib import Path

import orjson
import pytest

from pipeline.bench import growth


def texts_below(folder: Path) -> list[str]:
    lines = [line for path in sorted(folder.iterdir()) for line in gzip.decompress(path.read_bytes()).splitlines()]
    return [orjson.loads(line)["text"] for line in lines]


def test_documents_are_the_same_every_time_and_more_of_them_begin_with_the_fewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "PER_FILE", 70)
    for name, count in (("few", 100), ("again", 100), ("many", 200)):
        growth.write_documents(tmp_path / name, count)
    few, again, many = (texts_below(tmp_path / name) for name in ("few", "again", "many"))
    assert few == again == many[:100]
    assert (len(few), len(many)) == (100, 200)
    assert len(list((tmp_path / "many").iterdir())) == 3


def test_exponent_is_that_of_what_is_beyond_the_start() -> None:
    start, first, last = (
        {"documents": documents, "cpu_seconds": seconds}
        for documents, seconds in ((1_000, 2.0), (11_000, 3.0), (101_000, 12.0))
    )
    assert growth.exponent(start, first, last, "cpu_seconds") == 1.0
    assert growth.exponent(start, first, {**last, "cpu_seconds": 102.0}, "cpu_seconds") == 2.0


def test_a_stage_is_made_and_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    growth.write_documents(tmp_path / "input", 50)
    row = growth.measure(tmp_path, "clean")
    assert list((tmp_path / "run" / "documents").glob("*.arrow"))
    assert row["cpu_seconds"] > 0
    assert row["memory_megabytes"] > 50
    assert 0 < row["disk_megabytes"] < 1


def test_a_stage_that_fails_ends_the_benchmark(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"stage clean in .* ended with status 1"):
        growth.measure(tmp_path, "clean")
