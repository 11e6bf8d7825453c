import contextlib
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


@pytest.fixture(scope="module")
def prefect_server() -> Iterator[None]:
    """One Prefect server for the flow tests of a module; its start costs seconds."""
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
    from prefect.testing.utilities import prefect_test_harness

    with contextlib.ExitStack() as harness:
        harness.enter_context(prefect_test_harness(server_startup_timeout=120))
        yield
        with warnings.catch_warnings():  # the services of Prefect end here, and their sockets with them
            warnings.simplefilter("ignore", ResourceWarning)
            harness.close()
            gc.collect()


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    (tmp_path / "x").write_text("A text that nobody reads: the stages are stand-ins.\n")
    return path


@pytest.fixture
def small_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small stages of tests/flows/stand_in.py in place of the real ones."""
    from flows.session import stages

    for name, function in stand_in.STAND_INS.items():
        monkeypatch.setitem(stages.STAGES, name, function)
