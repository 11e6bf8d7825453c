"""Lineage of a run in an object store, and of runs that read the tokens of others."""

import json
import shutil
from pathlib import Path

import pytest

from flows.session.stages import plan
from model.training.job import training_of
from pipeline.base import storage
from pipeline.base.errors import RunError, UserError
from pipeline.inspection.verify import verify_run
from pipeline.lineage.explain import explain
from pipeline.lineage.licences import licences
from pipeline.lineage.trace import trace, window_text
from pipeline.lineage.training import Training
from pipeline.lookup.locate import DocIndex
from pipeline.run.folder import Run
from pipeline.takedown.choose import Choice
from pipeline.takedown.takedown import take_down
from tests.pipeline.lineage.helpers import (
    OUTSIDE,
    Killed,
    kept_twin,
    mentions,
    publications,
    read_document,
    tree,
    twin,
)
from tests.trees import objects

in_store = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def upload(run: Run, root: str) -> Run:
    pytest.importorskip("moto")
    for name in storage.list_files(run.root):
        copy = storage.scratch(root)
        shutil.copy(run.url(name), copy)
        storage.publish(copy, storage.join(root, name))
    return Run.open(root)


@pytest.mark.slow
@in_store
@pytest.mark.xdist_group("s3")
def test_takedown_in_an_object_store_leaves_the_objects_of_a_local_one(
    run: Run, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = upload(run, bucket)
    document = read_document(run)
    ids = (document["doc_id"], kept_twin(run))
    assert explain(remote, DocIndex(remote).find(ids[0]))["training"]["steps"]
    assert len(mentions(tmp_path / "cache", [document["text"][20:60].encode()])) > 0
    with monkeypatch.context() as patched:
        publications(patched, 7)
        with pytest.raises(Killed):
            take_down(remote, Choice(ids=ids))
    with pytest.raises(RunError, match="a takedown was interrupted"):
        plan(remote, list(remote.recipe.stages))
    found = take_down(remote, Choice(ids=ids))
    assert len(found["already_taken_down"]) == 2
    local = take_down(run, Choice(ids=ids))
    for one in (remote, run):
        take_down(one, Choice(), restoring=[twin(run).doc_id.hex()])
    theirs = {name: data for name, data in objects(bucket).items() if name.split("/")[0] not in OUTSIDE}
    assert theirs == tree(run)
    assert verify_run(bucket)[1] == []
    assert trace(remote, 0, 39)["documents"] == trace(run, 0, 39)["documents"]
    assert len(local["checkpoints"]) == 2
    words = [document["text"][20:60].encode()]
    assert mentions(tmp_path / "cache", words) == [], "copies on this machine are without the text too"


@pytest.fixture
def mixed(finished: Path, tmp_path: Path) -> tuple[Run, Run]:
    """A run that also trains on the tokens of another one, and that other run."""
    shutil.copytree(finished, tmp_path / "reader")
    shutil.copytree(finished, tmp_path / "other")
    other = tmp_path / "other"
    recipe = tmp_path / "reader/recipe.toml"
    text = recipe.read_text()
    assert "runs = []" in text
    recipe.write_text(text.replace("runs = []", f"runs = [{json.dumps(str(other))}]"))
    return Run.open(tmp_path / "reader"), Run.open(other)


def own_document(run: Run) -> str:
    """A document of the run's own shards that a step has read."""
    training = Training(run)
    for position in range(40 * training.sequences):
        streams, _ = training.dataset.locate(position, 1)
        if training.dataset.streams[int(streams[0])].key.startswith("0/"):
            return training.window_parts(position)[0].doc_id.hex()
    raise AssertionError("no step reads it")


def test_lookups_of_a_run_that_reads_another_one(mixed: tuple[Run, Run]) -> None:
    reader, _ = mixed
    doc_id = own_document(reader)
    found = explain(reader, DocIndex(reader).find(doc_id))["training"]
    assert found["steps"]
    for step in found["steps"]:
        assert doc_id in {row["doc_id"] for row in trace(reader, step, step)["documents"]}
    assert set(trace(reader, 0, 39)["sources"]) == {"prose", "web"}
    assert licences(reader)["tokens"] > 0
    assert window_text(reader, 3, 0)["parts"][0]["text"]


def test_takedown_in_a_run_that_reads_another_one(mixed: tuple[Run, Run]) -> None:
    reader, _ = mixed
    doc_id = own_document(reader)
    before, steps = trace(reader, 0, 39), explain(reader, DocIndex(reader).find(doc_id))["training"]["steps"]
    found = take_down(reader, Choice(ids=(doc_id,)))
    assert found["checkpoints"][-1]["steps"] == steps
    after = trace(reader, 0, 39)
    assert [row["doc_id"] for row in after["documents"]] == [row["doc_id"] for row in before["documents"]]


def test_takedown_in_the_run_that_is_read_masks_it_and_moves_nothing(mixed: tuple[Run, Run]) -> None:
    reader, other = mixed
    training = Training(reader)
    stream = next(n for n, stream in enumerate(training.dataset.streams) if stream.key.startswith("1/"))
    doc_id = next(
        training.window_parts(position)[0].doc_id
        for position in range(320)
        if int(training.dataset.locate(position, 1)[0][0]) == stream
    )
    before, defined = trace(reader, 0, 39), training_of(reader)
    take_down(other, Choice(ids=(doc_id.hex(),)))
    after = trace(reader, 0, 39)
    assert [row["doc_id"] for row in after["documents"]] == [row["doc_id"] for row in before["documents"]]
    assert after["tokens_taken_down"] > 0
    assert training_of(reader) == defined, "its checkpoints stay, and a training goes on"


def test_step_of_a_run_whose_other_run_is_gone_is_answered_clearly(mixed: tuple[Run, Run]) -> None:
    reader, other = mixed
    shutil.rmtree(other.root)
    with pytest.raises(UserError, match="not a run folder"):
        trace(reader, 0, 0)
