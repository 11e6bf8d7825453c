"""Repairs what a killed run left in Prefect's records: no run is shown as running for ever.

Prefect has no reaper for a process that got SIGKILL.  Whoever holds the lock of a run folder knows that every other
flow run of that folder is dead; each flow run carries a tag with its folder, so they are found and set to Crashed.
"""

from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType, FlowRunFilterTags
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed

UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


def root_tag(root: str) -> str:
    """The tag that flow runs on the run folder ``root`` carry."""
    return f"tokenmill-root:{root}"


def crash_dead_runs(root: str, own_id: UUID) -> int:
    """Sets every unfinished flow run of this folder but our own to Crashed; call it only while holding the lock.

    Returns:
        How many there were.
    """
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=UNFINISHED))
    wanted = FlowRunFilter(state=state, tags=FlowRunFilterTags(all_=[root_tag(root)]))
    with get_client(sync_client=True) as client:
        dead = [run for run in client.read_flow_runs(flow_run_filter=wanted) if run.id != own_id]
        for run in dead:
            message = "its process ended without a word (killed); the next run on this folder found it"
            client.set_flow_run_state(run.id, Crashed(message=message), force=True)
    return len(dead)
