"""Jobs that are begun before their stage: it takes them for work of its own, and ends with the same bytes."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.base.pool import Pool
from pipeline.run.ahead import Begun, begin
from pipeline.run.context import Context
from pipeline.run.folder import Run
from pipeline.run.stages import run_stage
from tests.pipeline.run import dummy_stage
from tests.pipeline.run.dummy_run import RECIPE, run_dummy
from tests.trees import tree

STAGES = {"clean": "tests.pipeline.run.test_ahead:four_shards"}
ARGUMENTS: dict[str, Any] = {}  # of the dummy stage; the process is their scope


def four_shards(context: Context) -> dict[str, Any]:
    dummy_stage.run(context, 4, **ARGUMENTS)
    return {}


def run_begun(root: Path, **arguments: Any) -> tuple[Begun | None, Mapping[str, Any]]:
    """Begins the stage, waits till that is over, and runs it."""
    ARGUMENTS.clear()
    ARGUMENTS.update(arguments)
    job = Run(str(root), RECIPE)
    with job.lock(), Pool(2) as pool:
        begun = begin(job, ["clean"], STAGES, pool)
        for _, future in pool._begun:
            future.exception()
        context = Context(job, pool, begun=begun.jobs if begun else ())
        return begun, run_stage("clean", STAGES["clean"], context, begun.at if begun else None)


def test_what_was_begun_is_work_of_the_stage_and_makes_the_same_files(tmp_path: Path) -> None:
    run_dummy(tmp_path / "ordinary")
    begun, summary = run_begun(tmp_path / "begun")
    assert begun is not None
    assert [(step, job.shard) for step, job in begun.jobs] == [("dummy", f"{n:05}") for n in range(4)]
    assert (summary["shards"], summary["skipped_shards"]) == (8, 0)
    made = {path: data for path, data in tree(tmp_path / "begun").items() if not str(path).startswith("logs")}
    assert made == tree(tmp_path / "ordinary")


def test_seconds_of_a_stage_begin_when_its_first_job_does(tmp_path: Path) -> None:
    """Four shards of half a second on two workers, all of it before the stage is called."""
    _, summary = run_begun(tmp_path, slow_seconds=0.1)
    assert summary["seconds"] > 1.0


def test_only_what_is_missing_is_begun(tmp_path: Path) -> None:
    run_begun(tmp_path)
    assert run_begun(tmp_path)[0] is None
    (tmp_path / "manifests/dummy/00001.json").unlink()
    begun, summary = run_begun(tmp_path)
    assert begun is not None
    assert [job.shard for _, job in begun.jobs] == ["00001"]
    assert summary["skipped_shards"] == 7


def test_what_takes_the_place_of_something_else_is_not_begun(tmp_path: Path) -> None:
    """The step first removes what is no longer part of the run."""
    run_dummy(tmp_path, shards=6)
    (tmp_path / "manifests/dummy/00001.json").unlink()
    begun, summary = run_begun(tmp_path)
    assert begun is None
    assert summary["shards"] - summary["skipped_shards"] == 1


def test_begun_job_that_kills_its_worker_is_tried_again(tmp_path: Path) -> None:
    run_dummy(tmp_path / "ordinary")
    _, summary = run_begun(tmp_path / "begun", kill_once=str(tmp_path / "marker"))
    assert (tmp_path / "marker").exists()
    assert summary["skipped_shards"] == 0
    assert tree(tmp_path / "begun/dummy") == tree(tmp_path / "ordinary/dummy")


def write_later(path: Path, words: str, seconds: float) -> None:
    time.sleep(seconds)
    path.write_text(words, encoding="utf-8")


def test_begun_job_that_nobody_asks_for_is_over_before_another_begins(tmp_path: Path) -> None:
    """Its input has changed since, say: what it writes must not take the place of what is written now."""
    path = tmp_path / "shard"
    with Pool(2) as pool:
        pool.begin(write_later, [(path, "begun", 0.5)])
        while not pool._begun[0][1].running():
            time.sleep(0.01)
        assert [item for item, _ in pool.run(write_later, [((path, "asked for", 0.0), 1)])] == [1]
    assert path.read_text("utf-8") == "asked for"
