"""A Prefect server, a worker, and the deployments of prefect.yaml, as a team has them: each in a process of its own."""

import contextlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from pipeline.base.processes import descendants, end
from tests.conftest import REPOSITORY
from tests.flows.processes import ENVIRONMENT

PREFECT = [sys.executable, "-m", "prefect"]
PATIENCE_SECONDS = 240.0


@dataclass(frozen=True)
class Service:
    """A server and a worker that serves the deployments.

    Attributes:
        url: Of the server's API.
        environment: For processes that use it.
        worker: The worker's process.
        log: What the worker, and the runs that it starts, have said.
    """

    url: str
    environment: Mapping[str, str]
    worker: "subprocess.Popen[bytes]"
    log: Path

    def start(self, deployment: str, parameters: Mapping[str, Any]) -> UUID:
        """Asks for a run of a deployment, such as ``pretrain/pretrain``; returns its id."""
        from prefect.client.orchestration import SyncPrefectClient

        with SyncPrefectClient(self.url) as client:
            found = client.read_deployment_by_name(deployment)
            return client.create_flow_run_from_deployment(found.id, parameters=dict(parameters)).id

    def cancel(self, run: UUID) -> None:
        """What the button of Prefect's page does."""
        from prefect.client.orchestration import SyncPrefectClient
        from prefect.states import Cancelling

        with SyncPrefectClient(self.url) as client:
            client.set_flow_run_state(run, Cancelling())

    def state(self, run: UUID) -> str:
        """The name of a run's state."""
        from prefect.client.orchestration import SyncPrefectClient

        with SyncPrefectClient(self.url) as client:
            state = client.read_flow_run(run).state
            return state.name if state else ""

    def engine(self) -> int:
        """The process of the run that the worker has started, which is the parent of all that belongs to it."""
        below = descendants(self.worker.pid)
        found = [pid for pid in below if b"prefect" in _command(pid) and b"engine" in _command(pid)]
        assert found, [_command(pid) for pid in below]
        return found[0]


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@contextlib.contextmanager
def server(folder: Path) -> Iterator[dict[str, str]]:
    """A server with a database below ``folder``; the environment of processes that use it."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = {**ENVIRONMENT, "PREFECT_HOME": str(folder / "prefect"), "PREFECT_API_URL": url}
    environment |= {"PYTHONPATH": str(REPOSITORY), "PREFECT_CLI_PROMPT": "false", "PREFECT_UI_ENABLED": "false"}
    environment |= {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    command = [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-services"]
    with (folder / "server.log").open("wb") as log, _process(command, environment, log):
        _await(url)
        yield environment


@contextlib.contextmanager
def service(folder: Path, *deployments: str) -> Iterator[Service]:
    """A server, a worker, and the named deployments of prefect.yaml."""
    log = folder / "worker.log"
    with server(folder) as environment, log.open("wb") as worker_log:
        pool = [*PREFECT, "work-pool", "create", "tokenmill", "--type", "process"]
        subprocess.run(pool, env=environment, cwd=REPOSITORY, check=True, capture_output=True)
        for name in deployments:
            deploy = [*PREFECT, "--no-prompt", "deploy", "--name", name]
            subprocess.run(deploy, env=environment, cwd=REPOSITORY, check=True, capture_output=True)
        work = [*PREFECT, "worker", "start", "--pool", "tokenmill", "--name", "test"]
        with _process(work, environment, worker_log) as worker:
            yield Service(environment["PREFECT_API_URL"], environment, worker, log)


@contextlib.contextmanager
def _process(command: list[str], environment: Mapping[str, str], log: Any) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        command, env=environment, cwd=REPOSITORY, stdout=log, stderr=log, stdin=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        end([*descendants(process.pid), process.pid], 5.0)
        process.wait()


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _await(url: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.2)
