"""A training that a Prefect worker runs saves a checkpoint when its run is signalled or cancelled."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model.checkpoints.steps import complete_steps
from model.training.metrics import read_lines
from pipeline.base.processes import alive, descendants
from tests.flows.served import Served
from tests.model.runs import make_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.flow,
    pytest.mark.xdist_group("prefect"),
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
PATIENCE_SECONDS = 240.0
LONG = ("train.steps=1000000", "train.checkpoint_every_steps=0")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.mark.parametrize(
    ("ends", "processes", "state"),
    [
        ("SIGINT", 1, "Crashed"),
        ("SIGHUP", 1, "Crashed"),
        ("cancel", 1, "Cancelled"),
        ("cancel", 2, "Cancelled"),
    ],
)
def test_run_of_a_worker_that_is_ended_saves_a_checkpoint(
    served: Served, tmp_path: Path, ends: str, processes: int, state: str
) -> None:
    run = make_run(tmp_path, overrides=(*LONG, f"train.processes={processes}"))
    flow_run = served.run("pretrain/pretrain", {"recipe": f"{run.root}/recipe.toml", "root": run.root})
    wait_for(lambda: bool(read_lines(run.root)), served)
    engine = served.engine()
    all_of_it = [engine, *descendants(engine)]
    if ends == "cancel":
        served.cancel(flow_run)
    else:
        os.kill(engine, signal.Signals[ends])
    wait_for(lambda: alive(all_of_it) == [], served)
    (step,) = complete_steps(run.root)
    assert read_lines(run.root)[-1]["step"] == step > 0
    assert f"the next start begins at step {step:,}" in served.printed()
    wait_for(lambda: served.state(flow_run) == state, served)


def wait_for(reached: Callable[[], bool], served: Served) -> None:
    """Until ``reached()`` is true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert time.monotonic() < deadline, served.printed()[-5000:]
        time.sleep(0.1)
