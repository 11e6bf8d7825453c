import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.words import cells, counted, cut, duration, figure, wrapped

WORDS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 records"), (1, "1 record"), (2, "2 records"), (2_000_000, "2,000,000 records")]
)
def test_count_of_one_is_told_in_the_singular(count: int, text: str) -> None:
    assert counted(count, "record") == text


def test_noun_may_have_a_plural_of_its_own() -> None:
    assert [counted(count, "corpus", "corpora") for count in (1, 2)] == ["1 corpus", "2 corpora"]


def test_figures_are_shown_as_a_person_writes_them() -> None:
    values = (1234567, 0.123456, 10100.0, 9999.96, 999.96, 0.0, 50.0, "x", True, None)
    assert [figure(value) for value in values] == [
        *("1,234,567", "0.1235", "10,100", "10,000", "1000", "0", "50", "x", "True", "-"),
    ]


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (190, "3 min 10 s"), (7500, "2 h 05 min")])
def test_duration_reads_as_a_person_says_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.lists(WORDS, min_size=1, max_size=20), st.integers(0, 12), st.integers(1, 90))
def test_wrapped_text_has_the_same_words_and_no_line_that_could_be_shorter(
    words: list[str], indent: int, width: int
) -> None:
    lines = wrapped(" " * indent + " ".join(words), width).split("\n")
    assert " ".join(lines).split() == " ".join(words).split()
    for line in lines:
        assert cells(line) <= width or len(line.split()) == 1


def test_text_that_fits_stays_as_it_is_and_a_path_is_left_whole() -> None:
    assert wrapped("two  columns\n  and more", 20) == "two  columns\n  and more"
    path = "/a/very/long/path/that/is/wider/than/the/window"
    assert wrapped(f"cannot write {path}", 20) == f"cannot write\n  {path}"


@given(st.text(st.characters(categories=["L", "N", "S"]), max_size=40), st.integers(0, 60))
def test_cut_text_fits(text: str, width: int) -> None:
    assert cells(cut(text, width)) <= width


def test_chinese_letters_are_two_columns_wide() -> None:
    assert cells("\u8bad\u7ec3") == 4
    assert cut("\u8bad\u7ec3", 3) == "\u8bad"
