"""A flow run whose lease of a concurrency limit is lost goes on.

Works around Prefect 3.8.8: a run of a deployment that has a ``concurrency_limit`` holds a lease, which the server keeps
in its memory.  After a restart the renewal fails, at the latest 225 s later, and Prefect ends the run.  What must not
run twice at a time is held by the locks of run folders and GPUs; a limit that a user has set on a deployment is theirs,
and a server that was away is no reason to end what runs.  Prefect then says in the run's logs that more than the limit
may run.
"""

import functools
from typing import Any

from prefect import flow_engine


def survive() -> None:
    """From now on the loss of a lease ends no flow run of this process."""
    for name in ("maintain_concurrency_lease", "amaintain_concurrency_lease"):
        setattr(flow_engine, name, _going_on(getattr(flow_engine, name)))


def _going_on(maintain: Any) -> Any:
    @functools.wraps(maintain)
    def maintained(*arguments: Any, **named: Any) -> Any:
        return maintain(*arguments, **{**named, "raise_on_lease_renewal_failure": False})

    return maintained
