"""Mixing: budget before and after, caps, several runs."""

import json
from pathlib import Path

import pytest

from model.data.batches import TokenDataset
from model.training.report import Reporter
from model.training.start import train_run
from pipeline.base.errors import FormatError, UserError
from pipeline.order.corpus import open_train
from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run
from tests.model.runs import make_run


class Noting(Reporter):
    """Remembers what it was told, in order."""

    def __init__(self) -> None:
        super().__init__(leads=False, events=False)
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(text)

    def event(self, kind: str, **values: object) -> None:
        self.told.append(kind)


def changed(run: Run, *overrides: str) -> Run:
    return Run(run.root, load_recipe(f"{run.root}/recipe.toml", overrides))


def test_budget_by_source_is_told_before_training_and_again_after(tmp_path: Path) -> None:
    run, reporter = changed(make_run(tmp_path), "train.steps=4", 'train.weights={"facts"=3.0}'), Noting()
    summary = train_run(run, reporter)
    before, started = reporter.told.index("tokens to read, by source:"), reporter.told.index("started")
    after = reporter.told.index("tokens read, by source:")
    assert before < started < after
    assert reporter.told[before + 1 : before + 4] == reporter.told[after + 1 : after + 4]
    assert reporter.told[before + 2].split()[0] == "facts"
    found = summary["trained_on"]
    assert found.keys() == {"prose", "facts"}
    assert sum(row["tokens"] for row in found.values()) == summary["tokens"] == 4 * 256
    assert sum(row["share"] for row in found.values()) == pytest.approx(1.0)
    budget = {row["source"]: row for row in open_train(run, 32, TokenDataset).budget(4 * 8)}
    assert {name: row["tokens"] for name, row in found.items()} == {n: r["tokens"] for n, r in budget.items()}
    assert found["facts"]["share"] > 0.65, "three times its size"
    manifest = json.loads((Path(run.root) / "manifests/train/all.json").read_bytes())
    assert manifest["counts"]["trained_on"] == found


def test_training_beyond_the_epochs_allowed_is_refused_before_it_starts(tmp_path: Path) -> None:
    recipe = """
name = "capped"
[[sources]]
name = "prose"
paths = ["raw/*.txt"]
max_epochs = 1
[[sources]]
name = "facts"
paths = ["facts/*.txt"]
max_epochs = 2
[tokenize]
vocabulary_size = 300
[model]
layers = 1
heads = 2
width = 16
context_length = 32
[train]
steps = 1000
global_batch_tokens = 256
micro_batch_sequences = 8
threads = 1
"""
    run = make_run(tmp_path, recipe)
    dataset = open_train(run, 32, TokenDataset)
    allowed = (dataset.windows[0] * 2 + dataset.windows[1]) // 8  # facts, prose: in name order
    with pytest.raises(UserError, match=rf"1,000 read 8,000 sequences .* so at most {allowed:,} steps"):
        train_run(run)
    assert not (Path(run.root) / "checkpoints").exists()
    summary = train_run(changed(run, f"train.steps={allowed}"))
    assert summary["trained_on"]["prose"]["epochs"] <= 1.0
    assert 1.9 < summary["trained_on"]["facts"]["epochs"] <= 2.0


def test_two_finished_runs_are_mixed_by_the_weights_of_run_and_source(tmp_path: Path) -> None:
    first, second = make_run(tmp_path / "one"), make_run(tmp_path / "two")
    other = tmp_path / "two" / "second"
    Path(second.root).rename(other)
    overrides = ("train.steps=4", f'train.runs=["{other}"]', 'train.weights={"second/prose"=2.0, "run/facts"=0.0}')
    mixed = changed(first, *overrides)
    dataset = open_train(mixed, 32, TokenDataset)
    assert [stream.name for stream in dataset.streams] == ["run/facts", "run/prose", "second/facts", "second/prose"]
    windows = dataset.windows
    assert [quota.per_epoch for quota in dataset.mixture.quotas] == [0, windows[1], windows[2], 2 * windows[3]]
    summary = train_run(mixed)
    assert summary["trained_on"]["run/facts"]["tokens"] == 0
    assert sum(row["tokens"] for row in summary["trained_on"].values()) == 4 * 256
    again = open_train(changed(first, *overrides), 32, TokenDataset)
    assert again.fingerprint == dataset.fingerprint
    assert (again.batch(3, 8)[0] == dataset.batch(3, 8)[0]).all()


def test_mixed_run_of_another_tokenizer_is_refused_with_both_digests(tmp_path: Path) -> None:
    first, second = make_run(tmp_path / "one"), make_run(tmp_path / "two")
    other = tmp_path / "two" / "second"
    Path(second.root).rename(other)
    tokenizer = other / "tokenizer/tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    with pytest.raises(FormatError, match=r"second/tokens/train: its shards were made by another tokenizer"):
        open_train(changed(first, f'train.runs=["{other}"]'), 32, TokenDataset)
