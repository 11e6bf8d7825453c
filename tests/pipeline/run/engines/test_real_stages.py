"""The stages from raw files to tokens, on each engine and on an object store: the bytes of a local run.

The small stages of the other tests show how an engine behaves; these show that nothing in the real ones depends on
where it runs: kernels, tables of other shards, the global steps, the tokenizer.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from flows.session.stages import run_stage
from pipeline.base.pool import Pool
from pipeline.recipe.load import load_recipe
from pipeline.run.context import Context, Workers
from pipeline.run.engines import EngineOptions, make_workers
from pipeline.run.folder import Run
from tests.end_to_end import tiny
from tests.pipeline.run.engines.real_slurm import RealSlurm
from tests.trees import OUTSIDE, objects

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # sockets of Ray's and of the object store's clients
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
CURATION = ("clean", "dedup", "filter", "tokenize")


def curate(recipe: Path, root: str, workers: Workers) -> None:
    run = Run(root, load_recipe(recipe))
    with run.lock(), workers as entered:
        run.write_recipe()
        for stage in CURATION:
            run_stage(stage, Context(run, entered))


def outcome(root: str) -> dict[str, bytes]:
    return {name: data for name, data in objects(root).items() if name.split("/")[0] not in OUTSIDE}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    return tiny.write_inputs(tmp_path_factory.mktemp("real"), sample, records=150)


@pytest.fixture(scope="module")
def local(recipe: Path) -> dict[str, bytes]:
    root = recipe.parent / "local"
    curate(recipe, str(root), Pool(2))
    made = outcome(str(root))
    for folder in ("documents", "signatures", "clusters", "signals", "verdicts", "tokenizer", "tokens", "index"):
        assert any(name.startswith(f"{folder}/") for name in made), f"{folder}/ must have been made"
    return made


def same(ours: dict[str, bytes], theirs: dict[str, bytes]) -> list[str]:
    """Files that only one has, or that differ."""
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))


@pytest.mark.xdist_group("slurm")
@pytest.mark.parametrize("leader_seconds", [0.0, 10.0])
def test_slurm_writes_the_bytes_of_a_local_run(
    slurm: RealSlurm, recipe: Path, local: dict[str, bytes], tmp_path: Path, leader_seconds: float
) -> None:
    options = EngineOptions.of("slurm", [f"slurm.leader_seconds={leader_seconds}"])
    curate(recipe, str(tmp_path / "run"), make_workers(options))
    batches = list((tmp_path / "run/logs/cluster").glob("*/datatrove/launch_script.slurm"))
    assert (len(batches) >= 8) == (leader_seconds == 0.0), "each step is a batch of its own, where none is small"
    assert same(outcome(str(tmp_path / "run")), local) == []


@pytest.mark.xdist_group("s3")
def test_object_store_holds_the_bytes_of_a_local_run(bucket: str, recipe: Path, local: dict[str, bytes]) -> None:
    curate(recipe, bucket, Pool(2))
    assert same(outcome(bucket), local) == []


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
@pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed")
def test_two_ray_nodes_write_the_bytes_of_a_local_run(
    ray_cluster: Any, recipe: Path, local: dict[str, bytes], tmp_path: Path
) -> None:
    ray_cluster.add_node(num_cpus=1)
    address = f"ray.address={ray_cluster.address}"
    options = EngineOptions.of("ray", [address, "ray.memory_gb_per_cpu=0.2", "ray.lost_seconds=30"])
    curate(recipe, str(tmp_path / "run"), make_workers(options))
    assert same(outcome(str(tmp_path / "run")), local) == []
