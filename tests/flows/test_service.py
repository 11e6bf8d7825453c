"""The deployments of prefect.yaml as they stand there, on a server with a worker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.deployments import deployments, run, write_recipe
from tests.flows.served import Served

pytestmark = [pytest.mark.flow, pytest.mark.xdist_group("service"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("served")) as made:
        yield made


@pytest.mark.slow
def test_deployments_do_their_work_and_a_run_that_finds_its_folder_taken_waits(served: Served, tmp_path: Path) -> None:
    recipe, root = write_recipe(tmp_path), tmp_path / "run"
    curated = run(served, "curate/curate", recipe, root)
    assert served.ended([curated]) == ["Completed"], served.printed()
    twice = [run(served, "pretrain/pretrain", recipe, root) for _ in range(2)]
    assert served.ended(twice) == ["Completed"] * 2, served.printed()
    assert served.printed().count(f"{root}: waiting for the process that works on it: ") == 1, served.printed()
    assert len(list(root.glob("checkpoints/step-*"))) == 1
    assert {*served.states().values()} == {"Completed"}


@pytest.mark.slow
def test_each_deployment_does_its_work(served: Served, tmp_path: Path) -> None:
    recipe, root = write_recipe(tmp_path), tmp_path / "run"
    untrained = tmp_path / "untrained.toml"
    untrained.write_text(recipe.read_text("utf-8").replace(', "train"]', "]"), encoding="utf-8")
    begun = {
        name: run(served, name, recipe, tmp_path / name.split("/")[0]) for name in ("dedup/dedup", "ablate/ablate")
    }
    begun["nightly/nightly"] = run(served, "nightly/nightly", untrained, tmp_path / "nights")
    begun["curate/curate"] = run(served, "curate/curate", recipe, root)
    assert served.ended(begun.values()) == ["Completed"] * 4, served.printed()
    after = {"pretrain/pretrain": run(served, "pretrain/pretrain", recipe, root)}
    assert served.ended(after.values()) == ["Completed"], served.printed()
    after |= {name: run(served, name, recipe, root) for name in ("evaluate/evaluate", "end_to_end/end-to-end")}
    assert served.ended(after.values()) == ["Completed"] * 3, served.printed()
    assert {*deployments()} == {*begun, *after}
    assert {*served.states().values()} == {"Completed"}
