"""What the outermost flow of a process needs where other people's servers, workers and schedules run it.

- A flow run of a deployment waits for locks that are taken: nobody is there to be refused.
- How it ends is written down for a server that is away then; what others have left is set right first.
- Before a flow run of a deployment ends, its server has ten minutes to come back: what ends without it is Crashed in
  the eyes of its worker.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from contextvars import ContextVar
from uuid import UUID

from prefect.runtime import deployment, flow_run

from flows.display.terminal import tell
from flows.server import ended_runs, leases
from flows.server.address import configured
from flows.server.dead_runs import end_below
from flows.server.failures import told_in_one_sentence
from flows.server.lost_server import is_lost, server_answers, told_if_possible
from pipeline.base.locks import WAITS

PATIENCE_SECONDS = 600.0
POLL_SECONDS = 2.0
leases.survive()
told_in_one_sentence()
_inside: ContextVar[bool] = ContextVar("tokenmill_in_service", default=False)


@contextlib.contextmanager
def in_service() -> Iterator[None]:
    """For the work of a flow; within another flow of ours it does nothing."""
    if _inside.get() or is_lost():
        yield
        return
    deployed = bool(deployment.get_id())
    if deployed:
        os.environ[WAITS] = "1"
    token = _inside.set(True)
    try:
        ended_runs.settle()
        with _written_down():
            yield
    except Exception:
        if deployed:
            _await_server()
        raise
    finally:
        _inside.reset(token)
    if deployed:
        _await_server()
        _complete_below()


@contextlib.contextmanager
def _written_down() -> Iterator[None]:
    path = ended_runs.begin()
    try:
        yield
    except BaseException as error:
        if path is not None:
            ended_runs.end(path, error)
        raise
    if path is not None:
        ended_runs.end(path, None)


def _await_server() -> None:
    """Waits for a server that is away."""
    if server_answers():
        return
    server = configured()
    url = server.url if server else "the address that its settings have"
    tell(
        f"the work has ended; waiting for the Prefect server at {url}, at most {PATIENCE_SECONDS:.0f} s, to tell it so"
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not server_answers() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _complete_below() -> None:
    """Sets what a lost server shows below this flow run, which has completed, to Completed."""
    own_id = flow_run.get_id()
    if is_lost() and own_id is not None and server_answers():
        with told_if_possible():
            end_below(UUID(own_id))
