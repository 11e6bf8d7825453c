"""The tables of docs/scale.md are those that its script computes."""

import runpy
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def script(repository: Path) -> dict[str, Any]:
    return runpy.run_path(str(repository / "docs/benchmarks/scale.py"))


def test_page_has_the_computed_tables(script: dict[str, Any], repository: Path) -> None:
    assert script["render"]() in (repository / "docs/scale.md").read_text()


def test_ten_times_the_text_takes_ten_times_the_work(script: dict[str, Any]) -> None:
    small, large = script["CASES"].values()
    ratio = large.text_bytes / small.text_bytes
    assert abs(sum(large.core_hours().values()) / sum(small.core_hours().values()) / ratio - 1) < 1e-9


def test_tasks_of_the_join_stay_small_however_many_documents(script: dict[str, Any]) -> None:
    small, large = (script["Join"](documents).steps() for documents in (1e9, 1e10))
    for step, more in zip(small, large, strict=True):
        _, tasks, hours, read, memory, written = step
        _, more_tasks, more_hours, more_read, more_memory, more_written = more
        assert more_hours / hours == pytest.approx(10)
        assert more_written / written == pytest.approx(10)
        assert more_memory == pytest.approx(memory, rel=0.02)
        if tasks > 1:
            assert more_read == pytest.approx(read, rel=0.02)
            assert more_tasks / tasks == pytest.approx(10, rel=0.02)
    assert [step[0] for step in small if step[1] == 1] == ["dedup.components", "dedup.clusters"]
