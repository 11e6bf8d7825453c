"""Logits and gradients equal transformers' own classes; exports load there and give the same text."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from model.evaluation.generate import generate
from model.export.folder import export_folder, load_folder
from model.export.hf_config import to_hf
from model.export.side_files import Delimiters
from model.export.tensors import from_hf_tensors, to_hf_tensors
from model.network.config import ModelConfig
from model.network.transformer import Transformer
from model.plan.flops import parameter_counts
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
    "qwen2": ModelConfig("qwen3", 301, 48, key_value_heads=2, qk_norm=False, attention_bias=True, **ROTARY),
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
    export_folder(model, tokenizer, Delimiters(0), output)
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


SCALED = {
    "linear": {"rope_type": "linear", "factor": 3.0},
    "dynamic": {"rope_type": "dynamic", "factor": 4.0},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    },
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 12},
    "yarn, every key": {
        **{"rope_type": "yarn", "factor": 2.5, "original_max_position_embeddings": 24, "beta_fast": 16, "beta_slow": 2},
        **{"mscale": 0.9, "mscale_all_dim": 0.7},
    },
    "yarn, attention factor": {
        **{"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 12},
        **{"attention_factor": 1.3, "truncate": False},
    },
}
FOREIGN = {
    "llama": transformers.LlamaConfig,
    "mistral": transformers.MistralConfig,
    "qwen2": transformers.Qwen2Config,
    "qwen3": transformers.Qwen3Config,
    "olmo2": transformers.Olmo2Config,
    "gpt_neox": transformers.GPTNeoXConfig,
    "gpt_neox, in turn": transformers.GPTNeoXConfig,
}
MORE = {
    "mistral": {"sliding_window": 64},
    "qwen3": {"head_dim": 12},
    "gpt_neox": {"rope_parameters": {"rope_type": "default", "rope_theta": 900.0, "partial_rotary_factor": 0.5}},
    "gpt_neox, in turn": {"use_parallel_residual": False},
}


def foreign(kind: str, folder: Path, **values: Any) -> Any:
    """A tiny model of transformers' own, its weights away from their initial values, saved as a folder."""
    made = {"vocab_size": 211, "hidden_size": 32, "intermediate_size": 80, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "max_position_embeddings": 48}
    heads |= {} if kind.startswith("gpt_neox") else {"num_key_value_heads": 2}
    config = FOREIGN[kind](**{**made, **heads, **values})
    config._attn_implementation = "eager"
    torch.manual_seed(4)
    theirs = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    theirs.save_pretrained(folder)
    return theirs


def same_logits(theirs: Any, folder: Path, length: int = 48) -> None:
    inputs = torch.randint(0, 211, (2, length), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected, found = theirs(inputs).logits, load_folder(folder).eval()(inputs)
    assert float((found - expected).norm() / expected.norm()) <= 1e-5


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", FOREIGN)
def test_folder_of_another_program_has_its_logits(kind: str, tied: bool, tmp_path: Path) -> None:
    theirs = foreign(kind, tmp_path, tie_word_embeddings=tied, **MORE.get(kind, {}))
    same_logits(theirs, tmp_path)
    model = load_folder(tmp_path)
    assert sum(parameter_counts(model.config).values()) == sum(p.numel() for p in theirs.parameters())
    (tmp_path / "again").mkdir()
    save_file(to_hf_tensors(model), tmp_path / "again/model.safetensors", metadata={"format": "pt"})
    (tmp_path / "again/config.json").write_text(json.dumps(to_hf(model.config, 0)))
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "again", attn_implementation="eager")
    same_logits(again, tmp_path)


@pytest.mark.parametrize("old_key", [False, True])
@pytest.mark.parametrize("name", SCALED)
def test_scaled_rotary_positions_have_its_logits(name: str, old_key: bool, tmp_path: Path) -> None:
    theirs = foreign("llama", tmp_path, rope_parameters={**SCALED[name], "rope_theta": 5_000.0})
    if old_key:
        path = tmp_path / "config.json"
        values = json.loads(path.read_text())
        values["rope_theta"] = values["rope_parameters"].pop("rope_theta")
        values["rope_scaling"] = values.pop("rope_parameters")
        values["rope_scaling"]["type"] = values["rope_scaling"].pop("rope_type")
        path.write_text(json.dumps(values))
    same_logits(theirs, tmp_path)
    model = load_folder(tmp_path)
    again = transformers.AutoConfig.for_model(**to_hf(model.config, 0))
    assert again.rope_parameters["rope_type"] == SCALED[name]["rope_type"]
