from pathlib import Path

from pipeline.engines.scale import CASES, render


def test_page_has_the_computed_tables(repository: Path) -> None:
    assert render() in (repository / "docs/scale.md").read_text()


def test_ten_times_the_text_takes_ten_times_the_work() -> None:
    small, large = CASES.values()
    ratio = large.text_bytes / small.text_bytes
    assert abs(sum(large.core_hours().values()) / sum(small.core_hours().values()) / ratio - 1) < 1e-9
