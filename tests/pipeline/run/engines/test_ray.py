"""The Ray engine on a real cluster of two nodes on this machine."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import RunError
from pipeline.run.context import Context
from pipeline.run.engines import EngineOptions, make_workers
from pipeline.run.folder import Run
from tests.pipeline.run import dummy_stage
from tests.pipeline.run.dummy_run import RECIPE, run_dummy
from tests.trees import tree

pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.xdist_group("ray"),
    pytest.mark.usefixtures("nothing_left_open"),
    pytest.mark.timeout(280),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # ray's own sockets and pipes
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
SHARDS = 8
RESULTS = "logs/cluster/dummy-*/results/*.json"


def run_on(address: str, root: Path, *settings: str, **arguments: object) -> None:
    options = EngineOptions.of(
        "ray", [f"ray.address={address}", "ray.memory_gb_per_cpu=0.05", "ray.lost_seconds=5", *settings]
    )
    job = Run(str(root), RECIPE)
    with job.lock(), make_workers(options) as workers:
        dummy_stage.run(Context(job, workers), SHARDS, **arguments)


def raylets(root: Path) -> set[str]:
    """The Ray nodes that have finished a shard."""
    return {json.loads(path.read_text())["raylet"] for path in root.glob(RESULTS)}


def when(root: Path, nodes: int, act: Any) -> threading.Thread:
    """Calls ``act`` once so many nodes have finished a shard; the thread ends by itself when they never do."""

    def watch() -> None:
        for _ in range(4000):
            if len(raylets(root)) >= nodes:
                act()
                return
            threading.Event().wait(0.05)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_two_nodes_one_removed_in_the_middle_write_the_bytes_of_a_local_run(ray_cluster: Any, tmp_path: Path) -> None:
    second = ray_cluster.add_node(num_cpus=1)
    left_at_removal: list[int] = []
    worked: set[str] = set()

    def remove() -> None:
        # looked at now: a shard whose answer is lost with its node is made again on the other
        worked.update(raylets(tmp_path / "ray"))
        ray_cluster.remove_node(second, allow_graceful=False)
        left_at_removal.append(SHARDS - len(list((tmp_path / "ray").glob(RESULTS))))

    thread = when(tmp_path / "ray", 2, remove)
    run_on(ray_cluster.address, tmp_path / "ray", slow_seconds=0.5)
    thread.join()
    run_dummy(tmp_path / "local", shards=SHARDS)
    assert left_at_removal[0] > 0, "the node must have been removed while shards were left"
    assert len(worked) == 2, "both nodes must have worked"
    assert tree(tmp_path / "ray") == tree(tmp_path / "local")


def test_cluster_that_is_too_small_or_vanishes_is_told_in_a_sentence(ray_cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no node of the Ray cluster has that"):
        run_on(ray_cluster.address, tmp_path / "a", "ray.cpus_per_task=64")
    thread = when(tmp_path / "a", 1, ray_cluster.shutdown)
    with pytest.raises(RunError, match="the Ray cluster is gone"):
        run_on(ray_cluster.address, tmp_path / "a", slow_seconds=1.0)
    thread.join()
    run_dummy(tmp_path / "a", shards=SHARDS)
    run_dummy(tmp_path / "b", shards=SHARDS)
    assert tree(tmp_path / "a") == tree(tmp_path / "b"), "what the cluster had finished is used, the rest made here"


def test_address_without_a_cluster_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no Ray cluster at 127\.0\.0\.1:1"):
        run_on("127.0.0.1:1", tmp_path)
