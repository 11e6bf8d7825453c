"""What ``verify`` advises for a damaged checkpoint makes the same bytes again."""

from pathlib import Path

import pytest

from model.training.start import train_run
from pipeline.inspection.verify import verify
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
