"""CI runs one slice of the slow tests per day: every one has its day, and no day is long."""

import pytest

from tests.slow_slices import SLICE_SECONDS, known_seconds, number_of, slices_of, still_there


def test_every_slow_test_is_in_one_slice() -> None:
    seconds = {f"test_{number}": 7.0 * number for number in range(1, 20)}
    slices = slices_of(seconds)
    assert sorted(name for names in slices for name in names) == sorted(seconds)
    assert slices_of(dict(reversed(seconds.items()))) == slices


def test_slices_are_short() -> None:
    seconds = known_seconds()
    for names in slices_of(seconds):
        assert sum(seconds[name] for name in names) < SLICE_SECONDS + 30 or len(names) == 1


def test_days_in_a_row_take_every_slice() -> None:
    assert {number_of("today", 7, day) for day in range(739_000, 739_007)} == set(range(7))


@pytest.mark.parametrize("asked", ["0", "8", "first", "-1"])
def test_slice_that_does_not_exist_is_refused(asked: str) -> None:
    with pytest.raises(pytest.UsageError, match="--slice is 1 to 7"):
        number_of(asked, 7, 0)


def test_slice_is_counted_from_one() -> None:
    assert number_of("3", 7, 0) == 2


def test_seconds_of_a_part_of_the_tests_leave_those_of_other_files() -> None:
    seconds = {"a.py::test_one": 1.0, "a.py::test_gone": 2.0, "b.py::test_two": 3.0}
    assert still_there(seconds, {"a.py::test_one"}) == {"a.py::test_one": 1.0, "b.py::test_two": 3.0}
