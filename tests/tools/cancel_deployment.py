"""How long a deployment run that is cancelled in Prefect takes to leave no process behind.

``python -m tests.tools.cancel_deployment RECIPE FOLDER [STAGE ...]`` starts a server, a worker and the deployments of
prefect.yaml, cancels a run of end-to-end in each stage through the API (as the page's Cancel does), and prints the rows
of docs/prefect.md.
"""

import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.flows.processes import ENVIRONMENT
from tests.tools.cancel import MARK, MOMENTS, gone, marked

PORT = 4310
OVERRIDES = ["train.steps=100000", "train.processes=2", "train.log_every_steps=1"]


@contextlib.contextmanager
def served(home: Path) -> Iterator["queue.Queue[str]"]:
    """A server and a worker with the deployments of prefect.yaml; yields the lines that the worker's runs print."""
    home.mkdir(parents=True)
    url = f"http://127.0.0.1:{PORT}/api"
    os.environ.update(PREFECT_HOME=str(home), PREFECT_API_URL=url, PREFECT_CLI_PROMPT="false")
    environment = {**ENVIRONMENT, "PREFECT_HOME": str(home), "PREFECT_API_URL": url, "PREFECT_CLI_PROMPT": "false"}
    prefect = [sys.executable, "-m", "prefect"]
    quiet = {"cwd": REPOSITORY, "env": environment, "stdout": sys.stderr, "stderr": sys.stderr}
    with contextlib.ExitStack() as ended:
        server = [*prefect, "server", "start", "--port", str(PORT)]
        process = subprocess.Popen(server, **quiet)  # type: ignore[call-overload]
        ended.callback(_end, process)
        while not _answers(url):
            assert process.poll() is None, "the server ended"
            time.sleep(0.5)
        subprocess.run([*prefect, "work-pool", "create", "tokenmill", "--type", "process"], check=True, **quiet)  # type: ignore[call-overload]
        subprocess.run([*prefect, "--no-prompt", "deploy", "--all"], check=True, **quiet)  # type: ignore[call-overload]
        worker = subprocess.Popen(
            [*prefect, "worker", "start", "--pool", "tokenmill"],
            cwd=REPOSITORY,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        ended.callback(_end, worker)
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_forward, args=(worker, lines), daemon=True).start()
        yield lines


def _forward(worker: "subprocess.Popen[str]", lines: "queue.Queue[str]") -> None:
    assert worker.stdout is not None
    for line in worker.stdout:
        sys.stderr.write(line)
        lines.put(line)


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    process.wait(60)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):
            return True
    except OSError:
        return False


def cancel(recipe: Path, root: Path, stage: str, lines: "queue.Queue[str]") -> tuple[int, float]:
    """Runs the deployment end-to-end and cancels it in ``stage``; how many processes there were, and seconds."""
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelling

    mark = uuid.uuid4().hex
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("end_to_end/end-to-end")
        given = {"recipe": str(recipe), "root": str(root), "overrides": OVERRIDES}
        run = client.create_flow_run_from_deployment(
            deployment.id, parameters=given, job_variables={"env": {**deployment.job_variables["env"], MARK: mark}}
        )
        while True:
            line = lines.get(timeout=300)
            if line.startswith(MOMENTS[stage]) and " to do" in line:
                break
        time.sleep(0.5)
        count = len(marked(mark))
        client.set_flow_run_state(run.id, Cancelling())
    ended, seconds = gone(mark, 120.0)
    if not ended:
        raise AssertionError(f"{stage}: still there: {marked(mark)}")
    return count, seconds


if __name__ == "__main__":
    given, folder = Path(sys.argv[1]), Path(sys.argv[2])
    with served(folder / "prefect") as printed:
        for name in sys.argv[3:] or MOMENTS:
            processes, took = cancel(given, folder / "run", name, printed)
            sys.stdout.write(f"| Cancel in Prefect | {name} | {processes} | {took:.1f} s | |\n")
            sys.stdout.flush()
