import pytest

from pipeline.base.closable import Closable


class Held(Closable):
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_end_of_a_with_closes() -> None:
    with Held() as held:
        assert held.closed == 0
    assert held.closed == 1


def test_error_closes_and_goes_on() -> None:
    held = Held()
    with pytest.raises(KeyError), held:
        raise KeyError("a")
    assert held.closed == 1
