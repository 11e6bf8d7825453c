"""What ``tokenmill status`` and ``tokenmill verify`` say of a run that is not as it should be."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.cli import run as commands
from flows.session.stages import run_stage
from pipeline.base.errors import GateError, UserError
from pipeline.base.pool import Pool
from pipeline.inspection.status import rebuild_command, status_rows
from pipeline.inspection.verify import verify_run
from pipeline.recipe.load import load_recipe
from pipeline.run import layout, step_digests
from pipeline.run.context import Context
from pipeline.run.folder import Run
from pipeline.run.stages import chosen_stages
from tests.flows import stand_in

RECIPE = '[clean]\nlanguage_characters = 50\n[[sources]]\nname = "s"\npaths = ["x"]\n'


@pytest.fixture(autouse=True)
def small_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.session import stages

    for name, function in stand_in.STAND_INS.items():
        monkeypatch.setitem(stages.STAGES, name, function)
    monkeypatch.setitem(stages.STAGES, "dedup", "tests.pipeline.inspection.test_inspection:gated")


def gated(context: Context) -> dict[str, Any]:
    """Makes every shard, and fails the gate as long as `dedup.threshold` is below 1."""
    summary = stand_in.dedup(context)
    if context.recipe.dedup.threshold < 1.0:
        raise GateError("6 of 6 records are damaged (100.0%)")
    return summary


def make(folder: Path, overrides: list[str], *stages: str) -> Run:
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE)
    run = Run(str(folder / "run"), load_recipe(recipe, overrides))
    with run.lock(), Pool(1) as pool:
        run.write_recipe()
        for stage in stages:
            run_stage(stage, Context(run, pool))
    return run


def test_stage_that_failed_its_gate_is_shown_as_failed_with_the_reason_until_it_succeeds(tmp_path: Path) -> None:
    with pytest.raises(GateError):
        make(tmp_path, ["dedup.threshold=0.5"], "clean", "dedup")
    run = Run.open(tmp_path / "run")
    row = status_rows(run)["dedup"]
    assert (row["state"], row["problems"]) == ("failed", ["6 of 6 records are damaged (100.0%)"])
    assert row["done"] == row["total"] == 6
    assert status_rows(run)["clean"]["state"] == "done"
    make(tmp_path, ["dedup.threshold=1.0"], "dedup")
    assert status_rows(run)["dedup"]["state"] == "done"


def test_gate_that_was_raised_since_is_forgotten_where_nothing_is_left_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(GateError):
        make(tmp_path, ["dedup.threshold=0.5"], "clean", "dedup")
    run = tmp_path / "run"
    assert commands.status(str(run)) == 0
    assert "failed" in capsys.readouterr().out
    arguments: dict[str, Any] = {"root": str(run), "stages": "clean,dedup", "set": ["dedup.threshold=1.0"]}
    assert commands.run(str(tmp_path / "recipe.toml"), **arguments) == 0
    assert status_rows(Run.open(run))["dedup"]["state"] == "done"


def test_stage_that_failed_before_any_shard_has_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stand_in, "train", lambda context: (_ for _ in ()).throw(UserError("no tokens")))
    with pytest.raises(UserError):
        make(tmp_path, [], "clean", "train")
    row = status_rows(Run.open(tmp_path / "run"))["train"]
    assert (row["done"], row["state"], row["problems"]) == (0, "failed", ["no tokens"])


def test_failure_that_cannot_be_noted_is_still_the_one_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline.run.logs.remember_failure", full)
    with pytest.raises(GateError, match="records are damaged"):
        make(tmp_path, ["dedup.threshold=0.5"], "clean", "dedup")
    assert not (tmp_path / "run" / layout.FAILURES_LOG).exists()


def test_report_has_a_row_and_is_outdated_once_the_tables_are_newer(tmp_path: Path) -> None:
    run = make(tmp_path, [], "clean")
    assert status_rows(run)["report"]["state"] == "not begun"
    folder = Path(run.root) / "report"
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html>")
    row = status_rows(run)["report"]
    assert (row["done"], row["bytes"], row["state"]) == (1, 15, "outdated")
    assert f"tokenmill report {run.root}" in row["problems"][0]


def test_what_verify_removed_is_missing_and_no_longer_damaged(tmp_path: Path) -> None:
    run = make(tmp_path, ["dedup.threshold=1.0"], "clean", "dedup")
    path = next((Path(run.root) / "dedup").iterdir())
    path.write_text("other")
    assert status_rows(run)["dedup"]["state"] == "damaged"
    assert len(verify_run(run.root, delete=True)[1]) == 1
    row = status_rows(run)["dedup"]
    assert row["state"] == "missing"
    assert row["problems"] == [f"dedup/{path.name} is missing; the next run makes it again"]


def test_command_to_rebuild_names_the_stages_that_were_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make(tmp_path, ["dedup.threshold=1.0"], "clean", "dedup")
    expected = f"tokenmill run {run.root}/recipe.toml --root {run.root} --stages clean,dedup"
    assert rebuild_command(run) == expected
    next((Path(run.root) / "dedup").iterdir()).write_text("other")
    assert commands.verify(run.root) == 1
    assert f"to rebuild: tokenmill verify {run.root} --delete, then {expected}\n" in capsys.readouterr().err
    assert commands.verify(run.root, delete=True) == 0
    assert f"to rebuild: {expected}\n" in capsys.readouterr().err


def test_command_to_rebuild_a_report_whose_page_is_gone_names_the_report(tmp_path: Path) -> None:
    run = make(tmp_path, ["dedup.threshold=1.0"], "clean", "report")
    (Path(run.root) / "report/index.html").unlink()
    assert rebuild_command(run) == f"tokenmill run {run.root}/recipe.toml --root {run.root} --stages clean,report"


@pytest.mark.parametrize("damage", [b"", b"\x89", b"[]"])
def test_damaged_copy_of_the_recipe_is_told_with_what_writes_it_again(damage: bytes, tmp_path: Path) -> None:
    run = make(tmp_path, ["dedup.threshold=1.0"], "clean")
    path = Path(run.root) / "recipe.toml"
    whole = path.read_bytes()
    path.write_bytes(damage)
    with pytest.raises(UserError, match=f"run's own copy; `tokenmill run RECIPE --root {run.root}`"):
        Run.open(run.root)
    run.write_recipe()
    assert path.read_bytes() == whole


def test_command_to_rebuild_a_whole_run_needs_no_stages(tmp_path: Path) -> None:
    run = make(tmp_path, ["dedup.threshold=1.0"], "clean", "dedup", "filter", "tokenize", "train", "report")
    assert rebuild_command(run) == f"tokenmill run {run.root}/recipe.toml --root {run.root}"


def test_mistyped_stage_names_the_nearest(tmp_path: Path) -> None:
    run = make(tmp_path, [])
    with pytest.raises(UserError, match="'dedupe' is no stage of this recipe; did you mean dedup\\?"):
        chosen_stages(run, ["clean", "dedupe"])


def test_stage_that_is_not_finished_is_running_only_while_a_process_holds_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make(tmp_path, ["dedup.threshold=1.0"], "clean", "dedup")
    Path(run.url("manifests/dedup.json")).unlink()  # written when the last shard is
    step_digests.forget(run.root, "dedup")  # recorded after that
    with run.lock():
        row = status_rows(run)["dedup"]
        assert (row["state"], row["problems"]) == ("running", [])
        assert status_rows(run)["clean"]["state"] == "done"
    row = status_rows(run)["dedup"]
    assert row["state"] == "interrupted"
    assert commands.status(run.root) == 0
    assert "no process works on this run; run the same command again to go on" in capsys.readouterr().out
    with run.lock():  # the look has let go of it
        pass


def test_run_whose_process_was_killed_is_shown_as_interrupted(tmp_path: Path) -> None:
    run = make(tmp_path, [], "clean")
    Path(run.url("manifests/clean.json")).unlink()
    step_digests.forget(run.root, "clean")
    code = f"from pipeline.run.folder import Run\nwith Run.open({run.root!r}).lock(): print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert status_rows(run)["clean"]["state"] == "running"
        holder.kill()
        holder.wait()
        assert status_rows(run)["clean"]["state"] == "interrupted"


def test_status_fits_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(tmp_path, [], "clean")
    assert commands.status(run.root) == 0
    whole = capsys.readouterr().out
    monkeypatch.setattr(commands, "width_of", lambda stream: 60)
    assert commands.status(run.root) == 0
    narrow = capsys.readouterr().out
    assert max(map(len, whole.splitlines())) > 74, "or nothing is wrapped"
    assert all(len(line) <= 74 for line in narrow.splitlines())
    assert narrow.split() == whole.split()
