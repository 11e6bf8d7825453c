"""Logits and gradients equal transformers' own classes; exports load there and give the same text."""

from pathlib import Path
from typing import Any

import pytest
import torch

from model.evaluation.generate import generate
from model.export.folder import export_folder, from_hf_tensors, load_folder, to_hf_tensors
from model.export.hf_config import to_hf
from model.network.config import ModelConfig
from model.network.transformer import Transformer
from tests.model.runs import make_run

transformers = pytest.importorskip("transformers")

SMALL = {"layers": 2, "heads": 4, "width": 64}
ROTARY = {**SMALL, "norm_epsilon": 1e-6}
CONFIGS = {
    "gpt2": ModelConfig("gpt2", 301, 48, **SMALL),
    "gpt2-untied": ModelConfig("gpt2", 301, 48, tied_embeddings=False, **SMALL),
    "qwen3": ModelConfig(
        "qwen3", 301, 48, layers=3, heads=4, width=64, key_value_heads=2, head_width=24, norm_epsilon=1e-6
    ),
    "qwen3-untied": ModelConfig(
        "qwen3", 301, 48, layers=2, heads=4, width=64, tied_embeddings=False, norm_epsilon=1e-6
    ),
    "llama": ModelConfig(
        "qwen3", 301, 48, layers=2, heads=4, width=64, key_value_heads=1, qk_norm=False, rotary_base=5e5
    ),
}


def random_model(config: ModelConfig) -> Transformer:
    """Every parameter away from its special initial value."""
    model = Transformer(config)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            spread = torch.empty(parameter.shape).normal_(0.0, 0.05, generator=generator)
            parameter.copy_(spread + (1.0 if "norm" in name and name.endswith("weight") else 0.0))
    return model


def reference(model: Transformer) -> Any:
    values = to_hf(model.config, 0)
    kind = values.pop("model_type")
    config = transformers.AutoConfig.for_model(kind, **values)
    config._attn_implementation = "eager"
    theirs = transformers.AutoModelForCausalLM.from_config(config)
    result = theirs.load_state_dict(to_hf_tensors(model), strict=False)
    assert not result.unexpected_keys
    assert set(result.missing_keys) <= {"lm_head.weight"}
    theirs.tie_weights()
    return theirs.eval()


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_and_gradients_equal_transformers(name: str) -> None:
    model = random_model(CONFIGS[name])
    theirs = reference(model)
    inputs, targets = torch.randint(0, 301, (2, 3, 48), generator=torch.Generator().manual_seed(1))
    expected = theirs(inputs).logits
    found = model(inputs)
    assert found.shape == expected.shape
    assert float((found - expected).detach().norm() / expected.detach().norm()) <= 1e-5
    loss = model.loss(inputs, targets).total / targets.numel()
    their_loss = torch.nn.functional.cross_entropy(expected.flatten(0, 1), targets.flatten())
    assert abs(loss.item() - their_loss.item()) <= 1e-5
    loss.backward()
    their_loss.backward()
    compare_gradients(model, theirs)


def compare_gradients(model: Transformer, theirs: Any) -> None:
    ours = Transformer(model.config)
    ours.load_state_dict({name: parameter.grad for name, parameter in model.named_parameters()})
    gradients = dict(theirs.named_parameters())
    compared = 0
    for name, value in to_hf_tensors(ours).items():
        expected = gradients[name].grad
        assert float((value - expected).norm() / expected.norm()) <= 1e-5, name
        compared += 1
    assert compared >= len(gradients) - 1


@pytest.mark.parametrize("name", CONFIGS)
def test_import_of_export_gives_the_same_weights(name: str) -> None:
    model = random_model(CONFIGS[name])
    again = from_hf_tensors(model.config, to_hf_tensors(model), "here")
    for key, value in model.state_dict().items():
        rows = slice(0, model.config.vocabulary_size if key in ("token_embedding", "head") else None)
        assert torch.equal(value[rows], again.state_dict()[key][rows]), key


@pytest.mark.parametrize("name", ["gpt2", "qwen3", "llama"])
def test_exported_folder_loads_in_transformers_with_equal_logits_and_greedy_text(name: str, tmp_path: Path) -> None:
    tokenizer = Path(make_run(tmp_path).root) / "tokenizer" / "tokenizer.json"
    model = random_model(CONFIGS[name]).eval()
    output = tmp_path / "exported"
    output.mkdir()
    export_folder(model, tokenizer, output)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(output, attn_implementation="eager")
    encode = transformers.AutoTokenizer.from_pretrained(output)
    ids = encode("Ada wrote to Grace.")["input_ids"]
    with torch.no_grad():
        expected = theirs(torch.tensor([ids])).logits
        assert float((model(torch.tensor([ids])) - expected).norm() / expected.norm()) <= 1e-5
    options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, "pad_token_id": 0, "top_k": None}
    greedy = theirs.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), **options)
    assert greedy[0, len(ids) :].tolist() == list(generate(model, ids, max_new_tokens=12))
    assert load_folder(output).config == model.config
