import pytest

from pipeline.base.words import counted


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 records"), (1, "1 record"), (2, "2 records"), (2_000_000, "2,000,000 records")]
)
def test_count_of_one_is_told_in_the_singular(count: int, text: str) -> None:
    assert counted(count, "record") == text


def test_noun_may_have_a_plural_of_its_own() -> None:
    assert [counted(count, "corpus", "corpora") for count in (1, 2)] == ["1 corpus", "2 corpora"]
