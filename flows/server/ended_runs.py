"""How flow runs of this user's processes ended, on disk: for a server that was away when they did.

Works around Prefect 3.8.8, where a run whose server is away at its end stays Running for ever, or is set to Crashed by
its worker although it has completed.

Each process that runs a flow of ours holds a file in the cache folder, locked as long as it lives: no live run is ever
taken for a dead one.  How the flow ended is written into it.  Whoever reaches that server next, on this machine and as
this user, sets right what it shows and removes the file.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.runtime import flow_run

from flows.display.terminal import tell
from flows.server.dead_runs import set_right
from flows.server.embedded import is_embedded
from flows.server.lost_server import INTERRUPTS, server_url, told_if_possible
from flows.server.settings import flow_runs_folder
from pipeline.base.errors import parse_json
from pipeline.base.words import counted

KEPT_SECONDS = 90 * 24 * 3600.0  # for a server that is never reached again
# Files of flow runs of this process and their descriptors: open, and so locked, until the process ends or the server
# has them.  The process is their scope.
_own: dict[Path, int] = {}


def begin() -> Path | None:
    """Begins the file of the flow run that is current; None where no server would outlive this process."""
    url, own_id = _server(), flow_run.get_id()
    if url is None or own_id is None:
        return None
    path = flow_runs_folder() / f"{own_id}.json"
    try:
        if path not in _own:
            _own[path] = _held(path)
    except OSError as error:
        tell(f"{path}: {error.strerror}; if the Prefect server goes away, it will not learn how this run ends")
        return None
    _write(path, {"server": url, "flow_run": own_id, "tries": flow_run.get_run_count()})
    return path


def _held(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def end(path: Path, error: BaseException | None) -> None:
    """Writes how the flow ended."""
    if path not in _own:
        return
    kind = "Completed" if error is None else "Crashed" if isinstance(error, INTERRUPTS) else "Failed"
    _write(path, {**_read(_own[path]), "ended": kind, "error": str(error or "")[:2000]})


def end_all(error: BaseException | None) -> None:
    """Writes how the flow of each file of this process ended: what a command has tried twice ends as its last try."""
    for path in _own:
        end(path, error)


def _server() -> str | None:
    url = server_url().rstrip("/")
    return url if url and not is_embedded() else None


def _write(path: Path, values: dict[str, Any]) -> None:
    data = json.dumps(values).encode()
    os.pwrite(_own[path], data, 0)
    os.ftruncate(_own[path], len(data))


def _read(descriptor: int) -> dict[str, Any]:
    try:
        found = parse_json(os.pread(descriptor, 1 << 16, 0))
    except ValueError:
        return {}  # of a process that was killed while it wrote
    return found if isinstance(found, dict) else {}


def settle() -> int:
    """Sets right what the server of this process shows of flow runs that have ended.

    Returns:
        How many it showed wrongly.
    """
    url, changed = _server(), 0
    if url is None:
        return 0
    with told_if_possible():
        for path in list(flow_runs_folder().glob("*.json")):
            with _ended(path) as values:
                if values is None or (values and values["server"] != url):
                    continue
                if values:
                    changed += _settle(values)
                path.unlink(missing_ok=True)
    if changed:
        tell(f"{counted(changed, 'flow run')} that ended without the Prefect server: set right")
    return changed


def _settle(values: dict[str, Any]) -> bool:
    with get_client(sync_client=True) as client:
        try:
            own = client.read_flow_run(UUID(values["flow_run"]))
            if own.run_count > values["tries"]:
                return False  # a later try, maybe on another machine
            return set_right(client, own, values.get("ended"), values.get("error", ""))
        except ObjectNotFound:
            return False  # deleted, or of another database at this address
        except PrefectHTTPStatusError as error:
            tell(f"the Prefect server does not take how flow run {values['flow_run']} ended: {error}")
            return False


@contextlib.contextmanager
def _ended(path: Path) -> Iterator[dict[str, Any] | None]:
    """What is written of a flow run that has ended, empty where that is damaged; None of one that is under way."""
    values: dict[str, Any] | None
    own = _own.get(path)
    if own is not None:
        values = _read(own)
        yield values if "ended" in values else None
        if not path.exists():
            os.close(_own.pop(path))
        return
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        yield None  # settled by another process meanwhile
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            values = None
        else:
            values = _read(descriptor)
            if time.time() - os.fstat(descriptor).st_mtime > KEPT_SECONDS:
                path.unlink(missing_ok=True)
        yield values
    finally:
        os.close(descriptor)
