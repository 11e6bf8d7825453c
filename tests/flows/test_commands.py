"""The command line: help, bad input, what ends with what."""

import http.server
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.cli.commands import COMMANDS
from flows.session.stages import STAGES
from pipeline.base.processes import descendants
from pipeline.recipe.load import load_recipe, recipe_toml
from tests.conftest import REPOSITORY
from tests.flows.processes import gone_within_ten_seconds, names, start, tokenmill, wait_for
from tests.trees import tree


def test_help_lists_every_command_with_a_line_and_loads_none_of_them() -> None:
    code = (
        "import sys; from flows.cli.commands import build_app; build_app(['--help'])(['--help']);"
        "loaded = set(sys.modules); assert not {'prefect', 'torch', 'numba', 'pyarrow', 'datatrove'} & loaded, loaded;"
        "assert not any(name.startswith(('model', 'pipeline.dedup', 'pipeline.filter')) for name in loaded)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for name, (_, summary) in COMMANDS.items():
        assert name in result.stdout
        assert " ".join(summary.split()[:2]) in result.stdout


@pytest.mark.parametrize("stage", sorted(STAGES.keys() - COMMANDS.keys()))
def test_stage_taken_for_a_command_is_told_how_it_is_run(stage: str) -> None:
    result = tokenmill(stage, "recipe.toml")
    assert result.returncode == 2
    assert f"tokenmill run RECIPE --stages {stage}" in result.stderr


def test_unreachable_server_is_named_before_anything_is_written(recipe: Path, tmp_path: Path) -> None:
    result = tokenmill(
        "run", str(recipe), "--root", str(tmp_path / "run"), "--json", PREFECT_API_URL="http://127.0.0.1:9/api"
    )
    assert result.returncode == 2
    assert "PREFECT_API_URL = http://127.0.0.1:9/api: not reachable" in json.loads(result.stdout)["error"]
    assert "prefect server start" in result.stderr
    assert not (tmp_path / "run/recipe.toml").exists()


@pytest.fixture
def some_server() -> Iterator[str]:
    """A web server that is not Prefect's."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *arguments: object) -> None:
            """Silent."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_wrong_address_of_the_api_is_told_apart_from_an_unreachable_one(
    some_server: str, recipe: Path, tmp_path: Path
) -> None:
    result = tokenmill("run", str(recipe), "--root", str(tmp_path / "run"), PREFECT_API_URL=some_server)
    assert result.returncode == 2
    assert "not as a Prefect API (is /api missing at its end?)" in result.stderr


def test_folder_that_cannot_be_written_is_refused(recipe: Path) -> None:
    # permissions do not stop a test that runs as root; /proc stops everybody
    result = tokenmill("run", str(recipe), "--root", "/proc/tokenmill/run", "--json")
    assert result.returncode == 1
    assert "cannot write to the run folder" in json.loads(result.stdout)["error"]


def test_second_run_on_a_folder_is_refused_and_names_the_first(recipe: Path, tmp_path: Path) -> None:
    from pipeline.recipe.load import load_recipe
    from pipeline.run.folder import Run

    with Run(str(tmp_path / "run"), load_recipe(recipe)).lock():
        result = tokenmill("run", str(recipe), "--root", str(tmp_path / "run"))
    assert result.returncode == 1
    assert f'another process is working on this run: {{"pid": {os.getpid()}' in result.stderr


def test_dry_run_says_why_and_writes_nothing(recipe: Path, tmp_path: Path) -> None:
    result = tokenmill("run", str(recipe), "--root", str(tmp_path / "run"), "--dry-run", "--json")
    planned = json.loads(result.stdout)
    assert (result.returncode, planned["status"], planned["stages"]["clean"]["state"]) == (0, "planned", "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("setting", ["ray.port=1", "slurm.time=soon", "nonsense"])
def test_wrong_engine_setting_is_a_usage_error(recipe: Path, tmp_path: Path, setting: str) -> None:
    result = tokenmill("run", str(recipe), "--root", str(tmp_path / "run"), "--engine", "ray", "--engine-set", setting)
    assert result.returncode == 2
    assert "--engine-set" in result.stderr
    assert "Traceback" not in result.stderr


def flow_states(root: Path) -> list[str]:
    with sqlite3.connect(root / ".prefect/prefect.db") as database:
        rows = database.execute("select state_type from flow_run").fetchall()
    database.close()
    return sorted(row[0] for row in rows)


@pytest.mark.slow
@pytest.mark.flow
@pytest.mark.xdist_group("prefect")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_interrupted_and_killed_runs_leave_no_process_and_no_run_shown_as_running(recipe: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"

    # SIGTERM while a worker's own child (a trainer, say) is at work
    with start(recipe, root, STAND_IN_TRAINS="600") as process:
        below = wait_for(process, lambda: "sleep 600" in names(descendants(process.pid)))
        assert "flows.server.embedded" in names(below)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=10)
        assert process.returncode == 130, told
        assert "run the same command again" in told
        assert gone_within_ten_seconds(below)
    assert "RUNNING" not in flow_states(root)

    # SIGKILL of the parent alone
    with start(recipe, root, STAND_IN_TRAINS="600") as process:
        below = wait_for(process, lambda: "sleep 600" in names(descendants(process.pid)))
        process.kill()
        process.communicate(timeout=10)
        assert gone_within_ten_seconds(below)
    assert flow_states(root).count("RUNNING") == 2, "end_to_end and pretrain were cut off"

    result = tokenmill("run", str(recipe), "--root", str(root), "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["stages"]["clean"]["skipped_shards"] == 6
    assert "RUNNING" not in flow_states(root)


@pytest.mark.slow
@pytest.mark.flow
@pytest.mark.xdist_group("prefect")
def test_signal_that_falls_into_a_destructor_interrupts_the_run(recipe: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    result = tokenmill("run", str(recipe), "--root", str(root), STAND_IN_SIGNALLED="1", STAND_IN_TRAINS="600")
    assert result.returncode == 130, result.stderr
    assert "run the same command again" in result.stderr
    assert "RUNNING" not in flow_states(root)


@pytest.mark.parametrize("foreign", [["thesis.odt"], ["documents/letter.txt", "b.txt", "c.txt", "d.txt"]])
def test_run_in_a_folder_of_somebody_elses_files_is_refused_and_leaves_them(
    foreign: list[str], recipe: Path, tmp_path: Path
) -> None:
    root = tmp_path / "home"
    for name in foreign:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("precious")
    before = tree(root)
    for more in ([], ["--dry-run"]):
        result = tokenmill("run", str(recipe), "--root", str(root), *more)
        assert result.returncode == 2
        assert f"error: {root}: holds " in result.stderr
        assert "no run folder (no recipe.toml); name another folder" in result.stderr
    assert tree(root) == before


def test_recipe_that_somebody_wrote_is_not_replaced_by_that_of_a_run_in_its_folder(
    recipe: Path, tmp_path: Path
) -> None:
    written = tmp_path / "mine" / "recipe.toml"
    written.parent.mkdir()
    written.write_text("# my own words\n" + recipe.read_text(encoding="utf-8"))
    before = written.read_text()
    result = tokenmill("run", str(written), "--root", str(written.parent))
    assert result.returncode == 2
    assert "not one that a run wrote" in result.stderr
    assert written.read_text() == before
    written.write_text(recipe_toml(load_recipe(recipe)))  # as a run leaves it that ended before its first shard
    assert tokenmill("run", str(written), "--root", str(written.parent), "--dry-run").returncode == 0


def test_run_in_an_empty_folder_or_one_with_hidden_files_is_planned(recipe: Path, tmp_path: Path) -> None:
    root = tmp_path / "empty"
    root.mkdir()
    (root / ".lock").write_text("")
    assert tokenmill("run", str(recipe), "--root", str(root), "--dry-run").returncode == 0


@pytest.mark.slow
@pytest.mark.flow
@pytest.mark.xdist_group("prefect")
def test_overrides_beyond_what_a_server_takes_are_given_as_a_recipe(recipe: Path, tmp_path: Path) -> None:
    long = f'sources.0.licence="{"x" * 100_000}"'
    sets = [part for _ in range(6) for part in ("--set", long)]
    result = tokenmill("run", str(recipe), "--root", str(tmp_path / "run"), *sets, "--json")
    assert result.returncode == 0, result.stderr[-2000:]
    assert "6 overrides of 600," in result.stderr
    assert len(result.stderr) < 5000
    assert "x" * 100_000 in (tmp_path / "run/recipe.toml").read_text()
