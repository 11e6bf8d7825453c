"""Columns of one name."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.readers.columns.values import distinct

NAMES = st.lists(st.sampled_from(["a", "b", "a (2)", "a (3)", ""]), max_size=12)


@given(NAMES)
def test_names_become_distinct_and_the_first_of_each_keeps_its_own(names: list[str]) -> None:
    made = distinct(names)
    assert len(made) == len(names) == len(set(made))
    if len(set(names)) == len(names):
        assert made == names
    elif names:
        assert made[0] == names[0]


def test_twenty_thousand_columns_without_a_name_are_numbered() -> None:
    assert distinct([""] * 20_000)[-1] == " (20000)"
