"""Minimal pairs and the prefix tree that scores texts with a common beginning."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer as Tokenizers

from model.evaluation import prefix_tree, scoring
from model.evaluation.generate import Sampling, generate, next_token
from model.evaluation.prefix_tree import Text, log_likelihoods
from model.evaluation.scoring import (
    Scorer,
    evaluate_run,
    read_minimal_pairs,
    sample_run,
    score_choices,
    score_minimal_pairs,
    start_of,
)
from model.export.folder import export_run
from model.network.config import ModelConfig
from model.network.transformer import Transformer
from model.training.start import train_run
from pipeline.base.errors import FormatError, RunError, UserError
from pipeline.run.tokenizer import Tokenizer, special_tokens
from tests.model.runs import make_run

CONFIGS = {
    "gpt2": ModelConfig("gpt2", 90, 24, layers=2, heads=2, width=32),
    "qwen3": ModelConfig("qwen3", 90, 24, layers=2, heads=4, width=32, key_value_heads=2),
}


def random_texts() -> list[Text]:
    """Texts of many lengths with many shared beginnings, one the beginning of another, two equal, one unscored."""
    generator = torch.Generator().manual_seed(5)
    texts = []
    for number in range(60):
        length = int(torch.randint(2, 25, (1,), generator=generator))
        tokens = torch.randint(0, 3, (length,), generator=generator).tolist()
        texts.append(Text([number % 2, *tokens], 1 + number % length))
    return [*texts, Text([1, 5, 6], 2), Text([1, 5, 6, 7], 1), Text([1, 5, 6], 2), Text([1, 5, 6], 0)]


@pytest.mark.parametrize("row_nodes", [8, 256])
@pytest.mark.parametrize("name", CONFIGS)
def test_tree_gives_each_text_the_likelihood_it_has_alone(
    name: str, row_nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefix_tree, "ROW_NODES", row_nodes)
    monkeypatch.setattr(prefix_tree, "BATCH_TOKENS", 100)
    model, texts = Transformer(CONFIGS[name]).eval(), random_texts()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)) * 0.1)
    found = log_likelihoods(model, texts)
    for text, value in zip(texts, found, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([text.tokens[:-1]]))[0].log_softmax(-1)
        each = logits[torch.arange(len(text.tokens) - 1), text.tokens[1:]]
        expected = float(each[len(each) - text.scored :].sum())
        assert value == pytest.approx(expected, abs=1e-4)
    assert len({round(value, 3) for value in found}) > 40


def test_tree_reads_a_common_beginning_once() -> None:
    (row,) = prefix_tree._rows([Text([1, 2, 3, 4, 9], 1), Text([1, 2, 3, 5, 9], 1)], 24)
    assert sorted(row.tokens) == [1, 2, 3, 4, 5]


def write_zip(path: Path, sets: dict[str, list[tuple[str, str]]]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__MACOSX/data/._one.jsonl", b"\x00\xff")
        for name, pairs in sets.items():
            lines = [json.dumps({"sentence_good": good, "sentence_bad": bad}) for good, bad in pairs]
            archive.writestr(f"data/{name}.jsonl", "\n".join(lines) + "\n")
    return path


def test_minimal_pairs_are_scored_by_set_with_intervals(tmp_path: Path) -> None:
    run = make_run(tmp_path, overrides=("train.steps=60", "train.learning_rate=0.01", "train.log_every_steps=20"))
    train_run(run)
    names = ["Ada", "Grace", "Alan", "Emmy"]
    learned = [(f"{name} wrote to Carl.", f"{name} to wrote Carl.") for name in names]
    path = write_zip(tmp_path / "pairs.zip", {"order": learned, "same": [("Ada", "Ada")]})
    found = evaluate_run(run, pairs=str(path))["pairs"]
    assert found["pairs"] == 5
    assert found["by_set"]["order"]["share"] == 1.0
    assert found["by_set"]["same"]["share"] == 0.0  # neither is likelier
    assert found["accuracy"]["low"] < found["accuracy"]["share"] == 0.8 < found["accuracy"]["high"]
    tokenizer = Tokenizer.open(Path(run.root) / "tokenizer/tokenizer.json")
    scorer = Scorer(Transformer.from_run(run.root), tokenizer, 0)
    good, bad = scorer.log_likelihoods([("", text) for text in learned[0]])
    assert scorer.preferences(learned[:1]) == pytest.approx([good - bad], abs=1e-3)
    assert score_minimal_pairs(scorer, path, pairs_per_set=1)["pairs"] == 2


@pytest.mark.parametrize(
    "line",
    [
        "{",
        '{"sentence_good": "a"}',
        "[]",
        '{"sentence_good": "a", "sentence_bad": ""}',
        '{"sentence_good": "a", "sentence_bad": null}',
        '{"sentence_good": "a", "sentence_bad": "\\ud800"}',
    ],
)
def test_minimal_pair_of_another_form_is_named_by_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"sentence_good": "a", "sentence_bad": "b"}\n' + line + "\n")
    with pytest.raises(UserError, match=r"pairs\.jsonl:2"):
        read_minimal_pairs(path)


def test_line_separator_within_a_sentence_ends_no_line(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes('{"sentence_good": "a\u2028b", "sentence_bad": "b"}\r\n'.encode())
    assert read_minimal_pairs(path) == {"pairs": [("a\u2028b", "b")]}


def test_tree_takes_texts_of_one_token() -> None:
    (row,) = prefix_tree._rows([Text([1], 0), Text([1], 0), Text([1, 2, 3], 2)], 24)
    assert row.tokens == [1, 2]


@pytest.mark.parametrize("wrong", [{"temperature": float("nan")}, {"seed": 2**63}, {"top_p": float("nan")}])
def test_sampling_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="expected"):
        Sampling(**wrong)


def test_text_that_no_tokenizer_takes_and_negative_lengths_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, overrides=("train.steps=1",))
    train_run(run)
    with pytest.raises(UserError, match="not UTF-8"):
        sample_run(run, "\udcff", 5, Sampling())
    with pytest.raises(UserError, match="tokens = -1"):
        sample_run(run, "Ada", -1, Sampling())
    for damage in ("{", "{}", None):
        path = Path(run.root, "tokenizer", "tokenizer.json")
        path.unlink() if damage is None else path.write_text(damage, encoding="utf-8")
        with pytest.raises(FormatError, match=r"tokenizer\.json: expected"):
            special_tokens(path)
        sample_run(run, "Ada", 5, Sampling())  # the checkpoint has a copy of its own


def test_archive_without_pairs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="sentence_good"):
        read_minimal_pairs(write_zip(tmp_path / "empty.zip", {}))
    with pytest.raises(UserError, match="no such file"):
        read_minimal_pairs(tmp_path / "none.zip")


def scorer_of(start: int | None, tokenizer: Any) -> Scorer:
    model = Transformer(ModelConfig("gpt2", 400, 64, layers=1, heads=2, width=32))
    return Scorer(model, Tokenizer(tokenizer.to_str()), start)


def prepending_tokenizer() -> Any:
    """Like Llama 2's: what begins a text has a mark that nothing in the middle has."""
    from tokenizers import Tokenizer as Theirs
    from tokenizers import decoders, models, normalizers, trainers

    tokenizer = Theirs(models.BPE(unk_token="<unk>", byte_fallback=True))
    mark = "\N{LOWER ONE EIGHTH BLOCK}"
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(mark), normalizers.Replace(" ", mark)])
    tokenizer.decoder = decoders.Sequence([decoders.Replace(mark, " "), decoders.Fuse()])
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(["the mill by the bridge", "a bridge by the mill"] * 9, trainer)
    return tokenizer


@pytest.mark.parametrize("start", [None, 2])
def test_choice_is_encoded_as_it_stands_after_its_context(start: int | None) -> None:
    tokenizer = prepending_tokenizer()
    scorer = scorer_of(start, tokenizer)
    whole = tokenizer.encode("the mill bridge", add_special_tokens=False).ids
    found = scorer._text("the mill", " bridge")
    assert found.tokens == [*([] if start is None else [start]), *whole]
    context = tokenizer.encode("the mill", add_special_tokens=False).ids
    assert found.tokens[len(found.tokens) - found.scored :] == whole[len(context) :]


def test_without_a_token_before_a_text_its_first_token_is_not_scored() -> None:
    scorer = scorer_of(None, prepending_tokenizer())
    tokens = scorer.tokenizer.ids("the mill")
    assert scorer._text("", "the mill") == Text(tokens, len(tokens) - 1)
    assert scorer_of(2, prepending_tokenizer())._text("", "the mill") == Text([2, *tokens], len(tokens))


def test_equally_likely_choices_share_the_point() -> None:
    scorer = scorer_of(2, prepending_tokenizer())
    scorer.log_likelihoods = lambda pairs: [-1.0 for _ in pairs]  # type: ignore[method-assign]
    questions = [{"context": "the", "choices": [" mill", " bridge"], "answer": answer} for answer in (0, 0, 1)]
    assert score_choices(scorer, questions)["accuracy"]["share"] == 0.5


def test_model_of_masked_documents_needs_a_prompt(tmp_path: Path) -> None:
    run = make_run(tmp_path, overrides=("train.steps=1", "train.mask_documents=true"))
    train_run(run)
    with pytest.raises(UserError, match="the prompt is empty"):
        sample_run(run, "", 3, Sampling())
    assert sample_run(run, "Ada", 3, Sampling(temperature=0.0))


@pytest.mark.parametrize("temperature", [1e-3, 1e-30, 1e-38, 1e-45, 5e-324])
def test_smallest_temperature_is_greedy(temperature: float) -> None:
    logits = torch.tensor([1.0, 3.0, 2.0, -50.0])
    generator = torch.Generator().manual_seed(1)
    assert next_token(logits, Sampling(temperature=temperature), generator) == 1


def test_weights_that_give_nothing_finite_draw_no_text() -> None:
    with pytest.raises(RunError, match="not finite"):
        next_token(torch.tensor([1.0, float("nan")]), Sampling(), torch.Generator())


@pytest.mark.parametrize("mask", ["true", "false"])
def test_texts_begin_as_documents_did_in_training(mask: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path, overrides=("train.steps=2", f"train.mask_documents={mask}"), begin=1)
    train_run(run)
    assert start_of(run, 2) == 1
    given: list[list[int]] = []

    def remembered(model: Any, prompt: list[int], **options: Any) -> Any:
        given.append(prompt)
        return generate(model, prompt, **options)

    monkeypatch.setattr(scoring, "generate", remembered)
    sample_run(run, "Ada", 3, Sampling(temperature=0.0))
    sample_run(run, "", 3, Sampling(temperature=0.0))
    assert [ids[0] for ids in given] == [1, 1]
    assert (len(given[0]) > 1, len(given[1])) == (True, 1)
    export_run(run, tmp_path / "hf")
    tokenizer = Tokenizers.from_file(str(tmp_path / "hf/tokenizer.json"))
    assert tokenizer.encode("Ada").ids == given[0]
    assert tokenizer.encode("Ada", add_special_tokens=False).ids == given[0][1:]
    assert json.loads((tmp_path / "hf/config.json").read_text())["bos_token_id"] == 1
    names = json.loads((tmp_path / "hf/tokenizer_config.json").read_text())
    assert (names["bos_token"], names["eos_token"]) == ("<|begin|>", "<|endoftext|>")
