"""What ``status`` says of a model whose tokens have changed since it was trained."""

import fcntl
from pathlib import Path

from model.data.corpus import open_corpus
from model.training.start import train_run
from pipeline.inspection.status import status_rows
from pipeline.inspection.verify import verify
from pipeline.run import layout, step_digests
from pipeline.run.folder import Run
from pipeline.tokens.shards.token_shard import write_token_shard
from tests.model.runs import make_run


def change_tokens(run: Run) -> None:
    """Other documents in the place of the ones that were trained on, with the same tokenizer."""
    token_format = open_corpus(run, 32).train.data.format
    path = Path(run.root) / "tokens/train/00000.arrow"
    write_token_shard(path, token_format, "prose", [(b"x" * 16, [*([5] * 900), 0])])


def test_model_of_earlier_tokens_is_outdated_also_where_its_training_is_not_finished(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    train_run(run)
    assert status_rows(run)["train"]["state"] == "done"
    change_tokens(run)
    row = status_rows(run)["train"]
    assert row["state"] == "outdated"
    assert "trained on other tokens than the run folder holds now: tokens/train/00000.arrow had digest" in str(row)
    assert verify(run).exit_code == 0, "every file is as it was written"
    for path in ("manifests/train/all.json", "manifests/train.json"):
        (Path(run.root) / path).unlink()
    step_digests.forget(run.root, "train")  # as a training does before its first step
    assert status_rows(run)["train"]["state"] == "outdated"


def test_training_without_its_manifest_is_interrupted_and_says_how_far_it_is(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    train_run(run)
    for path in ("manifests/train/all.json", "manifests/train.json"):
        (Path(run.root) / path).unlink()
    step_digests.forget(run.root, "train")  # as a training does before its first step
    row = status_rows(run)["train"]
    assert (row["state"], row["done"], row["total"]) == ("interrupted", 0, 1)
    assert row["problems"][:2] == ["8 of 8 steps made", "the last checkpoint is of step 8"]


def test_training_at_work_is_running_from_its_beginning(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    assert status_rows(run)["train"]["state"] == "not begun"
    lock, metrics = Path(run.local(layout.TRAIN_LOCK)), Path(run.local(layout.TRAIN_METRICS))
    for path in (lock, metrics):
        path.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert (status_rows(run)["train"]["state"], status_rows(run)["train"]["problems"]) == ("running", [])
        metrics.write_text('{"step": 3, "loss": 5.0}\n', encoding="utf-8")
        assert status_rows(run)["train"]["problems"] == ["3 of 8 steps made"]
