"""A Prefect server that goes away in the middle of a run: said once, and the work goes on without it.

Works around Prefect 3.8.8, which fails a flow whose server is away, after minutes of trying.

Prefect observes; the manifests decide.  So flows and tasks are then called as the plain functions they wrap, nothing is
sent any more, and the run ends with the same files.  What the server has recorded ends where it went away; the next run
on the folder sets it to Crashed (flows/server/dead_runs.py).

An interrupt ends the run whether or not the server is there to record it.
"""

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

import httpx
from prefect.exceptions import TerminationSignal
from prefect.flows import Flow
from prefect.settings import get_current_settings
from prefect.tasks import Task

from flows.display.terminal import tell
from flows.server.asking import NoAnswerError, ask
from pipeline.base.console import leave_closed_terminal
from pipeline.base.processes import interrupts_kept

ANSWER_SECONDS = 10.0
INTERRUPTED_SECONDS = 2.0  # for an answer when the run is to end: of the ten that it has for it
INTERRUPTS = (KeyboardInterrupt, TerminationSignal)
# Addresses of servers that went away.  The process is their scope, as it is that of PREFECT_API_URL and of Prefect's
# settings: every flow, task and artifact in it talks to the same server.
_lost: set[str] = set()
_losing = threading.Lock()  # it may be seen by whoever asks it, and by whoever waits for its process


def server_url() -> str:
    """Where the server of this process is; empty where Prefect is to start one of its own."""
    return os.environ.get("PREFECT_API_URL") or str(get_current_settings().api.url or "")


def is_lost() -> bool:
    """Whether the server of this process has gone away."""
    return server_url() in _lost


def observed(work: "Flow[..., Any] | Task[..., Any]", *arguments: Any) -> Any:
    """Runs a flow or task under Prefect's eyes, or without them once the server is lost.

    What was finished when it went away is skipped by its manifests.

    Raises:
        KeyboardInterrupt: If the work was interrupted and the server could not be told.
    """
    if is_lost():
        return work.fn(*arguments)
    try:
        return work(*arguments)
    except Exception as error:
        if any(isinstance(cause, INTERRUPTS) for cause in _causes(error)):
            raise KeyboardInterrupt from error
        if not _says_lost(error):
            raise
    return work.fn(*arguments)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """For the work of a flow: it ends when it is interrupted, wherever the signal finds it and wherever the server is.

    Prefect records an interrupt before it lets it pass, and tries to for minutes where no server answers.
    """
    try:
        with interrupts_kept(*INTERRUPTS), _hang_up_interrupts():
            yield
    except INTERRUPTS:
        if not _answers(INTERRUPTED_SECONDS):
            _leave_alone()
        raise


@contextlib.contextmanager
def _hang_up_interrupts() -> Iterator[None]:
    """Lets SIGHUP interrupt the flow of a Prefect worker, whose process it would end before a trainer could save."""

    def interrupt(number: int, frame: Any) -> NoReturn:
        leave_closed_terminal()
        raise KeyboardInterrupt

    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGHUP) != signal.SIG_DFL:  # answered by us already, or ignored
        yield
        return
    signal.signal(signal.SIGHUP, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextlib.contextmanager
def told_if_possible() -> Iterator[None]:
    """For what the server is only told: a server that has gone away is no failure of the run."""
    try:
        yield
    except Exception as error:
        if not _says_lost(error):
            raise


def _says_lost(error: BaseException) -> bool:
    """Whether ``error`` came from a server that no longer answers; says so the first time."""
    if is_lost():
        return True
    failed = next((cause for cause in _causes(error) if _fails_within(cause)), None)
    unreachable = any(isinstance(cause, httpx.TransportError) for cause in _causes(error))
    if failed is None and (not unreachable or _answers(ANSWER_SECONDS)):
        return False
    lose(
        f"the Prefect server at {server_url()} is lost ({type(failed or error).__name__}): "
        "the run goes on without it, and its pages will not show the rest"
    )
    return True


def _fails_within(error: BaseException) -> bool:
    """Whether a server answers that it fails itself: its disk is full, say.  Prefect has asked it several times."""
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code >= 500


def lose(words: str) -> None:
    """The run goes on without the server of this process, and says why, once."""
    with _losing:
        if is_lost():
            return
        _lost.add(server_url())
    _leave_alone()
    tell(words)


def _leave_alone() -> None:
    """Keeps Prefect from trying each call to a lost server for a minute, and from complaining about lost log lines."""
    settings = get_current_settings()
    settings.client.max_retries = 0
    settings.logging.to_api.enabled = False
    logging.raiseExceptions = False  # of the lines that its worker still holds


def server_answers() -> bool:
    """Whether the server of this process answers."""
    return _answers(ANSWER_SECONDS)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _answers(patience_seconds: float) -> bool:
    try:
        ask(server_url(), "/health", patience_seconds)
    except NoAnswerError:
        return False
    return True  # whatever it says: it wants another key, or is busy
