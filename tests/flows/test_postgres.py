"""A team's server: Prefect on a real PostgreSQL, with the deployments of prefect.yaml and a night after a night."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.deployments import run, write_recipe
from tests.flows.postgres import MISSING, Postgres
from tests.flows.served import Served

pytestmark = [
    pytest.mark.flow,
    pytest.mark.slow,
    pytest.mark.xdist_group("service"),
    pytest.mark.timeout(900),
    pytest.mark.skipif(MISSING, reason="no PostgreSQL on this machine: apt-get install postgresql"),
]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as opened:
        yield opened


@pytest.fixture(scope="module")
def served(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("team"), database=postgres.url, pages=True) as made:
        yield made


def test_deployment_and_two_nights_run_on_postgresql(postgres: Postgres, served: Served, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    whole = run(served, "end_to_end/end-to-end", recipe, tmp_path / "run")
    assert served.ended([whole]) == ["Completed"], served.printed()
    for day in ("2026-01-30", "2026-01-31"):
        night = run(served, "nightly/nightly", recipe, tmp_path / "nights", day=day)
        assert served.ended([night]) == ["Completed"], served.printed()
    states = {name: state for name, state in served.states().items() if name.startswith("recipe ")}
    assert {*states.values()} == {"Completed"}
    assert any(name.startswith("recipe of 2026-01-31 ") for name in states), states
    assert postgres.rows("flow_run") >= len(states) >= 5
    assert list((tmp_path / "run").glob("checkpoints/step-*"))
    assert list((tmp_path / "nights" / "2026-01-31").glob("documents/*"))
    assert not list(served.folder.glob("**/prefect.db"))  # nothing beside it in SQLite


def test_pages_of_a_server_on_another_port_ask_that_port(served: Served) -> None:
    assert served.port != 4200
    with urllib.request.urlopen(f"http://127.0.0.1:{served.port}/ui-settings", timeout=30) as answer:
        assert json.load(answer)["api_url"] == served.url


def test_failed_run_says_why_in_one_sentence(served: Served, tmp_path: Path) -> None:
    text = write_recipe(tmp_path).read_text("utf-8").replace("vocabulary_size", "vocabulary_sise")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(text, encoding="utf-8")
    failed = run(served, "end_to_end/end-to-end", wrong, tmp_path / "run")
    assert served.ended([failed]) == ["Failed"], served.printed()
    lines = served.logged(failed, "did you mean vocabulary_size?")
    assert sum("did you mean vocabulary_size?" in line for line in lines) == 1
    assert not any("Traceback" in line for line in lines)
