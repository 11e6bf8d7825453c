"""The embedded Prefect server of a whole run is killed at a random file operation of the run.

The run must end well without it, with every promised byte: Prefect never decides how a run ends.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from pipeline.base.processes import descendants
from tests.campaign import child
from tests.campaign.scenarios import DOCUMENT, SETTINGS, Scenario
from tests.campaign.shim import Action, Shim
from tests.campaign.trials import Trial
from tests.conftest import REPOSITORY
from tests.flows.processes import ENVIRONMENT, names

SERVER = "flows.server.embedded"
SECONDS = 300.0


def kill_server(
    first: Scenario, last: Scenario, operations: int, place: Path, shim: Shim, chance: random.Random
) -> Trial:
    """Runs every stage by the command line, and kills the server below it.

    Args:
        first: What is there before.
        last: What is promised afterwards.
        operations: That all stages do.
        place: The folder of the trial.
        shim: Counts them.
        chance: Says at which of them.
    """
    target = chance.randrange(operations)
    trial = Trial("run", f"the server killed after {target:,} operations")
    first.begin(place)
    shim.arm(place, Action.COUNT)
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    command = [sys.executable, "-m", "flows.cli", "run", str(place / "in/tiny.toml"), "--root", str(place / "run")]
    with subprocess.Popen(
        [*command, "--workers", "1", *settings], cwd=REPOSITORY, env=ENVIRONMENT, text=True, encoding="utf-8",
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        killed = _kill_after(process, target, shim)
        said = _rest(process)
    shim.disarm()
    trial.hit = [SERVER] if killed else []
    ended = child.Ended(process.returncode, said)
    trial.ended = f"code {ended.code} {ended.error}"
    if ended.code != 0 or "Traceback" in said:
        trial.complaints.append(f"ended with {ended.code}: {said[-1500:]}")
    elif wrong := [path for path in last.differences(place) if path != DOCUMENT]:  # of the campaign itself
        trial.complaints.append(f"other bytes: {', '.join(wrong[:5])}")
    return trial


def _kill_after(process: "subprocess.Popen[str]", target: int, shim: Shim) -> bool:
    """Whether there was a server to kill once so many operations were done, or when it came after them."""
    deadline = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if shim.counted() >= target:
            for pid in descendants(process.pid):
                if SERVER in names([pid]):
                    os.kill(pid, signal.SIGKILL)
                    return True
        time.sleep(0.005)  # the operations are counted in another process
    return False


def _rest(process: "subprocess.Popen[str]") -> str:
    """What it said; one that hangs is ended, and its exit code tells."""
    try:
        return process.communicate(timeout=SECONDS)[1]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[1]
