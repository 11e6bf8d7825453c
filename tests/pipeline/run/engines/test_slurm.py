"""The Slurm engine: the script it submits, and whole batches run by a stand-in for Slurm's commands.

No real Slurm has run this; docs/scale.md says so.
"""

import json
import sys
from pathlib import Path

import pytest

from pipeline.base.errors import RunError, UserError
from pipeline.run.context import Context
from pipeline.run.engine import Step
from pipeline.run.engines import EngineOptions, make_workers
from pipeline.run.folder import Run
from tests.pipeline.run import dummy_stage
from tests.pipeline.run.dummy_run import RECIPE
from tests.pipeline.run.engines import slurm_stand_in as stand_in_module
from tests.trees import tree

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
SETTINGS = ["slurm.poll_seconds=0.2", "slurm.partition=short", "slurm.sbatch.account=ours"]
SHARDS = 3


def run_on_slurm(root: Path, *settings: str, **arguments: object) -> None:
    job = Run(str(root), RECIPE)
    with job.lock(), make_workers(EngineOptions.of("slurm", [*SETTINGS, *settings])) as workers:
        context = Context(job, workers)
        context.run_step(dummy_stage.STEP, dummy_stage.jobs(SHARDS, **arguments))


def local_dummy(root: Path) -> None:
    from pipeline.base.pool import Pool

    job = Run(str(root), RECIPE)
    with job.lock(), Pool(2) as pool:
        Context(job, pool).run_step(dummy_stage.STEP, dummy_stage.jobs(SHARDS))


def test_script_asks_slurm_for_what_the_settings_say(slurm: Path, tmp_path: Path) -> None:
    from pipeline.run.engines.slurm_cluster import make_executor

    options = EngineOptions.of("slurm", [*SETTINGS, "slurm.time=01:30:00"]).slurm
    assert options is not None
    step = Step("train", 1, "x:y")
    executor = make_executor(options, 7, str(tmp_path / "batch"), step, 5000, "tokenmill-train-1")
    script = executor.get_launch_file_contents(executor.get_sbatch_args(1001), "launch_pickled_pipeline x")
    wanted = [
        "partition=short", "account=ours", "time=01:30:00", "array=0-1000%7", "job-name=tokenmill-train-1",
        "cpus-per-task=1", "mem-per-cpu=2G", "requeue",
    ]  # fmt: skip
    for line in wanted:
        assert f"#SBATCH --{line}\n" in script, f"{line}\n{script}"
    assert f"source {Path(sys.prefix) / 'bin' / 'activate'}" in script


@pytest.mark.slow
def test_preempted_job_is_sent_again_and_the_bytes_are_those_of_a_local_run(
    slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "preempted"
    monkeypatch.setenv("STAND_IN_PREEMPT", str(marker))
    run_on_slurm(tmp_path / "slurm-run")
    local_dummy(tmp_path / "local")
    assert marker.exists(), "a job must have been pre-empted"
    assert len(list(slurm.glob("*.sh"))) == 2, "the missing shard must have been a second batch"
    assert tree(tmp_path / "slurm-run") == tree(tmp_path / "local")
    assert not (tmp_path / "slurm-run/logs/cluster/slurm-active.json").exists()


@pytest.mark.slow
def test_failing_shard_is_named_with_its_own_words_and_the_array_is_cancelled(slurm: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"dummy 00000 on .*this shard was told to fail"):
        run_on_slurm(tmp_path / "run", fails="00000", slow_seconds=5.0)
    name = json.loads((next((tmp_path / "slurm").glob("*.args"))).read_text().splitlines()[0].join('""'))
    assert stand_in_module_jobs(name, slurm) == []


def stand_in_module_jobs(name: str, state: Path) -> list[int]:
    stand_in_module.STATE = state
    return stand_in_module.jobs(name)


def test_machine_without_slurm_is_told_where_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="sbatch, squeue, scancel not found; run on a login node"):
        make_workers(EngineOptions.of("slurm", []))
