"""The deployments of prefect.yaml as they stand there, while their server is killed and started again."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.flows.deployments import deployments, run, write_recipe, write_texts
from tests.flows.served import ENDED, Served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.flow,
    pytest.mark.xdist_group("service"),
    pytest.mark.timeout(1500),
]
AWAY_SECONDS = 20.0
LEASE_SECONDS = 330.0  # Prefect renews a lease of 300 s after 225 s


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("served")) as made:
        yield made


def wait_for(reached: Callable[[], bool], served: Served, seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, served.printed()[-8000:]
        time.sleep(0.5)


def restart(served: Served, away_seconds: float) -> None:
    served.kill_server()
    time.sleep(away_seconds)
    served.start_server()


def test_every_deployment_completes_whose_server_is_killed_and_started_again(served: Served, tmp_path: Path) -> None:
    recipe, root = write_recipe(tmp_path), tmp_path / "run"
    assert served.ended([run(served, "end_to_end/end-to-end", recipe, root)], 400.0) == ["Completed"], served.printed()
    places = {name: tmp_path / name.split("/")[0] for name in deployments()} | {"evaluate/evaluate": root}
    assert served.ended([run(served, "curate/curate", recipe, places["pretrain/pretrain"])]) == ["Completed"]

    begun = {name: run(served, name, recipe, place) for name, place in places.items()}
    wait_for(lambda: all(served.state(each) in ("Running", *ENDED) for each in begun.values()), served)
    restart(served, AWAY_SECONDS)
    states = dict(zip(begun, served.ended(begun.values(), 600.0), strict=True))
    assert states == dict.fromkeys(begun, "Completed"), served.printed()
    assert set(served.states().values()) == {"Completed"}, "sub-flows too"


def test_run_that_ends_while_its_server_is_away_waits_for_it_and_is_completed(served: Served, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    begun = run(served, "curate/curate", recipe, tmp_path / "run")
    wait_for(lambda: (tmp_path / "run" / "recipe.toml").exists(), served)
    served.kill_server()
    wait_for(lambda: "waiting for the Prefect server" in served.printed(), served)
    assert (tmp_path / "run" / "manifests" / "tokenize.json").exists(), "the work is done"
    served.start_server()
    assert served.ended([begun]) == ["Completed"], served.printed()
    assert set(served.states().values()) == {"Completed"}


def test_late_nights_run_one_after_the_other_in_the_order_of_their_schedule(served: Served, tmp_path: Path) -> None:
    recipe, runs = write_recipe(tmp_path), tmp_path / "runs"
    recipe.write_text(recipe.read_text("utf-8").replace(', "train"]', "]"), encoding="utf-8")
    for day in range(1, 5):
        write_texts(tmp_path / "in" / f"2026-01-0{day}" / "x.jsonl", day * 20, day * 20 + 30)  # ten of the one before
    crawl = [f'sources.0.paths=["{tmp_path}/in/{{day}}/x.jsonl"]']
    served.pause(True)
    late = {
        day: served.run(
            "nightly/nightly",
            {"recipe": str(recipe), "runs": str(runs), "overrides": crawl, "workers": 1},
            datetime(2026, 1, day, 2, 30, tzinfo=UTC),
        )
        for day in (2, 4, 1, 3)
    }
    served.pause(False)
    assert served.ended(late.values(), 600.0) == ["Completed"] * 4, served.printed()
    finished = sorted(range(1, 5), key=lambda day: (runs / f"2026-01-0{day}/manifests/tokenize.json").stat().st_mtime)
    assert finished == [1, 2, 3, 4]
    for day in range(1, 5):
        said = served.said(late[day])
        assert ("comes first" in said or "is at work there" in said) == (day > 1)
        assert "without a finished run" not in said


def test_training_outlives_a_restart_of_its_server_by_more_than_a_lease_also_with_a_limit_of_the_users_own(
    tmp_path: Path,
) -> None:
    recipe, root = write_recipe(tmp_path), tmp_path / "run"
    limited = "entrypoint: flows/end_to_end.py:pretrain\n"
    with Served(tmp_path / "served", (limited, f"{limited}    concurrency_limit: 1\n"), OMP_NUM_THREADS="1") as served:
        assert served.ended([run(served, "curate/curate", recipe, root)]) == ["Completed"], served.printed()
        begun = run(served, "pretrain/pretrain", recipe, root, overrides=["train.steps=10000000"])
        wait_for(lambda: (root / "metrics/train.jsonl").exists(), served)
        restart(served, 0.0)  # Prefect's worker sees no Cancel any more once it has asked in vain three times
        time.sleep(LEASE_SECONDS)
        assert served.state(begun) == "Running", served.printed()
        served.cancel(begun)
        assert served.ended([begun]) == ["Cancelled"], served.printed()
        assert list(root.glob("checkpoints/step-*/state.json")), "and a checkpoint is saved"
