import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.base import processes, storage
from pipeline.base.errors import RunError
from pipeline.base.pool import Pool
from pipeline.base.processes import alive, descendants
from pipeline.run.context import Context, NeedsWork
from pipeline.run.engine import Job
from pipeline.run.folder import Run
from pipeline.run.manifest import load_manifests
from tests.conftest import REPOSITORY
from tests.pipeline.run import dummy_stage
from tests.pipeline.run.dummy_run import RECIPE, run_dummy
from tests.trees import tree


def test_second_run_skips_every_shard(tmp_path: Path) -> None:
    run_dummy(tmp_path)
    before = tree(tmp_path)
    again = run_dummy(tmp_path)
    assert (again.shards_run, again.shards_skipped) == (0, 8)
    assert tree(tmp_path) == before


def test_one_worker_and_three_workers_write_identical_trees(tmp_path: Path) -> None:
    run_dummy(tmp_path / "one", workers=1)
    run_dummy(tmp_path / "three", workers=3)
    assert len(tree(tmp_path / "one")) == 19
    assert tree(tmp_path / "one") == tree(tmp_path / "three")


def test_deleted_output_is_rebuilt_alone(tmp_path: Path) -> None:
    run_dummy(tmp_path)
    before = tree(tmp_path)
    (tmp_path / "dummy/00002.arrow").unlink()
    again = run_dummy(tmp_path)
    assert (again.shards_run, again.shards_skipped) == (1, 7)
    assert tree(tmp_path) == before


def test_fewer_shards_leave_no_outputs_of_the_others(tmp_path: Path) -> None:
    run_dummy(tmp_path / "a", shards=4)
    run_dummy(tmp_path / "a", shards=2)
    run_dummy(tmp_path / "b", shards=2)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_dry_context_names_the_step_and_the_changed_key(tmp_path: Path) -> None:
    run_dummy(tmp_path)
    with pytest.raises(NeedsWork) as caught:
        Context(Run(str(tmp_path), RECIPE), dry=True).run_step(dummy_stage.STEP, dummy_stage.jobs(4, rows=60))
    assert caught.value.step == "dummy"
    assert "rows was 50, is 60" in caught.value.reasons["00000"]


def test_dry_context_on_a_finished_run_raises_nothing(tmp_path: Path) -> None:
    run_dummy(tmp_path)
    dummy_stage.run(Context(Run(str(tmp_path), RECIPE), dry=True), 4)


def run_beside(root: Path, shards: int, *, dry: bool = False, **arguments: object) -> Context:
    """Two steps whose shards have the same names."""
    beside = [Job(f"{n:05}", {"is": "beside"}, {}, dict(arguments)) for n in range(shards)]
    with Pool(2) as pool:
        context = Context(Run(str(root), RECIPE), pool, dry=dry)
        made = context.run_steps((dummy_stage.STEP, dummy_stage.jobs(shards)), (dummy_stage.BESIDE, beside))
    assert [len(found) for found in made] == [shards, shards]
    assert {manifest.step for manifest in made[1].values()} == {"beside"}
    return context


def test_steps_beside_each_other_are_what_they_are_one_after_the_other(tmp_path: Path) -> None:
    run_beside(tmp_path / "both", 3)
    with Pool(2) as pool:
        context = Context(Run(str(tmp_path / "each"), RECIPE), pool)
        context.run_step(dummy_stage.STEP, dummy_stage.jobs(3))
        context.run_step(dummy_stage.BESIDE, [Job(f"{n:05}", {"is": "beside"}) for n in range(3)])
    assert len(tree(tmp_path / "both")) == 15
    assert tree(tmp_path / "both") == tree(tmp_path / "each")
    assert run_beside(tmp_path / "both", 3).shards_skipped == 6
    run_beside(tmp_path / "both", 2)
    assert sorted(path.name for path in (tmp_path / "both" / "beside").iterdir()) == ["00000.txt", "00001.txt"]


def test_worker_killed_by_the_second_of_two_steps_is_named_with_that_step(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="beside 00001 killed its worker"):
        run_beside(tmp_path, 3, always_killed="00001")
    assert not (tmp_path / "beside" / "00001.txt").exists()
    run_beside(tmp_path, 3)


def test_dry_context_names_the_second_of_two_steps_where_only_it_has_work(tmp_path: Path) -> None:
    run_beside(tmp_path, 3)
    (tmp_path / "beside" / "00002.txt").unlink()
    with pytest.raises(NeedsWork) as caught:
        run_beside(tmp_path, 3, dry=True)
    assert (caught.value.step, [*caught.value.reasons]) == ("beside", ["00002"])


def test_killed_worker_is_replaced_and_the_shard_retried(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    run_dummy(tmp_path / "a", kill_once=str(marker))
    run_dummy(tmp_path / "b")
    assert marker.exists()
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        ({"always_killed": "00002"}, r"signal 9, Killed; no process is counted here that the system ended"),
        ({"always_killed": "00002", "signal": signal.SIGSEGV}, r"signal 11, Segmentation fault\)"),
        ({"ends": "00002"}, r"it ended with exit code 7; what it said stands above\)"),
    ],
)
def test_shard_that_always_kills_its_worker_is_named_with_what_was_seen_of_it(
    arguments: dict[str, Any], seen: str, tmp_path: Path
) -> None:
    lost = r"how it ended is not known\)"  # where the status did not come through
    with pytest.raises(RunError, match=rf"dummy 00002 killed its worker process 3 times \(({seen}|{lost})") as caught:
        run_dummy(tmp_path, **arguments)
    assert ("memory" in str(caught.value)) == ("signal 9, Killed" in str(caught.value))
    assert not (tmp_path / "dummy/00002.arrow").exists()


def test_processes_that_the_system_ended_for_memory_are_those_of_our_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "PROC", tmp_path / "proc")
    monkeypatch.setattr(processes, "CGROUPS", tmp_path / "groups")
    assert processes.ended_for_memory() == 0
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/vmstat").write_text("nr_free_pages 5\noom_kill 3\n")
    assert processes.ended_for_memory() == 3
    (tmp_path / "proc/self/cgroup").write_text("0::/user/job\n")
    (tmp_path / "groups/user/job").mkdir(parents=True)
    (tmp_path / "groups/user/job/memory.events").write_text("oom 9\noom_kill 1\noom_group_kill 0\n")
    assert processes.ended_for_memory() == 1


def test_shard_for_which_there_is_not_enough_memory_is_named_without_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"not enough memory for dummy 00001 \(Unable to allocate .*\): fewer --workers"):
        run_dummy(tmp_path, asks_for_all_memory="00001")
    assert not (tmp_path / "dummy/00001.arrow").exists()


def test_failing_shard_leaves_nothing_half_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="told to fail"):
        run_dummy(tmp_path, fails="00003")
    assert "00003" not in load_manifests(str(tmp_path), "dummy")
    assert storage.list_files(str(tmp_path / "dummy"), "00003.arrow") == []


def test_flipped_bit_in_an_input_is_reported_with_the_file_name(tmp_path: Path) -> None:
    run_dummy(tmp_path)
    path = tmp_path / "dummy/00001.arrow"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    (tmp_path / "after/00001.txt").unlink()
    with pytest.raises(RunError, match=r"dummy/00001\.arrow: damaged"):
        run_dummy(tmp_path)


def test_second_process_is_refused_and_the_first_named(tmp_path: Path) -> None:
    with Run(str(tmp_path), RECIPE).lock(), pytest.raises(RunError, match=f'"pid": {os.getpid()}'):
        run_dummy(tmp_path)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_at_a_random_moment_ends_byte_identical(tmp_path: Path, seed: int) -> None:
    command = [sys.executable, "-m", "tests.pipeline.run.dummy_run", str(tmp_path / "a"), "12", "0.02"]
    process = subprocess.Popen(command, cwd=REPOSITORY, start_new_session=True)
    deadline, wanted = time.monotonic() + 60, random.Random(seed).randint(1, 9)
    while len(load_manifests(str(tmp_path / "a"), "dummy")) < wanted and time.monotonic() < deadline:
        assert process.poll() is None, "it ended before it was killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert wanted <= len(load_manifests(str(tmp_path / "a"), "dummy")) < 12
    run_dummy(tmp_path / "a", shards=12)
    run_dummy(tmp_path / "b", shards=12)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_workers_end_when_only_their_parent_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.pipeline.run.dummy_run", str(tmp_path), "12", "0.02"]
    process = subprocess.Popen(command, cwd=REPOSITORY, start_new_session=True)
    deadline = time.monotonic() + 60
    while not load_manifests(str(tmp_path), "dummy") and time.monotonic() < deadline:
        assert process.poll() is None
    workers = descendants(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert workers
    while left := alive(workers):  # one that has ended and that nobody has waited for yet is none
        assert time.monotonic() < deadline, f"worker processes outlived their parent: {left}"
