"""A damaged manifest costs its shard, which is made again; nothing that it names is read or removed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.base.errors import FormatError
from pipeline.base.pool import Pool
from pipeline.base.progress import Silent
from pipeline.inspection.verify import verify_run
from pipeline.run.context import Context, NeedsWork
from pipeline.run.folder import Run
from pipeline.run.layout import is_output
from tests.pipeline.run import dummy_stage
from tests.pipeline.run.dummy_run import RECIPE, run_dummy
from tests.trees import tree

MANIFEST = "manifests/dummy/00001.json"


class Heard(Silent):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def again(root: Path) -> tuple[Context, list[str]]:
    """Runs the finished run once more; what was noted."""
    job, heard = Run(str(root), RECIPE), Heard()
    with job.lock(), Pool(2) as pool:
        context = Context(job, pool, heard)
        dummy_stage.run(context, 4)
    return context, heard.notes


def replaced(old: str, new: str) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(old.encode(), new.encode())


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
    "half": lambda data: data[: len(data) // 2],
    "a list": lambda data: b"[]",
    "nested": lambda data: b"[" * 100_000,
    "null": lambda data: b"null",
    "a number": lambda data: b"7",
    "of another shard": replaced('"shard": "00001"', '"shard": "00002"'),
    "of another step": replaced('"step": "dummy"', '"step": "after"'),
    "without outputs": replaced('"outputs"', '"puts"'),
    "counts that are none": replaced('"counts": {', '"counts": null, "old": {'),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_run_makes_the_shard_of_a_damaged_manifest_again_and_says_so(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    run_dummy(tmp_path)
    before = tree(tmp_path)
    path = tmp_path / MANIFEST
    assert damage(path.read_bytes()) != path.read_bytes()
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(NeedsWork) as caught:
        dummy_stage.run(Context(Run(str(tmp_path), RECIPE), dry=True), 4)
    assert caught.value.reasons == {"00001": "its manifest is damaged"}
    context, notes = again(tmp_path)
    assert (context.shards_run, context.shards_skipped) == (1, 7)
    (note,) = notes
    assert note.startswith(f"dummy: 1 manifest damaged, made again with what it stands for: {MANIFEST}: damaged")
    assert tree(tmp_path) == before


def test_note_names_three_of_many_damaged_manifests(tmp_path: Path) -> None:
    run_dummy(tmp_path)
    before = tree(tmp_path)
    for path in (tmp_path / "manifests/dummy").iterdir():
        path.write_bytes(b"")
    _, notes = again(tmp_path)
    assert notes[0].startswith("dummy: 4 manifests damaged")
    assert notes[0].endswith("; and 1 other")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("data", [b"", b"{}", b"[]"])
def test_damaged_manifest_of_a_step_is_written_anew(data: bytes, tmp_path: Path) -> None:
    run_dummy(tmp_path)
    before = tree(tmp_path)
    (tmp_path / "manifests/dummy.json").write_bytes(data)
    context, _ = again(tmp_path)
    assert context.shards_run == 0
    assert tree(tmp_path) == before


def test_damaged_manifest_of_a_shard_that_is_no_part_of_the_run_goes(tmp_path: Path) -> None:
    run_dummy(tmp_path)
    before = tree(tmp_path)
    (tmp_path / "manifests/dummy/00009.json").write_bytes(b"{")
    assert again(tmp_path)[1][0].startswith("dummy: 1 manifest damaged")
    assert tree(tmp_path) == before


def test_manifest_of_another_format_is_refused_not_made_again(tmp_path: Path) -> None:
    run_dummy(tmp_path)
    path = tmp_path / MANIFEST
    path.write_bytes(replaced('"format": 1', '"format": 9')(path.read_bytes()))
    before = tree(tmp_path)
    with pytest.raises(FormatError, match="written by another version"):
        again(tmp_path)
    assert tree(tmp_path) == before


STRANGE = [
    *("../victim.txt", "dummy/../../victim.txt", "{outside}/victim.txt", "file://{outside}/victim.txt", "./victim.txt"),
    *("recipe.toml", "takedown.jsonl", "manifests/dummy/00000.json", ".lock", "logs/stages.json", "", "dummy//x"),
]


@pytest.mark.parametrize("named", STRANGE)
def test_manifest_that_names_what_is_no_output_is_damaged_and_never_followed(named: str, tmp_path: Path) -> None:
    root, victim = tmp_path / "run", tmp_path / "victim.txt"
    run_dummy(root)
    Run(str(root), RECIPE).write_recipe()
    victim.write_text("precious")
    before, path = tree(root), root / MANIFEST
    named = named.format(outside=tmp_path)
    assert not is_output(named)
    values = json.loads(path.read_bytes())
    values["outputs"].append({"path": named, "bytes": 1, "digest": "0" * 32, "rows": None})
    path.write_text(json.dumps(values))
    problem = f"damaged manifest (it names {named!r}, which is no output of a run)"
    assert problem in {found["path"]: found["problem"] for found in verify_run(str(root))[1]}[MANIFEST]
    assert again(root)[0].shards_run == 1
    assert victim.read_text() == "precious"
    assert tree(root) == before
    path.write_text(json.dumps(values))
    verify_run(str(root), delete=True)
    assert victim.read_text() == "precious"
    assert set(before) - set(tree(root)) == {MANIFEST}
