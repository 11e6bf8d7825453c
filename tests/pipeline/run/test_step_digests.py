"""What a finished step has recorded of its manifests is held against them; nothing of another make is taken over."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.base.pool import Pool
from pipeline.inspection.verify import verify_run
from pipeline.run import layout, step_digests
from pipeline.run.context import Context, NeedsWork
from pipeline.run.folder import Run
from pipeline.run.manifest import digest_bytes
from tests.pipeline.run import dummy_stage
from tests.pipeline.run.dummy_run import RECIPE, run_dummy
from tests.trees import tree

SHARD, STEP = "manifests/dummy/00001.json", "manifests/dummy.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    run_dummy(tmp_path)
    Run(str(tmp_path), RECIPE).write_recipe()
    return tmp_path


def another_figure(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert '"documents": 50' in text
    path.write_text(text.replace('"documents": 50', '"documents": 51'), encoding="utf-8")


def work(root: Path) -> dict[str, str]:
    """What the first step with work gives as its reasons; none where there is none."""
    try:
        dummy_stage.run(Context(Run(str(root), RECIPE), dry=True), 4)
    except NeedsWork as found:
        return found.reasons
    return {}


def again(root: Path) -> int:
    with Run(str(root), RECIPE).lock(), Pool(2) as pool:
        context = Context(Run(str(root), RECIPE), pool)
        dummy_stage.run(context, 4)
    return context.shards_run


def test_the_file_holds_the_digest_of_each_step(root: Path) -> None:
    found = step_digests.parse((root / layout.STEP_DIGESTS).read_bytes())
    assert found == {step: digest_bytes((root / f"manifests/{step}.json").read_bytes()) for step in ("after", "dummy")}


def test_figure_that_was_changed_in_a_manifest_is_found_and_never_taken_over(root: Path) -> None:
    before = tree(root)
    another_figure(root / SHARD)
    (entry,) = verify_run(str(root))[1]
    assert entry["path"] == SHARD
    assert "not the one that dummy was finished with" in entry["problem"]
    assert work(root) == {"00001": "its manifest is damaged"}
    assert again(root) == 1
    assert tree(root) == before


def test_what_verify_deletes_is_made_again(root: Path) -> None:
    before = tree(root)
    another_figure(root / SHARD)
    verify_run(str(root), delete=True)
    assert again(root) == 1
    assert tree(root) == before
    assert verify_run(str(root))[1] == []


def test_manifests_from_another_make_of_the_run_are_not_taken_over(root: Path, tmp_path: Path) -> None:
    """All of a step's manifests fit together, and not to what was recorded: none of them counts."""
    before = tree(root)
    values = json.loads((root / SHARD).read_bytes())
    another_figure(root / SHARD)
    step = json.loads((root / STEP).read_bytes())
    step["shards"]["00001"] = digest_bytes((root / SHARD).read_bytes())
    (root / STEP).write_text(json.dumps(step))
    assert values != json.loads((root / SHARD).read_bytes())
    assert {entry["path"] for entry in verify_run(str(root))[1]} >= {SHARD, STEP}
    assert set(work(root).values()) == {"its manifest is damaged"}
    assert again(root) == 4
    assert tree(root) == before


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"steps": {}}'])
def test_damaged_file_is_named_and_written_anew_without_a_shard(root: Path, data: bytes) -> None:
    before = tree(root)
    (root / layout.STEP_DIGESTS).write_bytes(data)
    (entry,) = verify_run(str(root))[1]
    assert entry["path"] == layout.STEP_DIGESTS
    assert again(root) == 0
    assert tree(root) == before


def test_flipped_bit_of_the_file_is_damage(root: Path) -> None:
    data = (root / layout.STEP_DIGESTS).read_bytes()
    for place in range(0, len(data), 7):
        flipped = bytearray(data)
        flipped[place] ^= 1
        with pytest.raises(step_digests.DamagedDigestsError):
            step_digests.parse(bytes(flipped))


def test_run_of_an_earlier_version_has_no_such_file_and_is_done(root: Path) -> None:
    (root / layout.STEP_DIGESTS).unlink()
    assert work(root) == {}
    assert verify_run(str(root))[1] == []


@pytest.mark.parametrize("step", ["dummy", "after"])
def test_killed_before_the_digest_was_recorded(root: Path, step: str) -> None:
    before = tree(root)
    step_digests.forget(str(root), step)
    assert verify_run(str(root))[1] == []
    assert list(work(root)) == ["all"]
    assert again(root) == 0
    assert tree(root) == before


def test_step_in_work_has_no_digest(root: Path) -> None:
    shutil.rmtree(root / "dummy")
    with Run(str(root), RECIPE).lock(), Pool(1) as pool:
        context = Context(Run(str(root), RECIPE), pool)
        with pytest.raises(ValueError, match="told to fail"):
            dummy_stage.run(context, 4, fails="00002")
    assert list(step_digests.recorded(str(root)) or {}) == ["after"]
