from pathlib import Path

import pytest

from pipeline.run.engines.scale import CASES, SpreadJoin, render


def test_page_has_the_computed_tables(repository: Path) -> None:
    assert render() in (repository / "docs/scale.md").read_text()


def test_ten_times_the_text_takes_ten_times_the_work() -> None:
    small, large = CASES.values()
    ratio = large.text_bytes / small.text_bytes
    assert abs(sum(large.core_hours().values()) / sum(small.core_hours().values()) / ratio - 1) < 1e-9


def test_tasks_of_the_spread_join_stay_small_however_many_documents() -> None:
    small, large = SpreadJoin(1e9).steps(), SpreadJoin(1e10).steps()
    for (name, tasks, memory, hours, written), (_, more_tasks, same_memory, more_hours, more_written) in zip(
        small, large, strict=True
    ):
        assert more_hours / hours == pytest.approx(10)
        assert more_written / written == pytest.approx(10)
        if "one process" not in name:
            assert same_memory == memory
            assert more_tasks / tasks == pytest.approx(10, rel=0.01)
