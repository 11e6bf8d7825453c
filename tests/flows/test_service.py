"""The deployments of prefect.yaml as they stand there, on a server with a worker."""

import json
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


def test_each_deployment_does_its_work_and_a_run_that_finds_its_folder_taken_waits(
    served: Served, tmp_path: Path
) -> None:
    recipe, root = write_recipe(tmp_path), tmp_path / "run"
    curated = run(served, "curate/curate", recipe, root)
    others = [run(served, name, recipe, tmp_path / name.split("/")[0]) for name in ("dedup/dedup", "nightly/nightly")]
    assert served.ended([curated, *others]) == ["Completed"] * 3, served.printed()
    trained = [run(served, "pretrain/pretrain", recipe, root) for _ in range(2)]
    assert served.ended(trained) == ["Completed"] * 2, served.printed()
    assert served.printed().count(f"{root}: waiting for the process that works on it: ") == 1, served.printed()
    assert len(list(root.glob("checkpoints/step-*"))) == 1
    more = [run(served, "evaluate/evaluate", recipe, root), run(served, "end_to_end/end-to-end", recipe, root)]
    more.append(run(served, "ablate/ablate", recipe, tmp_path / "ablation"))
    assert served.ended(more) == ["Completed"] * 3, served.printed()
    assert "bits_per_byte" in json.dumps(served.ask("/artifacts/filter", {}))
    started = {"curate/curate", "dedup/dedup", "nightly/nightly", "pretrain/pretrain", "evaluate/evaluate"}
    assert {*deployments()} == started | {"end_to_end/end-to-end", "ablate/ablate"}
    assert {*served.states().values()} == {"Completed"}
