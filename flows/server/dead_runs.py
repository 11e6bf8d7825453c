"""Repairs what a killed run left in Prefect's records: no run is shown as running for ever.

Works around Prefect 3.8.8, whose server does not notice a process that got SIGKILL.  Whoever holds the lock of a run
folder knows that every other flow run of that folder is dead; each flow run carries a tag with its folder, so they are
found and set to Crashed, with their task runs.
"""

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
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed

UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
MESSAGE = "its process ended without a word (killed); the next run on this folder found it"


def root_tag(root: str) -> str:
    """The tag that flow runs on the run folder ``root`` carry."""
    return f"tokenmill-root:{root}"


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
        dead = [run.id for run in client.read_flow_runs(flow_run_filter=wanted) if run.id != own_id]
        for flow_run_id in dead:
            _crash(client, flow_run_id)
        return len(dead)


def _crash(client: SyncPrefectClient, flow_run_id: UUID) -> None:
    """Sets a dead flow run to Crashed, after its sub-flows and task runs."""
    below = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=UNFINISHED)),
        parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run_id]),
    )
    for child in client.read_flow_runs(flow_run_filter=below):
        _crash(client, child.id)
    tasks = client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id])),
        task_run_filter=TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=UNFINISHED))),
    )
    for task in tasks:
        client.set_task_run_state(task.id, Crashed(message=MESSAGE), force=True)
    client.set_flow_run_state(flow_run_id, Crashed(message=MESSAGE), force=True)
