"""Tokens that are not what their manifests say: neither trained on nor evaluated on, whatever else they look like."""

from pathlib import Path

import pytest

from model.evaluation.scoring import evaluate_run
from model.training.start import train_run
from pipeline.base.errors import RunError
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.manifest import Manifest, Output, digest_file, manifest_url
from tests.model.runs import make_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Tokens with the manifests that the tokenize stage leaves."""
    made = make_run(tmp_path, overrides=("train.steps=2",))
    for number in range(2):
        shard = f"{number:05d}"
        paths = [layout.tokens(split, shard) for split in ("train", "validation")]
        outputs = [Output(path, made.local(path).stat().st_size, digest_file(made.local(path))) for path in paths]
        manifest = Manifest("tokenize", shard, "", 1, {}, {}, {}, outputs, {})
        place = Path(manifest_url(made.root, "tokenize", shard))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(manifest.to_bytes())
    return made


def flip_a_token(path: Path) -> None:
    data = bytearray(path.read_bytes())
    at = len(data) // 2  # in the values: any of them is a token of the vocabulary
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_tokens_of_which_a_bit_flipped_are_not_trained_on(run: Run, split: str) -> None:
    path = layout.tokens(split, "00001")
    flip_a_token(run.local(path))
    with pytest.raises(RunError, match=f"{path}: damaged, its checksum.*verify {run.root} --delete"):
        train_run(run)
    assert not Path(run.url(layout.CHECKPOINTS)).exists()


def test_a_training_does_without_no_shard(run: Run) -> None:
    path = layout.tokens("train", "00001")
    run.local(path).unlink()
    with pytest.raises(RunError, match=f"{path}: missing.*--stages tokenize"):
        train_run(run)


def test_damaged_validation_tokens_give_no_loss(run: Run) -> None:
    train_run(run)
    assert evaluate_run(run)["validation_loss"] > 0
    path = layout.tokens("validation", "00000")
    flip_a_token(run.local(path))
    with pytest.raises(RunError, match=f"{path}: damaged"):
        evaluate_run(run)
