"""What training refuses, and what it says."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from model.checkpoints import checkpoint, writer
from model.checkpoints.tensor_file import TensorFile
from model.data.corpus import open_corpus, token_counts
from model.evaluation.scoring import Scorer, read_choices, score_choices, share
from model.export.folder import export_folder
from model.export.foreign_config import read_config
from model.export.side_files import Delimiters
from model.network.config import ModelConfig
from model.network.transformer import Transformer, load_weights
from model.plan.enough import warnings
from model.plan.flops import parameter_counts
from model.training.refusals import check_batch
from model.training.start import train_run
from model.training.trainer import Trainer
from pipeline.base.errors import FormatError, RunError, UserError
from pipeline.base.storage import publish_bytes
from pipeline.recipe.load import load_recipe
from pipeline.recipe.training_options import Train
from pipeline.run.folder import Run
from pipeline.run.manifest import Manifest, manifest_url
from pipeline.run.tokenizer import Tokenizer
from pipeline.tokens.shards.token_shard import TokenFormat, write_token_shard
from tests.model.runs import VOCABULARY, make_run


def changed(run: Run, *overrides: str) -> Run:
    return Run(run.root, load_recipe(f"{run.root}/recipe.toml", overrides))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path)


@pytest.fixture
def trained(run: Run) -> Run:
    train_run(run)
    return run


def test_context_longer_than_the_learned_positions_is_refused(trained: Run) -> None:
    model = Transformer.from_run(trained.root)
    with pytest.raises(UserError, match="33 tokens are more than the model's context of 32"):
        model(torch.zeros(1, 33, dtype=torch.int64))


def test_heads_that_do_not_divide_are_refused(run: Run) -> None:
    with pytest.raises(UserError, match=r"model.heads = 3 does not divide model.width = 32"):
        train_run(changed(run, "model.heads=3"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.global_batch_tokens=250", "not a multiple of model.context_length = 32; 256 is"),
        ("train.micro_batch_sequences=3", "does not divide the 8 sequences .* 2 does"),
    ],
)
def test_batch_that_does_not_divide_is_refused_with_one_that_does(run: Run, override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        train_run(changed(run, override))


def test_batch_that_processes_cannot_share_is_refused(run: Run) -> None:
    with pytest.raises(UserError, match="3 processes cannot share evenly"):
        check_batch(ModelConfig(context_length=32), run.recipe.train, 3)


def rewrite_shard(run: Run, path: str, token_format: TokenFormat, tokens: list[int]) -> None:
    write_token_shard(Path(run.root) / path, token_format, "prose", [(b"x" * 16, tokens)])


def test_token_outside_the_vocabulary_is_found_before_training(run: Run) -> None:
    token_format = open_corpus(run, 32).train.data.format
    rewrite_shard(run, "tokens/train/00000.arrow", token_format, [*([5] * 500), VOCABULARY + 7, 0])
    with pytest.raises(FormatError, match=r"00000.arrow: holds token id 307, but its vocabulary has 300"):
        token_counts(open_corpus(run, 32).train)
    with pytest.raises(FormatError, match="holds token id 307"):
        train_run(run)
    assert not (Path(run.root) / "checkpoints").exists()


def test_shards_of_another_tokenizer_are_refused(run: Run) -> None:
    other = TokenFormat("b" * 32, VOCABULARY, 0)
    for split in ("train", "validation"):
        for number in range(2):
            rewrite_shard(run, f"tokens/{split}/{number:05d}.arrow", other, [*([5] * 500), 0])
    with pytest.raises(FormatError, match="made by another tokenizer"):
        train_run(run)


@pytest.mark.parametrize("change", ["vocabulary", "size"])
def test_tokens_of_another_tokenizer_than_that_of_init_are_refused(run: Run, tmp_path: Path, change: str) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    size = VOCABULARY if change == "vocabulary" else VOCABULARY - 1
    model = Transformer(ModelConfig("gpt2", size, 32, layers=1, heads=2, width=32))
    export_folder(model, Path(run.root) / "tokenizer/tokenizer.json", Delimiters(0), folder)
    train_run(changed(run, f"model.init={folder}", "train.steps=0")) if change == "vocabulary" else None
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(UserError, match=r"tokenize\.tokenizer ="):
        train_run(changed(run, f"model.init={folder}", "train.steps=1"), restart=True)


def test_unfinished_training_of_other_settings_is_refused(run: Run) -> None:
    train_run(run)
    (Path(run.root) / "manifests/train/all.json").unlink()  # as after a kill, before it was written
    with pytest.raises(UserError, match=r"model.layers = 2, and the recipe now asks for 3"):
        train_run(changed(run, "model.layers=3"))
    with pytest.raises(UserError, match=r"train.learning_rate = 0.001, and the recipe now asks for 0.5"):
        train_run(changed(run, "train.learning_rate=0.5"))
    assert train_run(changed(run, "model.layers=3"), restart=True)["steps"] == 8


def test_no_validation_tokens_is_refused_with_the_way_out(run: Run) -> None:
    token_format = open_corpus(run, 32).train.data.format
    for number in range(2):
        rewrite_shard(run, f"tokens/validation/{number:05d}.arrow", token_format, [5, 0])
    with pytest.raises(UserError, match=r"no validation tokens: .*tokenize.validation_share = 0.0"):
        train_run(run)
    result = train_run(changed(run, "tokenize.validation_share=0.0"))
    assert "validation_loss" not in result


def test_too_little_text_names_the_stage_that_dropped_it(run: Run) -> None:
    """One document is left of 700: the rules are the cause, not the length of the context."""
    token_format = open_corpus(run, 32).train.data.format
    for number in range(2):
        rewrite_shard(run, f"tokens/train/{number:05d}.arrow", token_format, [5, 0])
    with pytest.raises(UserError, match=r"not one window of context_length \+ 1 = 33 tokens.*Add text, or lower model"):
        train_run(run)
    reasons = {"reasons.gopher_quality.min_words": 699, "alone.gopher_quality.min_words": 12}
    record(run, "clean", {"records_in": 700, "documents": 700})
    record(run, "filter", {"documents_in": 700, "kept": 1, "dropped": 699, **reasons})
    with pytest.raises(UserError) as caught:
        train_run(run)
    assert "filter kept 1 of 700 documents (gopher_quality.min_words 699 (12 alone)). `tokenmill filter" in str(
        caught.value
    )
    record(run, "filter", {"documents_in": 700, "kept": 690, "dropped": 10})
    with pytest.raises(UserError, match=r"kept 690 of 700 documents\. There is little text to begin with: add some"):
        train_run(run)


def record(run: Run, step: str, counts: dict[str, int]) -> None:
    """Writes the manifest of a step that was done with these counts, and wrote nothing."""
    made = Manifest(step, "00000", "f", 1, {}, {}, {}, [], counts)
    publish_bytes(made.to_bytes(), manifest_url(run.root, step, "00000"))


def test_validation_set_that_is_too_small_is_told_with_a_share_that_is_not(run: Run) -> None:
    token_format = open_corpus(run, 32).train.data.format
    for number in range(2):
        rewrite_shard(run, f"tokens/validation/{number:05d}.arrow", token_format, [5] * 12)
    with pytest.raises(UserError, match=r"tokens by source: prose 24. Raise tokenize.validation_share to 0.\d+, or"):
        train_run(run)


def test_larger_share_is_no_cure_where_the_only_document_cannot_be_held_out(run: Run) -> None:
    token_format = open_corpus(run, 32).train.data.format
    for number in range(2):
        rewrite_shard(run, f"tokens/validation/{number:05d}.arrow", token_format, [5, 0])
    record(run, "tokenize.split", {"train_documents": 1, "validation_documents": 0})
    record(run, "clean", {"records_in": 1, "documents": 1})
    with pytest.raises(UserError, match="There is little text to begin with: add some; or train without") as caught:
        train_run(run)
    assert "Raise tokenize.validation_share" not in str(caught.value)


def test_model_and_steps_that_do_not_suit_the_text_are_told() -> None:
    config = ModelConfig(vocabulary_size=300, layers=2, heads=2, width=32)
    weights = sum(parameter_counts(config).values())
    fitting = Train(steps=10, global_batch_tokens=256)
    assert list(warnings(config, fitting, 4 * weights, goes_on=False)) == []
    (told,) = warnings(config, Train(steps=1000, global_batch_tokens=256), weights // 8, goes_on=False)
    assert f"read the {weights // 8:,} tokens there are" in told
    assert f"{4 * (weights // 8) // 256} steps are 4 passes" in told
    (told,) = warnings(config, fitting, weights // 11, goes_on=False)
    assert told.startswith(f"warning: a model of {weights:,} weights for {weights // 11:,} tokens")
    assert list(warnings(config, fitting, weights // 11, goes_on=True)) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_gpu_asked_for_where_there_is_none_is_refused(run: Run) -> None:
    with pytest.raises(UserError, match="no usable GPU"):
        train_run(changed(run, "train.device=cuda"))


def test_out_of_memory_says_what_to_lower(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(self: Trainer, batch: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Trainer, "_one_step", exhausted)
    with pytest.raises(RunError, match=r"out of memory at step 0: the plan needs .* train.micro_batch_sequences = 2"):
        train_run(run)


def test_error_that_only_names_memory_is_not_taken_for_a_want_of_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Trainer, batch: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(Trainer, "_one_step", fails)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        train_run(run)


class FullDisk:
    """Makes the writing of checkpoints fail for some calls, as a full disk does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failing: set[int]) -> None:
        self.calls, self._failing, self._save = 0, failing, writer.write_rows  # type: ignore[attr-defined]
        monkeypatch.setattr(writer, "write_rows", self.save)

    def save(self, *arguments: object, **options: object) -> None:
        self.calls += 1
        if self.calls in self._failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._save(*arguments, **options)  # type: ignore[arg-type]


def test_full_disk_stops_and_keeps_the_checkpoint_before(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    FullDisk(monkeypatch, {3})  # two files a checkpoint: the second checkpoint
    with pytest.raises(RunError, match=r"no space left on the disk; the last complete one is .*step-0000003"):
        train_run(run)
    assert checkpoint.complete_steps(run.root) == [3]
    assert not any(path.is_dir() for path in (Path(run.root) / ".scratch").iterdir())


def test_full_disk_may_go_on_to_the_next_checkpoint(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FullDisk(monkeypatch, {3})
    assert train_run(changed(run, "train.disk_full=continue"))["steps"] == 8
    assert disk.calls >= 5
    assert checkpoint.complete_steps(run.root) == [3, 8]


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "no space left on the disk"), (errno.EDQUOT, "the disk quota"), (errno.EFBIG, "a file may not")],
)
def test_what_the_system_refuses_to_a_checkpoint_is_one_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(writer, "write_rows", fail)
    with pytest.raises(RunError, match=f"could not write the checkpoint .*: {said}.*; the last complete one is none"):
        train_run(run)


def test_damaged_checkpoint_is_named_and_the_one_before_used_only_when_asked(trained: Run) -> None:
    weights = Path(trained.root) / "checkpoints/step-0000008/model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-5] ^= 1
    weights.write_bytes(data)
    with pytest.raises(RunError, match=r"step-0000008/model.safetensors: damaged.*step 6, ask for it with --previous"):
        Transformer.from_run(trained.root)
    assert Transformer.from_run(trained.root, previous=True).config.layers == 2
    (Path(trained.root) / "manifests/train/all.json").unlink()
    with pytest.raises(RunError, match="damaged"):
        train_run(trained)
    assert train_run(trained, previous=True)["steps"] == 8
    assert Transformer.from_run(trained.root).config.layers == 2


def test_weights_of_other_shapes_are_named(trained: Run) -> None:
    step = Path(trained.root) / "checkpoints/step-0000008"
    tensors = load_file(step / "model.safetensors")
    tensors["token_embedding"] = tensors["token_embedding"][:10].contiguous()
    save_file(tensors, step / "model.safetensors", metadata={"format": "pt"})
    model = Transformer.from_run(trained.root, previous=True)
    with pytest.raises(RunError, match=r"token_embedding is \(10, 32\), the recipe's model has \(320, 32\)"):
        load_weights(model, TensorFile(step / "model.safetensors"), "here")


def test_run_without_checkpoint_is_refused(run: Run) -> None:
    with pytest.raises(UserError, match="no complete checkpoint"):
        Transformer.from_run(run.root)


def test_step_that_is_not_finite_is_skipped_and_too_many_stop(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from model.training.guards import Guard

    refuse = Guard.refuse
    monkeypatch.setattr(Guard, "refuse", lambda self, loss, norm: refuse(self, float("nan"), norm))
    with pytest.raises(
        RunError, match=r"3 steps skipped, more than train.max_skipped_steps = 2.*Documents in the batch"
    ):
        train_run(changed(run, "train.max_skipped_steps=2"))


def test_skipped_step_changes_no_weight(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from model.training.guards import Guard

    refuse = Guard.refuse
    monkeypatch.setattr(Guard, "refuse", lambda self, loss, norm: refuse(self, float("inf"), norm))
    result = train_run(changed(run, "train.max_skipped_steps=20"))
    assert result["skipped_steps"] == 8
    start = Transformer(Transformer.from_run(run.root).config, seed=run.recipe.train.seed)
    for name, value in Transformer.from_run(run.root).state_dict().items():
        assert torch.equal(value, start.state_dict()[name])


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"context": "a", "choices": ["b"], "answer": 0}',
        '{"choices": ["a", "b"], "answer": 2}',
        '{"choices": "ab", "answer": 0}',
        '{"choices": ["a", ""], "answer": 0}',
        '{"choices": ["a", null], "answer": 0}',
        '{"context": null, "choices": ["a", "b"], "answer": 0}',
        '{"context": "\\ud800", "choices": ["a", "b"], "answer": 0}',
    ],
)
def test_question_of_another_form_is_named_by_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('{"context": "a", "choices": ["b", "c"], "answer": 0}\n' + line + "\n")
    with pytest.raises(UserError, match=r"questions\.jsonl:2"):
        read_choices(path)


def test_questions_are_utf8_and_a_line_separator_ends_no_line(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('{"context": "a\u2028b", "choices": ["b", "c"], "answer": 0}\n', encoding="utf-8")
    assert len(read_choices(path)) == 1
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"questions\.jsonl: cannot be read"):
        read_choices(path)


@pytest.mark.parametrize("text", ["x", "[]", "{}", '{"model_type": "gpt2"}', '{"model_type": "llama"}'])
def test_init_whose_config_is_damaged_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json: .*(expected|missing)"):
        read_config(tmp_path)


@pytest.mark.parametrize("restart", [False, True])
def test_refused_recipe_costs_a_finished_training_no_checkpoint(trained: Run, tmp_path: Path, restart: bool) -> None:
    (tmp_path / "hf").mkdir()
    before = checkpoint.complete_steps(trained.root)
    model, tokenizer = Transformer.from_run(trained.root), Path(trained.root) / "tokenizer/tokenizer.json"
    export_folder(model, tokenizer, Delimiters(0), tmp_path / "hf")
    (tmp_path / "hf" / "model.safetensors").write_bytes(b"damaged")
    damaged = f"model.init={tmp_path / 'hf'}"
    for override, message in (("train.global_batch_tokens=17", "not a multiple"), (damaged, "safetensors are damaged")):
        with pytest.raises(UserError, match=message if restart else "the recipe now asks for"):
            train_run(changed(trained, override), restart=restart)
        assert checkpoint.complete_steps(trained.root) == before


def test_multiple_choice_prefers_what_the_model_was_trained_on(tmp_path: Path) -> None:
    run = make_run(tmp_path, overrides=("train.steps=60", "train.learning_rate=0.01", "train.log_every_steps=20"))
    train_run(run)
    tokenizer = Tokenizer.open(Path(run.root) / "tokenizer/tokenizer.json")
    scorer = Scorer(Transformer.from_run(run.root), tokenizer, 0)
    questions = [{"context": "Ada wrote to", "choices": [" Grace.", " zzqqxjv"], "answer": 0}]
    found = score_choices(scorer, questions * 3)
    assert found["accuracy"]["share"] == 1.0
    assert found["chance"] == 0.5
    alone = scorer.log_likelihoods([("Ada wrote to", " Grace."), ("", "Ada")])
    assert np.isfinite(alone).all()


def test_share_has_the_wilson_interval() -> None:
    found = share(8, 10)
    assert found["share"] == 0.8
    assert found["low"] == pytest.approx(0.4902, abs=1e-4)
    assert found["high"] == pytest.approx(0.9433, abs=1e-4)
