"""A Prefect server that goes away in the middle of a run: said once, and the work goes on without it.

Prefect observes; the manifests decide.  So flows and tasks are then called as the plain functions they wrap, nothing is
sent any more, and the run ends with the same files.  What the server has recorded ends where it went away; the next run
on the folder sets it to Crashed (flows/repair.py).
"""

import contextlib
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import httpx
from prefect.flows import Flow
from prefect.settings import get_current_settings
from prefect.tasks import Task

from flows.show import tell

ANSWER_SECONDS = 10.0
_lost: set[str] = set()  # addresses of servers that went away from this process


def is_lost() -> bool:
    """Whether the server of this process has gone away."""
    return os.environ.get("PREFECT_API_URL", "") in _lost


def observed(work: "Flow[..., Any] | Task[..., Any]", *arguments: Any) -> Any:
    """Runs a flow or task under Prefect's eyes, or without them once the server is lost.

    What was finished when it went away is skipped by its manifests.
    """
    if is_lost():
        return work.fn(*arguments)
    try:
        return work(*arguments)
    except Exception as error:
        if not _says_lost(error):
            raise
    return work.fn(*arguments)


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
    if not any(isinstance(cause, httpx.TransportError) for cause in _causes(error)) or _answers():
        return False
    url = os.environ.get("PREFECT_API_URL", "")
    _lost.add(url)
    _leave_alone()
    tell(
        f"the Prefect server at {url} is lost ({type(error).__name__}): the run goes on without it, "
        "and its pages will not show the rest"
    )
    return True


def _leave_alone() -> None:
    """Prefect tries each call to a server that is away again for a minute, and complains of lost log lines.

    Not from now on.
    """
    settings = get_current_settings()
    settings.client.max_retries = 0
    settings.logging.to_api.enabled = False
    logging.raiseExceptions = False  # of the lines that its worker still holds


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _answers() -> bool:
    try:
        url = f"{os.environ.get('PREFECT_API_URL', '').rstrip('/')}/health"
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True  # it wants a key, or is busy
    except (OSError, ValueError):
        return False
