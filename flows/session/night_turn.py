"""Nights of one folder run one after the other, in the order of their scheduled times.

What a night has kept must be known to the next.  After an outage a worker starts all late runs at once: each waits for
those that were scheduled before it, as long as Prefect shows that they are to come or under way, and for the lock of
the folder of nights, which is the kernel's.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.runtime import flow_run

from flows.display.terminal import tell
from flows.server import ended_runs
from flows.server.lost_server import is_lost, told_if_possible
from pipeline.base import storage
from pipeline.base.digests import digest
from pipeline.base.errors import RunError
from pipeline.base.locks import TELL_SECONDS, WAITS, file_lock
from pipeline.base.words import duration

POLL_SECONDS = 2.0
TO_COME_SECONDS = 3600.0  # for a run that was scheduled earlier and does not begin
TO_COME = [StateType.SCHEDULED, StateType.PENDING, StateType.CANCELLING]
UNDER_WAY = [*TO_COME, StateType.RUNNING]


@contextlib.contextmanager
def turn(runs: str) -> Iterator[None]:
    """Holds a folder of nights, when it is this flow run's turn.

    Raises:
        RunError: If another night is at work there, and this is no flow run of a deployment, which waits.
    """
    began, told = time.monotonic(), -TELL_SECONDS
    with contextlib.ExitStack() as held:
        while True:
            ahead = _ahead(runs, began)
            if not ahead:
                try:
                    held.enter_context(_folder_lock(runs))
                    break
                except BlockingIOError as error:
                    ahead = f"{runs}: another night is at work there"
                    if not os.environ.get(WAITS):
                        raise RunError(f"{ahead}; wait for it or end it") from error
            if time.monotonic() - told >= TELL_SECONDS:
                told = time.monotonic()
                tell(f"waiting: {ahead}")
            time.sleep(POLL_SECONDS)
        yield


def _ahead(runs: str, began: float) -> str:
    """Which night of this folder comes first, in words; empty where none does."""
    if not os.environ.get(WAITS) or is_lost():
        return ""
    found: list[FlowRun] = []
    with told_if_possible():
        ended_runs.settle()  # what is dead is waited for by nobody
        found = _scheduled_before(runs)
    patient = time.monotonic() - began < TO_COME_SECONDS
    for run in found:
        if run.state is not None and (patient or run.state.type == StateType.RUNNING):
            return (
                f"{runs}: the night that was scheduled for {run.expected_start_time:%Y-%m-%d %H:%M} UTC comes first; "
                f"its flow run {run.name} is {run.state.name} (if it has no process any more, cancel it in Prefect)"
            )
    if found:
        tell(f"{runs}: {found[0].name}, scheduled earlier, has not begun within {duration(TO_COME_SECONDS)}; going on")
    return ""


def _scheduled_before(runs: str) -> list[FlowRun]:
    """Flow runs of this flow on the same folder that have not ended and were scheduled before the current one."""
    with get_client(sync_client=True) as client:
        own = client.read_flow_run(UUID(str(flow_run.get_id())))
        found = client.read_flow_runs(
            flow_filter=FlowFilter(id=FlowFilterId(any_=[own.flow_id])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=UNDER_WAY)),
                expected_start_time=FlowRunFilterExpectedStartTime(before_=own.expected_start_time),
            ),
        )
    earlier = [run for run in found if _key(run) < _key(own) and _folder(run) == runs]
    return sorted(earlier, key=_key)


def _key(run: FlowRun) -> tuple[float, str]:
    return (run.expected_start_time.timestamp() if run.expected_start_time else 0.0, str(run.id))


def _folder(run: FlowRun) -> str:
    found = run.parameters.get("runs")
    return storage.absolute(found) if isinstance(found, str) else ""


@contextlib.contextmanager
def _folder_lock(runs: str) -> Iterator[None]:
    """The lock of the folder itself, in which then no file has to lie; in an object store, one of this machine."""
    if not storage.is_local(runs):
        with file_lock(_local_lock(runs)):
            yield
        return
    folder = storage.local_path(runs)
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        held.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # a file system that locks no folders, such as NFS
            held.enter_context(file_lock(_local_lock(runs)))
        yield


def _local_lock(runs: str) -> Path:
    return storage.cache_folder() / "locks" / f"{digest(runs.rstrip('/')).hex()}.lock"
