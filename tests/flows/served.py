"""A Prefect server of a test's own, a worker, and the deployments of prefect.yaml as they stand there."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from pipeline.base.processes import descendants
from tests.conftest import REPOSITORY
from tests.flows.processes import ENVIRONMENT

PREFECT = [sys.executable, "-m", "prefect"]
ENDED = ("Completed", "Failed", "Crashed", "Cancelled")


class Served:
    """Server and worker; the server can be killed and started again on the same database.

    Args:
        folder: For Prefect's home, the caches that no other test sees, and what the processes print.
        worker: Whether there is one, and deployments for it.
        changed: Texts of prefect.yaml and what is to stand in their place: as a user edits it.
        database: Connection URL of the server's database; by default a file of SQLite in its home.
        pages: Whether the server has Prefect's pages.
        environment: Variables of the worker, and so of its flow runs.
    """

    def __init__(
        self,
        folder: Path,
        *changed: tuple[str, str],
        worker: bool = True,
        database: str = "",
        pages: bool = False,
        **environment: str,
    ) -> None:
        self.folder, self._with_worker = folder, worker
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/api"
        own = {"PREFECT_HOME": str(folder / "prefect"), "PREFECT_API_URL": self.url, "PREFECT_CLI_PROMPT": "false"}
        own |= {"PREFECT_UI_ENABLED": str(pages).lower(), "PREFECT_WORKER_QUERY_SECONDS": "2"}
        own |= {"PREFECT_API_DATABASE_CONNECTION_URL": database} if database else {}
        self.environment = {**ENVIRONMENT, **own, "PWD": str(folder), "PYTHONPATH": str(REPOSITORY)}
        self._of_worker = {**self.environment, **environment}
        self._changed = changed
        self._ended = ExitStack()
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as undone:
            undone.callback(self._ended.close)
            self._ended.callback(self.kill_server)
            self.start_server()
            if self._with_worker:
                self._deploy()
                self._start_worker()
            undone.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.close()

    def start_server(self) -> None:
        """Starts the server, and returns when it answers."""
        self._server = self._start([*PREFECT, "server", "start", "--port", str(self.port)], "server.txt")
        deadline = time.monotonic() + 180
        while not self._answers():
            assert self._server.poll() is None, self.printed("server.txt")
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)

    def kill_server(self) -> None:
        """SIGKILL: it says nothing to anybody."""
        if self._server is not None and self._server.poll() is None:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()

    def _answers(self) -> bool:
        try:
            return self.ask("/health") is True
        except OSError:
            return False

    def _deploy(self) -> None:
        text = (REPOSITORY / "prefect.yaml").read_text("utf-8")
        for old, new in self._changed:
            assert old in text
            text = text.replace(old, new)
        (self.folder / "prefect.yaml").write_text(text, encoding="utf-8")
        (self.folder / "flows").symlink_to(REPOSITORY / "flows")
        for arguments in (
            ["work-pool", "create", "tokenmill", "--type", "process"],
            ["--no-prompt", "deploy", "--all"],
        ):
            code = self._start([*PREFECT, *arguments], "deploy.txt").wait(120)
            assert code == 0, self.printed("deploy.txt")

    def _start_worker(self) -> None:
        self._worker = self._start([*PREFECT, "worker", "start", "--pool", "tokenmill"], "worker.txt", self._of_worker)
        self._ended.callback(_end, self._worker)

    def _start(
        self, command: list[str], log: str, environment: dict[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        with (self.folder / log).open("ab") as sink:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment or self.environment,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )

    def printed(self, name: str = "worker.txt") -> str:
        """What the worker and its flow runs, or another process, have printed."""
        return (self.folder / name).read_text("utf-8", errors="replace")

    def ask(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """An answer of the API."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for tries_left in reversed(range(10)):
            try:
                with opener.open(request, timeout=30) as answer:
                    text = answer.read()
                return json.loads(text) if text else None
            except urllib.error.HTTPError as error:  # SQLite is busy: Prefect's own client asks again too
                if error.code != 503 or not tries_left:
                    raise
                time.sleep(1)
        return None

    def run(self, deployment: str, parameters: dict[str, Any], scheduled: datetime | None = None) -> str:
        """Starts a run of a deployment, as the form or a schedule does; its id."""
        found = self.ask(f"/deployments/name/{deployment}")
        details = {"scheduled_time": scheduled.isoformat()} if scheduled else {}
        state = {"type": "SCHEDULED", "state_details": details}
        made = self.ask(f"/deployments/{found['id']}/create_flow_run", {"parameters": parameters, "state": state})
        return str(made["id"])

    def pause(self, paused: bool) -> None:
        """While it is paused, the worker is given no run: as in an outage, they become late."""
        self.ask("/work_pools/tokenmill", {"is_paused": paused}, "PATCH")

    def state(self, run: str) -> str:
        """The name of a run's state; empty while the server is away or busy."""
        try:
            return str(self.ask(f"/flow_runs/{run}")["state"]["name"])
        except OSError:
            return ""

    def cancel(self, run: str) -> None:
        """What the button of Prefect's page does."""
        self.ask(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})

    def engine(self) -> int:
        """The process of the run that the worker has started, which is the parent of all that belongs to it."""
        below = descendants(self._worker.pid)
        found = [pid for pid in below if b"prefect" in _command(pid) and b"engine" in _command(pid)]
        assert found, [_command(pid) for pid in below]
        return found[0]

    def ended(self, runs: Iterable[str], seconds: float = 240.0) -> list[str]:
        """The states of runs once all have ended, or after so many seconds."""
        deadline = time.monotonic() + seconds
        waited = list(runs)
        while True:
            states = [self.state(run) for run in waited]
            if all(state in ENDED for state in states) or time.monotonic() > deadline:
                return states
            time.sleep(0.5)

    def said(self, run: str) -> str:
        """The message of a run's state, and the lines on its page."""
        lines = self.ask("/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}, "limit": 200})
        message = self.ask(f"/flow_runs/{run}")["state"]["message"]
        return "\n".join([str(message), *(line["message"] for line in lines)])

    def logged(self, run: str, awaited: str, seconds: float = 60.0) -> list[str]:
        """The lines on a run's page, once one of them has the awaited words: they come a moment after its end."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.ask("/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}, "limit": 200})
            lines = [str(line["message"]) for line in found]
            if any(awaited in line for line in lines) or time.monotonic() > deadline:
                return lines
            time.sleep(0.2)

    def states(self) -> dict[str, str]:
        """State by name of every flow run, sub-flows too."""
        return {run["name"]: run["state"]["name"] for run in self.ask("/flow_runs/filter", {})}


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(60)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
