"""Repairs what Prefect's records show of runs that have ended: no run is shown as running for ever.

Works around Prefect 3.8.8, whose server does not notice a process that got SIGKILL, nor one that ended while the server
was away.  Whoever holds the lock of a run folder knows that every other flow run of that folder is dead; each flow run
carries a tag with its folder, so they are found and set to Crashed, with their task runs.  How a run ended that could
not tell its server is known better: see ``ended_runs``.
"""

import functools
import socket
import uuid
from collections.abc import Callable
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled, Completed, Crashed, Failed

from pipeline.base import storage
from pipeline.run import layout

UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
MESSAGE = "its process ended without a word (killed); the next run on this folder found it"
UNTOLD = "told when the Prefect server was there again"
Right = Callable[[State | None], State]  # from the state that is shown to the right one


def root_tag(root: str) -> str:
    """The tag that flow runs on the run folder ``root`` carry.

    A server may serve machines that have each a folder of that path: what follows the path tells them apart, a name
    that lies in a folder on disk, or that of this machine for an object store, whose lock is of this machine, too.
    """
    return f"tokenmill-root:{root} ({_folder_name(root)})"


def _folder_name(root: str) -> str:
    if not storage.is_local(root):
        return socket.gethostname()
    path = storage.local_path(storage.join(root, layout.FOLDER_NAME))
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        storage.publish_bytes(uuid.uuid4().hex[:8].encode(), str(path), root)
    return path.read_text("utf-8")


def claim_run(root: str, own_id: UUID) -> int:
    """Tags our flow run with its folder, and sets every dead one of the same folder to Crashed.

    Call it only while holding the folder's lock.

    Returns:
        How many dead flow runs there were.
    """
    with get_client(sync_client=True) as client:
        own = client.read_flow_run(own_id)
        client.update_flow_run(own_id, tags=sorted({*own.tags, root_tag(root)}))
        state = FlowRunFilterState(type=FlowRunFilterStateType(any_=UNFINISHED))
        wanted = FlowRunFilter(state=state, tags=FlowRunFilterTags(all_=[root_tag(root)]))
        dead = [run for run in client.read_flow_runs(flow_run_filter=wanted) if run.id != own_id]
        for run in dead:
            _end_below(client, run.id, crashed)
            client.set_flow_run_state(run.id, crashed(run.state), force=True)
        return len(dead)


def completed(found: State | None) -> State:
    """The state of one that has done its work."""
    return Completed(message=UNTOLD)


def failed(error: str, found: State | None) -> State:
    """The state of one that has failed."""
    return Failed(message=f"{error} ({UNTOLD})")


def crashed(found: State | None) -> State:
    """The state of one whose process was killed; of one that was being cancelled, that it is."""
    cancelled = found is not None and found.type == StateType.CANCELLING
    return Cancelled(message=MESSAGE) if cancelled else Crashed(message=MESSAGE)


def set_right(client: SyncPrefectClient, run: FlowRun, ended: str | None, error: str) -> bool:
    """Sets a flow run of a process that has ended, and what is below it, to how it ended.

    Args:
        client: A client of its server.
        run: The flow run as the server shows it.
        ended: Name of its last state; None: it did not say so.
        error: Why it failed.

    Returns:
        Whether anything was shown wrongly.
    """
    if run.state is None:
        return False
    known: dict[str | None, Right] = {"Completed": completed, "Failed": functools.partial(failed, error)}
    right = known.get(ended, crashed)
    below = _end_below(client, run.id, right)
    # a worker takes a process that could not tell its server for one that has crashed
    wrong = run.state.type in UNFINISHED or (run.state.type == StateType.CRASHED and ended in ("Completed", "Failed"))
    if wrong:
        client.set_flow_run_state(run.id, right(run.state), force=True)
    return wrong or below


def end_below(own_id: UUID) -> bool:
    """Sets what is unfinished below a flow run that has completed to Completed; whether there was any."""
    with get_client(sync_client=True) as client:
        return _end_below(client, own_id, completed)


def _end_below(client: SyncPrefectClient, flow_run_id: UUID, right: Right) -> bool:
    """Sets the unfinished sub-flows and task runs of a flow run; whether there was any."""
    unfinished = FlowRunFilterStateType(any_=UNFINISHED)
    below = FlowRunFilter(
        state=FlowRunFilterState(type=unfinished),
        parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run_id]),
    )
    children = client.read_flow_runs(flow_run_filter=below)
    for child in children:
        _end_below(client, child.id, right)
        client.set_flow_run_state(child.id, right(child.state), force=True)
    tasks = client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id])),
        task_run_filter=TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=UNFINISHED))),
    )
    for task in tasks:
        client.set_task_run_state(task.id, right(task.state), force=True)
    return bool(children or tasks)
