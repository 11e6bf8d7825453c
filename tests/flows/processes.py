"""The command line over the small stages in a process of its own, and what is left of one that was ended."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.base.processes import alive, descendants
from tests.conftest import REPOSITORY

OTHERS = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
ENVIRONMENT = {**OTHERS, "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


def tokenmill(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.flows.stand_in", *arguments]
    variables = {**ENVIRONMENT, **environment}
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=variables, timeout=120)


@contextlib.contextmanager
def start(recipe: Path, root: Path, **environment: str) -> "Iterator[subprocess.Popen[str]]":
    """A run in a process of its own, which is over with its pipe closed when the block is, however that ends."""
    command = [sys.executable, "-m", "tests.flows.stand_in", "run", str(recipe), "--root", str(root)]
    variables = {**ENVIRONMENT, **environment}
    with subprocess.Popen(command, cwd=REPOSITORY, env=variables, text=True, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(process: "subprocess.Popen[str]", appeared: Callable[[], bool]) -> list[int]:
    """The processes below, once ``appeared()`` is true."""
    deadline = time.monotonic() + 300
    while not appeared() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    return descendants(process.pid)


def gone_within_ten_seconds(pids: list[int]) -> bool:
    deadline = time.monotonic() + 10
    while alive(pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive(pids) == []


def names(pids: list[int]) -> str:
    found = []
    for pid in pids:
        try:
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return "\n".join(found)
