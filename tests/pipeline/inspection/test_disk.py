"""What a run keeps of its past: ``tokenmill status --disk`` lists it, ``tokenmill clean-up`` removes what may go."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli import run as commands
from pipeline.base import storage
from pipeline.base.errors import RunError
from pipeline.inspection.disk import bound_records, clean_up, disk, past
from pipeline.inspection.verify import verify
from pipeline.readers.parts.inputs import list_inputs
from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run
from pipeline.run.manifest import Manifest, Output, digest_file, stage_manifest_bytes
from tests.trees import tree

RECIPE = '[[sources]]\nname = "s"\npaths = ["x"]\n'


def put(run: Run, path: str, text: str = "x") -> Path:
    place = Path(run.root) / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place


def record(run: Run, step: str, shard: str, *paths: str) -> None:
    """Manifests of a finished step with one shard."""
    files = {path: Path(run.root) / path for path in paths}
    outputs = [Output(path, file.stat().st_size, digest_file(file)) for path, file in files.items()]
    made = Manifest(step, shard, "f" * 32, 1, {}, {}, {}, outputs, {})
    put(run, f"manifests/{step}/{shard}.json", made.to_bytes().decode())
    put(run, f"manifests/{step}.json", stage_manifest_bytes(step, {shard: made}).decode())


def checkpoint(run: Run, step: int) -> list[str]:
    paths = [f"checkpoints/step-{step:07d}/{name}" for name in ("model.safetensors", "state.json")]
    put(run, paths[0], f"weights {step}")
    put(run, paths[1], json.dumps({"format": 1, "step": step, "digests": {}}))
    return paths


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A finished run with all that may gather in it."""
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE)
    run = Run(str(tmp_path / "run"), load_recipe(recipe))
    run.write_recipe()
    put(run, "documents/00000.arrow")
    record(run, "clean", "00000", "documents/00000.arrow")
    checkpoint(run, 10)
    checkpoint(run, 20)
    record(run, "train", "all", *checkpoint(run, 30))
    put(run, "metrics/train.jsonl", '{"step": 10}\n')
    put(run, "logs/stages.json", "{}")
    put(run, "index/notes/mine.txt", "{}")
    put(run, "documents/README.arrow", "mine")
    put(run, ".prefect/prefect.db", "")
    put(run, ".prefect/memo.json", "{}")
    put(run, ".scratch/abc", "half")
    put(run, "documents/00007.arrow", "left over")
    put(run, "checkpoints/step-0000025/model.safetensors", "half")
    return run


GOES = {
    ".scratch/",
    ".prefect/",
    "checkpoints/step-0000010",
    "checkpoints/step-0000020",
    "checkpoints/step-0000025",
    "documents/00007.arrow",
}


def files(run: Run) -> dict[str, bytes]:
    """Every file but the lock."""
    root = Path(run.root)
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {path: data for path, data in found.items() if path != ".lock"}


def test_clean_up_removes_what_its_dry_run_names_and_nothing_else(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(run)
    assert commands.clean_up(run.root, dry_run=True, json=True) == 0
    planned = json.loads(capsys.readouterr().out)
    assert files(run) == before
    assert commands.clean_up(run.root, json=True) == 0
    done = json.loads(capsys.readouterr().out)
    assert (planned.pop("status"), done.pop("status")) == ("planned", "done")
    assert planned == done
    assert {item["path"] for item in done["removed"]} == GOES
    gone = {path: data for path, data in before.items() if path not in files(run)}
    assert {path for path in before if path.startswith(tuple(GOES))} == set(gone)
    assert done["bytes"] == sum(map(len, gone.values()))
    assert all(item["why"] for item in done["removed"])
    assert verify(run).exit_code == 0
    assert clean_up(run)["bytes"] == 0


def test_status_shows_bytes_by_folder_and_what_may_go(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.status(run.root, disk=True, json=True) == 0
    shown = json.loads(capsys.readouterr().out)["disk"]
    assert shown["bytes"] == sum(map(len, files(run).values()))
    assert shown["folders"]["metrics/"] == 13
    assert {item["path"] for item in shown["past"] if item["goes"]} == GOES
    assert shown["may_go_bytes"] == clean_up(run, dry_run=True)["bytes"]
    assert commands.status(run.root, disk=True) == 0
    text = capsys.readouterr().out
    assert f"may go: tokenmill clean-up {run.root}" in text
    assert "checkpoints/step-0000010: the checkpoint after step 10; may go: an earlier checkpoint of a finished" in text


def reasons(run: Run) -> dict[str, str]:
    return {item.path: item.why for item in past(run) if not item.goes}


def test_checkpoints_of_a_training_that_is_not_finished_stay(run: Run) -> None:
    (Path(run.root) / "manifests/train/all.json").unlink()
    (Path(run.root) / "manifests/train.json").unlink()
    assert "it may go on from here" in reasons(run)["checkpoints/step-0000020"]
    clean_up(run)
    assert (Path(run.root) / "checkpoints/step-0000010/state.json").exists()


def test_checkpoints_stay_where_the_last_one_is_damaged(run: Run) -> None:
    put(run, "checkpoints/step-0000030/model.safetensors", "weights 3O")
    assert "the last checkpoint is damaged" in reasons(run)["checkpoints/step-0000020"]
    clean_up(run)
    assert (Path(run.root) / "checkpoints/step-0000020/state.json").exists()


def test_checkpoints_stay_while_another_training_takes_their_place(run: Run) -> None:
    put(run, "checkpoints/next/step-0000005/state.json", "{}")
    assert "another training is taking its place" in reasons(run)["checkpoints/step-0000020"]


def test_checkpoints_that_the_recipe_asks_for_stay(run: Run, tmp_path: Path) -> None:
    every = Run(run.root, load_recipe(tmp_path / "recipe.toml", ["train.keep_every_steps=20"]))
    assert reasons(every) == {"checkpoints/step-0000020": "train.keep_every_steps = 20"}
    best = Run(run.root, load_recipe(tmp_path / "recipe.toml", ["train.keep_best=true"]))
    assert reasons(best).keys() == {"checkpoints/step-0000010", "checkpoints/step-0000020"}


def test_checkpoint_that_a_longer_training_goes_on_from_stays(run: Run, tmp_path: Path) -> None:
    for step, train in ((10, {}), (20, {}), (30, {"decay_share": 0.2})):
        put(run, f"checkpoints/step-{step:07d}/training.json", json.dumps({"config": {"train": train}, "inputs": {}}))
    wsd = Run(run.root, load_recipe(tmp_path / "recipe.toml", ['train.schedule="wsd"']))
    assert reasons(wsd).keys() == {"checkpoints/step-0000020"}
    assert "more train.steps go on from here" in reasons(wsd)["checkpoints/step-0000020"]
    clean_up(wsd)
    assert (Path(run.root) / "checkpoints/step-0000020/state.json").exists()


def test_files_of_a_stage_that_is_not_finished_stay(run: Run) -> None:
    (Path(run.root) / "manifests/clean.json").unlink()
    assert "documents/00007.arrow" not in {item.path for item in past(run)}


def test_nothing_goes_while_a_process_works_on_the_run(run: Run) -> None:
    put(run, "logs/train.lock", "")
    with run.lock():
        put(run, ".scratch/of-that-process", "half")
        before = files(run)
        for dry_run in (True, False):
            with pytest.raises(RunError, match=r"process is working on this run"):
                clean_up(run, dry_run=dry_run)
        assert files(run) == before


def test_records_that_a_server_has_open_stay(run: Run) -> None:
    path = Path(run.root) / ".prefect/prefect.db"
    code = (
        f"import sqlite3; database = sqlite3.connect({str(path)!r}); database.execute('PRAGMA journal_mode = WAL');"
        "database.execute('CREATE TABLE flow_run (id INTEGER)'); database.commit(); print(1, flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        before = files(run)
        assert reasons(run)[".prefect/"] == "a Prefect server has it open"
        assert bound_records(run, 0) == 0
        server.kill()
    assert ".prefect/" not in reasons(run)
    assert files(run) == before, "a look has changed the database"


def test_records_over_their_limit_are_begun_anew_and_smaller_ones_stay(run: Run) -> None:
    put(run, ".prefect/prefect.db", "x" * 1000)
    assert bound_records(run, 2000) == 0
    assert (Path(run.root) / ".prefect/prefect.db").exists()
    assert bound_records(run, 1000) == 1002
    assert not (Path(run.root) / ".prefect").exists()


def test_copies_of_a_run_on_an_object_store_are_listed_and_go(bucket: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE)
    run = Run(bucket, load_recipe(recipe))
    run.write_recipe()
    storage.publish_bytes(b"text", run.url("documents/00000.arrow"))
    copy = storage.open_local(run.url("documents/00000.arrow"))
    assert [(item.what, item.bytes) for item in past(run)] == [("this machine's copy of documents/00000.arrow", 4)]
    assert disk(run)["folders"]["documents/"] == 4
    assert clean_up(run)["bytes"] == 4
    assert not copy.exists()
    assert tree(tmp_path / "cache/objects") == {}
    assert storage.read_bytes(run.url("documents/00000.arrow")) == b"text"


def test_copies_of_inputs_in_a_store_are_listed_and_go(bucket: str, tmp_path: Path) -> None:
    storage.publish_bytes(b'{"text": "one"}\n', f"{bucket}/in/a.jsonl")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'[[sources]]\nname = "remote"\npaths = ["{bucket}/in"]\n')
    run = Run(str(tmp_path / "run"), load_recipe(recipe))
    run.write_recipe()
    (found,) = list_inputs("remote", run.recipe.sources[0].paths).files
    put(run, "logs/inputs.json", json.dumps({"remote": {found.path: [found.size, found.version]}}))
    copy = storage.open_local(found.url)
    assert [(item.what, item.goes) for item in past(run)] == [("this machine's copy of input a.jsonl", True)]
    assert clean_up(run)["bytes"] == 16
    assert not copy.exists()
