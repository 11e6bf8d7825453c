"""A signal whose exception falls into a destructor."""

import signal
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from pipeline.base.processes import interrupts_kept
from tests.flows.stand_in import Signalled

PATIENCE_SECONDS = 60.0


class Broken:
    def __del__(self) -> None:
        raise ValueError("in a destructor")


@pytest.fixture
def raising() -> Iterator[None]:
    def interrupted(number: int, frame: Any) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupted)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("raising")
def test_signal_handled_in_a_destructor_still_interrupts() -> None:
    def wait_for_it() -> None:
        Signalled()
        threading.Event().wait(PATIENCE_SECONDS)

    with interrupts_kept(KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        wait_for_it()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_other_exception_of_a_destructor_goes_where_it_went(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[BaseException] = []
    monkeypatch.setattr("sys.unraisablehook", lambda dropped: told.append(dropped.exc_value))
    with interrupts_kept(KeyboardInterrupt):
        Broken()
    Broken()
    assert [str(error) for error in told] == ["in a destructor"] * 2
