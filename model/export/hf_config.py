"""``ModelConfig`` <-> the ``config.json`` of a Hugging Face folder.  No torch.

``gpt2`` is GPT2LMHeadModel; ``qwen3`` is Qwen3ForCausalLM, and with ``qk_norm = false`` LlamaForCausalLM.
"""

import json
from pathlib import Path
from typing import Any

from model.network.config import ModelConfig
from pipeline.base.errors import UserError

ARCHITECTURES = {"gpt2": "GPT2LMHeadModel", "qwen3": "Qwen3ForCausalLM", "llama": "LlamaForCausalLM"}


def to_hf(config: ModelConfig, end_of_text: int) -> dict[str, Any]:
    """The ``config.json`` of a model."""
    kind = "gpt2" if config.architecture == "gpt2" else ("qwen3" if config.qk_norm else "llama")
    common = {
        "architectures": [ARCHITECTURES[kind]],
        "model_type": kind,
        "vocab_size": config.vocabulary_size,
        "tie_word_embeddings": config.tied_embeddings,
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
        "dtype": "float32",
    }
    if kind == "gpt2":
        return common | {
            "n_positions": config.context_length,
            "n_embd": config.width,
            "n_layer": config.layers,
            "n_head": config.heads,
            "n_inner": config.feed_forward_width,
            "activation_function": "gelu_new",
            "layer_norm_epsilon": config.norm_epsilon,
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
        }
    return common | {
        "max_position_embeddings": config.context_length,
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.key_value_heads,
        "head_dim": config.head_width,
        "intermediate_size": config.feed_forward_width,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_epsilon,
        "rope_theta": config.rotary_base,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rotary_base},
        "attention_bias": config.attention_bias,
        "attention_dropout": 0.0,
        **({"mlp_bias": False} if kind == "llama" else {"use_sliding_window": False}),
    }


def read_config(folder: Path, context_length: int | None = None) -> ModelConfig:
    """The shape of the model in a Hugging Face folder.

    Args:
        folder: With a ``config.json``.
        context_length: A shorter context than the model's own; rotary positions only.

    Raises:
        UserError: If the model is of no class that ``ModelConfig`` can express, saying what is in the way.
    """
    path = folder / "config.json"
    try:
        values: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; model.init wants a Hugging Face folder") from error
    except ValueError as error:
        raise UserError(f"{path}: expected the JSON of a Hugging Face model, found damage: {error}") from error
    kind = values.get("model_type") if isinstance(values, dict) else None
    try:
        if kind == "gpt2":
            return _gpt2(values, path)
        if kind in ("llama", "qwen3"):
            return _rotary(values, path, str(kind), context_length)
    except KeyError as error:
        raise UserError(f"{path}: {error} is missing, which every {kind} model has; copy the folder anew") from error
    raise UserError(f"{path}: model_type {kind!r}; expected gpt2, llama or qwen3")


def _refuse(path: Path, values: dict[str, Any], allowed: dict[str, tuple[Any, ...]]) -> None:
    for name, good in allowed.items():
        if values.get(name, good[0]) not in good:
            raise UserError(
                f"{path}: {name} = {values[name]!r} is not supported; expected {' or '.join(map(str, good))}"
            )


def _gpt2(values: dict[str, Any], path: Path) -> ModelConfig:
    gelus = ("gelu_new", "gelu_pytorch_tanh")
    none = {"scale_attn_weights": (True,), "scale_attn_by_inverse_layer_idx": (False,), "add_cross_attention": (False,)}
    _refuse(path, values, {"activation_function": gelus, **none})
    width = values["n_embd"]
    return ModelConfig(
        architecture="gpt2",
        vocabulary_size=values["vocab_size"],
        context_length=values["n_positions"],
        layers=values["n_layer"],
        heads=values["n_head"],
        width=width,
        feed_forward_width=values.get("n_inner") or 4 * width,
        tied_embeddings=values.get("tie_word_embeddings", True),
        norm_epsilon=values.get("layer_norm_epsilon", 1e-5),
    )


def _rotary(values: dict[str, Any], path: Path, kind: str, context_length: int | None) -> ModelConfig:
    rope = values.get("rope_parameters") or {}
    scaling = rope.get("rope_type") or (values.get("rope_scaling") or {}).get("rope_type")
    if scaling not in (None, "default"):
        raise UserError(f"{path}: rotary scaling {scaling!r} is not supported")
    _refuse(
        path,
        values,
        {"hidden_act": ("silu",), "mlp_bias": (False,), "attention_bias": (False,), "use_sliding_window": (False,)},
    )
    own = int(values["max_position_embeddings"])
    if context_length is not None and context_length > own:
        raise UserError(f"model.context_length = {context_length}: {path} was trained with {own}")
    heads = values["num_attention_heads"]
    return ModelConfig(
        architecture="qwen3",
        vocabulary_size=values["vocab_size"],
        context_length=context_length or own,
        layers=values["num_hidden_layers"],
        heads=heads,
        width=values["hidden_size"],
        key_value_heads=values.get("num_key_value_heads") or heads,
        head_width=values.get("head_dim") or values["hidden_size"] // heads,
        feed_forward_width=values["intermediate_size"],
        tied_embeddings=values.get("tie_word_embeddings", False),
        qk_norm=kind == "qwen3",
        rotary_base=float(rope.get("rope_theta") or values.get("rope_theta") or 10_000.0),
        norm_epsilon=values.get("rms_norm_eps", 1e-6),
    )
