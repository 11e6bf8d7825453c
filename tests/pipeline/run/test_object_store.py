"""A run whose root is an object store: an S3 server on this machine (moto)."""

from pathlib import Path

import pytest

from pipeline.base import storage
from pipeline.base.errors import RunError
from pipeline.base.pool import Pool
from pipeline.run.context import Context
from pipeline.run.folder import Run
from tests.pipeline.run import dummy_stage
from tests.pipeline.run.dummy_run import RECIPE, run_dummy
from tests.trees import objects, tree

pytest.importorskip("moto")
pytestmark = [
    pytest.mark.xdist_group("s3"),
    pytest.mark.usefixtures("nothing_left_open"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # aiobotocore's sessions end with the process
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def run_on(root: str, **arguments: object) -> Context:
    job = Run(root, RECIPE)
    with job.lock(), Pool(2) as pool:
        context = Context(job, pool)
        job.write_recipe()
        dummy_stage.run(context, 4, **arguments)
    return context


def test_objects_are_byte_identical_to_the_files_of_a_local_run(bucket: str, tmp_path: Path) -> None:
    run_on(bucket)
    run_dummy(tmp_path / "local")
    ours = {name: data for name, data in objects(bucket).items() if name != "recipe.toml"}
    assert len(ours) == 19
    assert ours == tree(tmp_path / "local")


def test_deleted_object_is_made_again_alone(bucket: str) -> None:
    run_on(bucket)
    before = objects(bucket)
    storage.delete(f"{bucket}/dummy/00002.arrow")
    again = run_on(bucket)
    assert (again.shards_run, again.shards_skipped) == (1, 7)
    assert objects(bucket) == before


def test_second_process_on_this_machine_is_refused(bucket: str) -> None:
    with Run(bucket, RECIPE).lock(), pytest.raises(RunError, match=r"another process is working on this run: .*pid"):
        run_on(bucket)


@pytest.mark.slow
def test_store_that_fails_in_the_middle_stops_the_run_with_a_sentence_and_the_next_run_goes_on(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_on(bucket)
    storage.delete(f"{bucket}/dummy/00001.arrow")
    wanted = objects(bucket).keys()
    with pytest.raises(RunError, match="the object store failed: Could not connect"):
        run_on(bucket, lose_endpoint="http://127.0.0.1:9")
    assert objects(bucket).keys() == wanted, "nothing half-written"
    run_on(bucket)
    run_dummy(tmp_path / "local")
    assert {k: v for k, v in objects(bucket).items() if k != "recipe.toml"} == tree(tmp_path / "local")
