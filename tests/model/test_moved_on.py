"""A run folder that has moved on: a checkpoint is used with its own tokenizer and tokens, or not at all."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from model.checkpoints import checkpoint
from model.checkpoints.tensor_file import Rows
from model.checkpoints.writer import write_checkpoint
from model.evaluation.generate import Sampling
from model.evaluation.scoring import evaluate_run, sample_run
from model.export.folder import export_run, load_folder
from model.network.transformer import Transformer, load_model
from model.network.transformer import rounded as rounded_model
from model.training.start import train_run
from pipeline.base.errors import RunError, UserError
from pipeline.lineage import trace
from pipeline.lineage.licences import licences
from pipeline.lineage.training import Training
from pipeline.order.trained import check_tokens, tokenizer_of
from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run
from pipeline.run.manifest import canonical_json, digest_file
from pipeline.tokens.shards.token_shard import TokenFormat, write_token_shard
from tests.full_disk import files_of_at_most
from tests.model.runs import make_run
from tests.trees import tree

GREEDY = Sampling(temperature=0.0)


@pytest.fixture
def trained(tmp_path: Path) -> Run:
    run = make_run(tmp_path)
    train_run(run)
    return run


def retokenize(run: Run) -> None:
    """As another recipe would: two entries of the vocabulary change places, and all shards are made again."""
    path = Path(run.root, "tokenizer/tokenizer.json")
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["A"], vocabulary["w"] = vocabulary["w"], vocabulary["A"]
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    new = Tokenizer.from_file(str(path))
    token_format = TokenFormat(digest_file(path), new.get_vocab_size(), 0)
    for split in ("train", "validation"):
        for number, source in enumerate(("prose", "facts")):
            documents = [(bytes([n]) * 16, [*new.encode(f"Ada walked, {n} times. " * 20).ids, 0]) for n in range(60)]
            write_token_shard(Path(run.root, f"tokens/{split}/{number:05d}.arrow"), token_format, source, documents)


def forget_training(run: Run, step: int) -> None:
    """Makes a checkpoint of what the version before wrote: without tokenizer and training."""
    folder = Path(run.root, f"checkpoints/step-{step:07d}")
    state = json.loads((folder / "state.json").read_text())
    for name in ("tokenizer.json", "training.json"):
        (folder / name).unlink()
        del state["digests"][name]
    (folder / "state.json").write_text(canonical_json(state))


def test_sample_and_export_use_the_tokenizer_of_the_checkpoint(trained: Run, tmp_path: Path) -> None:
    before, own = (
        sample_run(trained, "Ada walked", 12, GREEDY),
        Path(trained.root, "tokenizer/tokenizer.json").read_bytes(),
    )
    retokenize(trained)
    assert Path(trained.root, "tokenizer/tokenizer.json").read_bytes() != own
    assert sample_run(trained, "Ada walked", 12, GREEDY) == before
    export_run(trained, tmp_path / "out")
    assert (tmp_path / "out/tokenizer.json").read_bytes() == own


def test_what_needs_the_tokens_is_refused_with_both_digests(trained: Run, tmp_path: Path) -> None:
    was = digest_file(Path(trained.root, "tokenizer/tokenizer.json"))
    found = trace.Training(trained)  # type: ignore[attr-defined]
    found.check_checkpoints()
    retokenize(trained)
    now = digest_file(Path(trained.root, "tokenizer/tokenizer.json"))
    said = f"tokenizer/tokenizer.json had digest {was} and has {now}.*cannot be told any more; `tokenmill sample`"
    with pytest.raises(RunError, match=said):
        evaluate_run(trained)
    with pytest.raises(RunError, match="what these steps read cannot be told"):
        trace.trace(trained, 0, 0)
    with pytest.raises(RunError, match="what this window held cannot be told"):
        trace.window_text(trained, 0, 0)
    with pytest.raises(RunError, match="the licences of what it was trained on cannot be told"):
        licences(trained)
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"context": "Ada wrote to", "choices": [" Grace.", " zzqqxjv"], "answer": 0}\n')
    answered = evaluate_run(trained, choices=str(questions))
    assert answered["choices"]["questions"] == 1
    assert "validation_loss" not in answered


def test_tokens_that_came_out_the_same_are_the_same(trained: Run) -> None:
    before = evaluate_run(trained)
    for split in ("train", "validation"):
        shutil.copytree(Path(trained.root, "tokens", split), Path(trained.root, "copy"))
        shutil.rmtree(Path(trained.root, "tokens", split))
        Path(trained.root, "copy").rename(Path(trained.root, "tokens", split))
    assert evaluate_run(trained) == before


def test_finished_training_is_made_anew_on_other_tokens_and_until_then_the_old_model_stays(trained: Run) -> None:
    retokenize(trained)
    assert train_run(trained)["steps"] == 8
    check_tokens(trained, 8, "anything")
    assert evaluate_run(trained)["checkpoint"] == "checkpoints/step-0000008"


def test_checkpoint_without_a_copy_falls_back_to_the_same_tokenizer_only(trained: Run) -> None:
    for step in (6, 8):
        forget_training(trained, step)
    before, was = (
        sample_run(trained, "Ada walked", 12, GREEDY),
        digest_file(Path(trained.root, "tokenizer/tokenizer.json")),
    )
    assert evaluate_run(trained)["tokens"] > 0
    retokenize(trained)
    now = digest_file(Path(trained.root, "tokenizer/tokenizer.json"))
    with pytest.raises(RunError, match=f"{was}.* has {now}; this checkpoint holds no copy of its own"):
        sample_run(trained, "Ada walked", 12, GREEDY)
    with pytest.raises(RunError, match="holds no copy of its own"):
        evaluate_run(trained)
    with pytest.raises(RunError, match="a checkpoint from another run"):
        trace.trace(trained, 0, 0)
    assert before is not None


def test_training_goes_on_from_checkpoints_of_the_version_before(trained: Run) -> None:
    for step in (6, 8):
        forget_training(trained, step)
    Path(trained.root, "manifests/train/all.json").unlink()
    assert train_run(trained)["steps"] == 8
    with pytest.raises(UserError, match=r"the recipe now asks for 0\.5"):
        train_run(Run(trained.root, load_recipe(f"{trained.root}/recipe.toml", ("train.learning_rate=0.5",))))
    Path(trained.root, "manifests/train/all.json").unlink()
    with pytest.raises(UserError, match=r"other tokens or with other \[train\] settings"):
        train_run(Run(trained.root, load_recipe(f"{trained.root}/recipe.toml", ("train.learning_rate=0.5",))))


def test_damaged_copy_of_the_tokenizer_is_named(trained: Run) -> None:
    Path(trained.root, "checkpoints/step-0000008/tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RunError, match=r"step-0000008/tokenizer.json: missing or damaged; .*--previous"):
        tokenizer_of(trained, 8)


def test_order_is_that_of_the_checkpoint_while_the_recipe_asks_for_another(trained: Run) -> None:
    before = Training(trained).dataset.documents(0, 8)
    other = Run(
        trained.root, load_recipe(f"{trained.root}/recipe.toml", ("train.seed=5", "train.global_batch_tokens=512"))
    )
    assert Training(other).dataset.documents(0, Training(other).sequences) == before


@pytest.mark.parametrize("named", ["6", "step-0000006", "{root}/checkpoints/step-0000006/"])
def test_checkpoint_can_be_named(trained: Run, tmp_path: Path, named: str) -> None:
    named = named.format(root=trained.root)
    assert evaluate_run(trained, named=named)["checkpoint"] == "checkpoints/step-0000006"
    export_run(trained, tmp_path / "named", named=named)
    export_run(trained, tmp_path / "previous", previous=True)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("named", "previous")]
    assert files[0] == files[1]
    sample_run(trained, "Ada", 3, GREEDY, named=named)


@pytest.mark.parametrize("named", ["7", "last", "/elsewhere/checkpoints/step-0000006", ""])
def test_checkpoint_that_is_not_there_is_refused_with_those_that_are(trained: Run, named: str) -> None:
    with pytest.raises(UserError, match=r"--checkpoint .*expected a step or a folder in .*whose steps are 6, 8"):
        evaluate_run(trained, named=named)
    assert Transformer.from_run(trained.root).config.layers == 2


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_exported_folder_can_be_passed_on(trained: Run, tmp_path: Path, dtype: str) -> None:
    """Every file may be read by whom the others may, the card says what it is, and nothing names this machine."""
    output = tmp_path / "out"
    files = export_run(trained, output, dtype=dtype)
    assert len({(output / name).stat().st_mode for name in files}) == 1
    found = load_file(output / "model.safetensors")
    assert {str(value.dtype) for value in found.values()} == {f"torch.{dtype}"}
    assert json.loads((output / "config.json").read_text())["dtype"] == dtype
    text = (output / "README.md").read_text()
    assert f"checkpoint of step {checkpoint.complete_steps(trained.root)[-1]} of the recipe `small`" in text
    assert "## Attribution" in text
    assert "## Limits" in text
    assert "## Recipe" in text
    assert "global_batch_tokens = 256" in text
    assert str(tmp_path.parent.parent) not in text


def test_export_that_fails_leaves_nothing_and_one_that_replaces_leaves_no_weights_of_the_earlier(
    trained: Run, tmp_path: Path
) -> None:
    export_run(trained, tmp_path / "out", file_bytes=20_000)
    before = tree(tmp_path / "out")
    for output in (tmp_path / "deep/new", tmp_path / "out"):
        with files_of_at_most(8_000), pytest.raises(OSError, match="File too large"):
            export_run(trained, output)
    assert not (tmp_path / "deep").exists()
    assert tree(tmp_path / "out") == before
    (tmp_path / "out/mine.txt").write_text("mine")
    files = export_run(trained, tmp_path / "out")
    assert sorted(tree(tmp_path / "out")) == sorted([*files, "mine.txt"])


def test_evaluation_with_rounded_weights_is_that_of_the_export(trained: Run, tmp_path: Path) -> None:
    exact, rounded = evaluate_run(trained), evaluate_run(trained, dtype="bfloat16")
    assert rounded["validation_loss"] != exact["validation_loss"]
    assert rounded["validation_loss"] == pytest.approx(exact["validation_loss"], rel=1e-2)
    export_run(trained, tmp_path / "half", dtype="bfloat16")
    ours = rounded_model(load_model(trained.root), "bfloat16").state_dict()
    theirs = load_folder(tmp_path / "half").state_dict()
    used = trained.recipe.tokenize.vocabulary_size  # rows beyond it only pad
    assert all(torch.equal(theirs[name][:used], ours[name][:used]) for name in theirs)
    sample_run(trained, "Ada", 3, GREEDY, dtype="float16")


def test_checkpoint_has_the_permissions_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_checkpoint(str(tmp_path), 1, {"model.safetensors": {"a": Rows.of(torch.zeros(2))}}, {}, {"b": b""})
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "checkpoints/step-0000001").iterdir()}
    assert modes == {0o640}
