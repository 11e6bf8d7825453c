"""What ``verify`` advises for a damaged checkpoint makes the same bytes again; a damaged manifest needs no advice."""

import json
from pathlib import Path

import pytest

from model.training.start import train_run
from pipeline.base.errors import RunError
from pipeline.inspection.verify import verify
from pipeline.run.checkpoints import read_state
from tests.model.runs import make_run
from tests.trees import tree


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("data", [b"", b"damaged", None])
def test_damaged_last_checkpoint_is_removed_and_trained_again_to_the_same_bytes(
    tmp_path: Path, name: str, data: bytes | None
) -> None:
    run = make_run(tmp_path)
    train_run(run)
    before = tree(run.root, "metrics", "report")
    path = Path(run.root) / "checkpoints/step-0000008" / name
    path.unlink() if data is None else path.write_bytes(data)
    found = verify(run, delete=True)
    assert [entry.path for entry in found.damaged] == [f"checkpoints/step-0000008/{name}"]
    assert not list((Path(run.root) / "checkpoints/step-0000008").glob("*"))
    train_run(run)
    assert tree(run.root, "metrics", "report") == before
    assert verify(run).exit_code == 0


@pytest.mark.parametrize(
    ("name", "data"),
    [("manifests/train/all.json", b""), ("manifests/train.json", b"{}"), ("manifests/train.json", None)],
)
def test_damaged_manifest_of_a_finished_training_is_made_again_without_a_step(
    tmp_path: Path, name: str, data: bytes | None
) -> None:
    run = make_run(tmp_path)
    train_run(run)
    before = tree(run.root, "report")
    path = Path(run.root) / name
    path.unlink() if data is None else path.write_bytes(data)
    train_run(run)
    after = tree(run.root, "report")
    assert after["metrics/train.jsonl"] == before["metrics/train.jsonl"]
    assert {key: value for key, value in after.items() if not key.startswith("metrics/")} == {
        key: value for key, value in before.items() if not key.startswith("metrics/")
    }


@pytest.mark.parametrize("named", ["../../victim.txt", ".."])
def test_checkpoint_that_names_files_elsewhere_is_damaged_and_nothing_there_is_touched(
    tmp_path: Path, named: str
) -> None:
    run = make_run(tmp_path)
    train_run(run)
    inside, outside = Path(run.root) / "victim.txt", tmp_path / "victim.txt"
    for victim in (inside, outside):
        victim.write_text("precious")
    path = Path(run.root) / "checkpoints/step-0000006/state.json"
    state = json.loads(path.read_bytes())
    state["digests"][named] = "0" * 32
    path.write_text(json.dumps(state))
    with pytest.raises(RunError, match="which is no file of a checkpoint"):
        read_state(run.root, 6)
    found = verify(run, delete=True)
    assert [entry.path for entry in found.damaged] == ["checkpoints/step-0000006/state.json"]
    assert inside.read_text() == outside.read_text() == "precious"
    assert (Path(run.root) / "recipe.toml").exists()


DAMAGED_LINES = b'\xff\xfe\n[]\n{}\n7\n{"step": "x"}\n\n'


@pytest.mark.parametrize("whole", [True, False])
def test_damaged_lines_of_the_metrics_stop_neither_training_nor_its_summary(tmp_path: Path, whole: bool) -> None:
    run = make_run(tmp_path)
    train_run(run)
    metrics = Path(run.root) / "metrics/train.jsonl"
    lines = metrics.read_bytes()
    metrics.write_bytes(DAMAGED_LINES + lines + lines[:7] if whole else lines[:7])
    assert train_run(run)["steps"] == 8
    (Path(run.root) / "manifests/train/all.json").unlink()
    assert train_run(run)["steps"] == 8
    if whole:
        assert metrics.read_bytes() == lines
