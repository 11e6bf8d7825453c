import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.base.console import release_stdout

os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def sample() -> Path:
    return REPOSITORY / "data" / "sample"


@pytest.fixture(autouse=True)
def unclaimed_stdout() -> Iterator[None]:
    """A command run in this process with --json claims standard output for good; the next test starts afresh."""
    yield
    release_stdout(restore=False)  # pytest has put its own back


@pytest.fixture
def nothing_left_open() -> Iterator[None]:
    """For tests that use sockets: one that is left open fails this test, not a random later one."""
    yield
    gc.collect()
