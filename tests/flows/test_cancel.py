"""A cancelled run of the real stages leaves no process behind, and goes on to the same files."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.end_to_end import tiny
from tests.flows.processes import ENVIRONMENT
from tests.tools.cancel import LONG_TRAINING, MOMENTS, cancel, run_command

pytestmark = [
    pytest.mark.slow,
    pytest.mark.flow,
    pytest.mark.xdist_group("prefect"),
    pytest.mark.timeout(1200),
]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    return tiny.write_inputs(tmp_path_factory.mktemp("cancelled"), sample)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_cancelled_in_every_stage_no_process_is_left_and_the_run_goes_on(
    recipe: Path, tmp_path: Path, number: signal.Signals
) -> None:
    # a folder each: on a busy machine a run gets far beyond the moment before the signal reaches it
    for stage in MOMENTS:
        found = cancel(run_command(recipe, tmp_path / stage, *LONG_TRAINING), stage, number)
        assert found.code == 130, found.told
        assert found.processes >= 3, "the command, its Prefect server and what works"
        assert "run the same command again" in found.told
    for name in (*MOMENTS, "never"):
        command = run_command(recipe, tmp_path / name, "--stages", "clean,dedup,filter,tokenize")
        subprocess.run(command, cwd=REPOSITORY, env=ENVIRONMENT, check=True)
    expected = curated(tmp_path / "never")
    assert all(curated(tmp_path / stage) == expected for stage in MOMENTS)


def curated(root: Path) -> dict[str, bytes]:
    """What the training, of which only the cancelled run has a piece, does not write."""
    trained = ("checkpoints/", "recipe.toml")
    return {path: data for path, data in tiny.promised(root).items() if not path.startswith(trained)}
