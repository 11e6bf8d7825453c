import gc
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows import stand_in

RECIPE = """
name = "stand-in"
[clean]
language_characters = 100
[[sources]]
name = "s"
paths = ["x"]
"""


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """One Prefect server for every flow test of the session; its start costs seconds."""
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield
    with warnings.catch_warnings():  # the sockets of prefect's clients are closed here, not at the session's end
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def small_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small stages of tests/flows/stand_in.py in place of the real ones."""
    from pipeline import stages

    for name, function in stand_in.STAND_INS.items():
        monkeypatch.setitem(stages.STAGES, name, function)
