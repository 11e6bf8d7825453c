"""The words of the line: what is left when it is narrow, and a time that does not stand at nothing."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.progress import Moment
from pipeline.base.words import cells
from pipeline.screen.wording import fitted, seconds_left, sentence


@given(
    st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=30),
    st.lists(st.text(st.characters(categories=["L", "N"]), max_size=20), max_size=4),
    st.none() | st.floats(0, 1),
    st.integers(0, 200),
)
def test_line_is_never_wider_than_the_window(task: str, words: list[str], share: float | None, width: int) -> None:
    assert cells(fitted(Moment(task, "3 of 40 files", tuple(words), share, 90.0), 60.0, 0.0, width)) <= width


def test_time_left_follows_from_the_share_and_is_not_told_too_early() -> None:
    assert seconds_left(Moment("verify", share=0.25), 2.0, 0.0) is None
    assert seconds_left(Moment("verify", share=0.25), 20.0, 0.0) == 60.0


def test_time_left_runs_between_two_moments_and_never_stands_at_nothing() -> None:
    moment = Moment("train", "step 40 of 40", ("validation 3 of 12",), 0.9, 20.0)
    assert sentence(moment, 100.0, 5.0) == "train: step 40 of 40, validation 3 of 12, 15 s left"
    assert sentence(moment, 121.0, 21.0) == "train: step 40 of 40, validation 3 of 12, 1 s left"
    assert sentence(moment, 126.0, 26.0) == "train: step 40 of 40, validation 3 of 12, 2 min 06 s so far"
