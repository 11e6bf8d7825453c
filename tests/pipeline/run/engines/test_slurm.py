"""The Slurm engine on a real Slurm of one node: jobs cancelled, over their memory and time, no node, no controller."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import RunError, UserError
from pipeline.base.pool import Pool
from pipeline.run.context import Context
from pipeline.run.engines import EngineOptions, make_workers
from pipeline.run.folder import Run
from tests.pipeline.run import dummy_stage
from tests.pipeline.run.dummy_run import RECIPE
from tests.pipeline.run.engines.real_slurm import RealSlurm
from tests.trees import tree

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
    pytest.mark.xdist_group("slurm"),
    pytest.mark.timeout(400),
]
SETTINGS = ["slurm.poll_seconds=2", "slurm.leader_seconds=0", "slurm.memory_gb_per_cpu=1"]
SHARDS = 3
RUNNING = ("squeue", "--noheader", "--array", "--states=RUNNING", "--format=%i %T")


def run_on_slurm(root: Path, *settings: str, **arguments: Any) -> None:
    job = Run(str(root), RECIPE)
    with job.lock(), make_workers(EngineOptions.of("slurm", [*SETTINGS, *settings])) as workers:
        context = Context(job, workers)
        context.run_step(dummy_stage.STEP, dummy_stage.jobs(SHARDS, **arguments))


def local_dummy(root: Path) -> None:
    job = Run(str(root), RECIPE)
    with job.lock(), Pool(2) as pool:
        Context(job, pool).run_step(dummy_stage.STEP, dummy_stage.jobs(SHARDS))


def batches(root: Path) -> int:
    return len(list(root.glob("logs/cluster/dummy-*/datatrove/launch_script.slurm")))


def beside(act: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def test_script_asks_slurm_for_what_the_settings_say(tmp_path: Path) -> None:
    from pipeline.run.engines.slurm_cluster import make_executor

    settings = ["slurm.time=01:30:00", "slurm.partition=short", "slurm.sbatch.account=ours"]
    options = EngineOptions.of("slurm", settings).slurm
    assert options is not None
    executor = make_executor(options, 7, str(tmp_path / "batch"), 5000, "tokenmill-train-1")
    script = executor.get_launch_file_contents(executor.get_sbatch_args(1001), "launch_pickled_pipeline x")
    wanted = [
        "partition=short", "account=ours", "time=01:30:00", "array=0-1000%7", "job-name=tokenmill-train-1",
        "cpus-per-task=1", "mem-per-cpu=2G", "requeue",
    ]  # fmt: skip
    for line in wanted:
        assert f"#SBATCH --{line}\n" in script, f"{line}\n{script}"
    assert f"source {Path(sys.prefix) / 'bin' / 'activate'}" in script


def test_machine_without_slurm_is_told_where_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="sbatch, squeue, scancel not found; run on a login node"):
        make_workers(EngineOptions.of("slurm", []))


@pytest.mark.slow
def test_cancelled_job_is_sent_again_and_the_bytes_are_those_of_a_local_run(
    slurm: RealSlurm, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def cancel_one() -> None:
        running = slurm.wait_for(*RUNNING, answer="_1 RUNNING")
        slurm.ask("scancel", next(line.split()[0] for line in running.splitlines() if "_1 " in line))

    thread = beside(cancel_one)
    run_on_slurm(tmp_path / "slurm-run", slow_seconds=0.5)
    thread.join()
    local_dummy(tmp_path / "local")
    assert batches(tmp_path / "slurm-run") == 2, "the missing shard must have been a second batch"
    assert "no result of 1 shard (1 job ended as CANCELLED); sent again" in capfd.readouterr().err
    assert tree(tmp_path / "slurm-run") == tree(tmp_path / "local")
    assert not (tmp_path / "slurm-run/logs/cluster/slurm-active.json").exists()


@pytest.mark.slow
def test_failing_shard_is_named_with_its_own_words_and_the_array_is_cancelled(slurm: RealSlurm, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"dummy 00000 on .*this shard was told to fail"):
        run_on_slurm(tmp_path / "run", fails="00000", slow_seconds=5.0)
    slurm.wait_for("sinfo", "--noheader", "--format=%T", answer="idle", seconds=20.0)


@pytest.mark.slow
def test_job_over_its_memory_is_told_with_what_gives_it_more(slurm: RealSlurm, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"1 shard \(00002\).*exceeded memory limit.*slurm\.memory_gb_per_cpu=2"):
        run_on_slurm(tmp_path / "run", holds_memory="00002", held_bytes=2 * 10**9)
    run_on_slurm(tmp_path / "run", "slurm.memory_gb_per_cpu=3")
    local_dummy(tmp_path / "local")
    assert tree(tmp_path / "run") == tree(tmp_path / "local")


@pytest.mark.slow
def test_job_over_its_time_is_told_with_what_gives_it_more(slurm: RealSlurm, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"3 shards .*TIMEOUT.*slurm\.time="):
        run_on_slurm(tmp_path / "run", "slurm.time=00:01:00", slow_seconds=60.0)


@pytest.mark.slow
def test_drained_node_is_told_and_waited_for(
    slurm: RealSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from pipeline.run.engines import slurm_cluster

    monkeypatch.setattr(slurm_cluster, "TELL_WAITING_SECONDS", 3.0)
    node = ("scontrol", "update", f"NodeName={slurm.host}")
    slurm.ask(*node, "State=DRAIN", "Reason=test")
    slurm.wait_for("sinfo", "--noheader", "--format=%T", answer="drained")
    said = ""

    def bring_back() -> None:
        nonlocal said
        while "in Slurm's queue" not in said:
            said += capfd.readouterr().err
            threading.Event().wait(0.2)
        slurm.ask(*node, "State=RESUME")

    thread = beside(bring_back)
    run_on_slurm(tmp_path / "run")
    thread.join()
    assert "dummy: 3 jobs wait in Slurm's queue: " in said
    assert batches(tmp_path / "run") == 1


@pytest.mark.slow
def test_controller_that_is_away_is_waited_for(slurm: RealSlurm, tmp_path: Path) -> None:
    slurm.stop_controller()

    def come_back() -> None:
        threading.Event().wait(8.0)
        slurm.start_controller()

    thread = beside(come_back)
    run_on_slurm(tmp_path / "sent-while-away")
    thread.join()

    def go_away() -> None:
        slurm.wait_for(*RUNNING, answer="_1 RUNNING")
        slurm.stop_controller()
        threading.Event().wait(8.0)
        slurm.start_controller()

    thread = beside(go_away)
    run_on_slurm(tmp_path / "away-in-the-middle", slow_seconds=1.0)
    thread.join()
    assert tree(tmp_path / "sent-while-away") == tree(tmp_path / "away-in-the-middle")
    assert batches(tmp_path / "away-in-the-middle") == 1


@pytest.mark.slow
def test_refused_batch_is_told_beside_what_sbatch_says(
    slurm: RealSlurm, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RunError, match=r"sbatch refused dummy \(code 1\); what it said stands above"):
        run_on_slurm(tmp_path / "run", "slurm.partition=nowhere")
    assert "invalid partition" in capfd.readouterr().err


@pytest.mark.slow
def test_small_step_needs_no_job_and_a_long_one_becomes_jobs_after_its_budget(slurm: RealSlurm, tmp_path: Path) -> None:
    run_on_slurm(tmp_path / "small", "slurm.leader_seconds=30")
    run_on_slurm(tmp_path / "long", "slurm.leader_seconds=2", slow_seconds=0.5)
    assert (batches(tmp_path / "small"), batches(tmp_path / "long")) == (0, 1)
    assert tree(tmp_path / "small") == tree(tmp_path / "long")
    assert [*(tmp_path / "long/.scratch").iterdir()] == [], "what the leader was ended in has gone"
