"""A model's weights under transformers' names, and back.

The names on the right of ``_GPT2``, ``_ROTARY``, ``_OLMO2``, ``_NEOX`` are transformers'; several of them make one of
ours, one above the other.  GPT-2's matrices are stored transposed there (its Conv1D), and rows that only pad the
vocabulary stay here.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from model.network.config import ModelConfig
from model.network.transformer import Transformer
from pipeline.base.errors import UserError

_NUMBERS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
# tensors that hold no weight: masks and frequencies that earlier releases of transformers saved
_BUFFERS = re.compile(r"\.attn\.(masked_)?bias$|\.attention\.(masked_)?bias$|\.rotary_emb\.inv_freq$")
_GPT2 = {
    "attention_norm.weight": ["ln_1.weight"],
    "attention_norm.bias": ["ln_1.bias"],
    "attention.query_key_value.weight": ["attn.c_attn.weight"],
    "attention.query_key_value.bias": ["attn.c_attn.bias"],
    "attention.output.weight": ["attn.c_proj.weight"],
    "attention.output.bias": ["attn.c_proj.bias"],
    "feed_forward_norm.weight": ["ln_2.weight"],
    "feed_forward_norm.bias": ["ln_2.bias"],
    "feed_forward.up.weight": ["mlp.c_fc.weight"],
    "feed_forward.up.bias": ["mlp.c_fc.bias"],
    "feed_forward.down.weight": ["mlp.c_proj.weight"],
    "feed_forward.down.bias": ["mlp.c_proj.bias"],
}
_ROTARY = {
    "attention_norm.weight": ["input_layernorm.weight"],
    "attention.query_key_value.weight": [f"self_attn.{part}_proj.weight" for part in "qkv"],
    "attention.query_key_value.bias": [f"self_attn.{part}_proj.bias" for part in "qkv"],
    "attention.output.weight": ["self_attn.o_proj.weight"],
    "attention.query_norm.weight": ["self_attn.q_norm.weight"],
    "attention.key_norm.weight": ["self_attn.k_norm.weight"],
    "feed_forward_norm.weight": ["post_attention_layernorm.weight"],
    "feed_forward.gate_up.weight": ["mlp.gate_proj.weight", "mlp.up_proj.weight"],
    "feed_forward.down.weight": ["mlp.down_proj.weight"],
}


_OLMO2 = {
    **{ours: theirs for ours, theirs in _ROTARY.items() if ours != "attention_norm.weight"},
    "attention_norm.weight": ["post_attention_layernorm.weight"],
    "feed_forward_norm.weight": ["post_feedforward_layernorm.weight"],
}
_NEOX = {
    f"{ours}.{kind}": [f"{theirs}.{kind}"]
    for kind in ("weight", "bias")
    for ours, theirs in (
        ("attention_norm", "input_layernorm"),
        ("attention.query_key_value", "attention.query_key_value"),
        ("attention.output", "attention.dense"),
        ("feed_forward_norm", "post_attention_layernorm"),
        ("feed_forward.up", "mlp.dense_h_to_4h"),
        ("feed_forward.down", "mlp.dense_4h_to_h"),
    )
}


class _Layout(NamedTuple):
    """Where transformers' class keeps its parts: tensors of a block, and the names around the blocks."""

    block: dict[str, list[str]]
    embedding: str
    layers: str
    final_norm: str
    head: str = "lm_head.weight"


_LAYOUTS = {
    "gpt2": _Layout(_GPT2, "transformer.wte.weight", "transformer.h", "transformer.ln_f"),
    "qwen3": _Layout(_ROTARY, "model.embed_tokens.weight", "model.layers", "model.norm"),
    "olmo2": _Layout(_OLMO2, "model.embed_tokens.weight", "model.layers", "model.norm"),
    "neox": _Layout(
        _NEOX, "gpt_neox.embed_in.weight", "gpt_neox.layers", "gpt_neox.final_layer_norm", "embed_out.weight"
    ),
}


def prefix_of(config: ModelConfig) -> str:
    """What the names of all tensors but the head begin with, where the folder has the head's wrapper."""
    return _LAYOUTS[config.architecture].embedding.split(".")[0] + "."


def hf_names(config: ModelConfig) -> dict[str, list[str]]:
    """Each parameter's name -> transformers' names of the tensors that make it, top to bottom."""
    layout, absent = _LAYOUTS[config.architecture], _absent(config)
    names = {"token_embedding": [layout.embedding]}
    if config.architecture == "gpt2":
        names["position_embedding"] = ["transformer.wpe.weight"]
    for layer in range(config.layers):
        for ours, theirs in layout.block.items():
            if not ours.endswith(absent):
                names[f"blocks.{layer}.{ours}"] = [f"{layout.layers}.{layer}.{name}" for name in theirs]
    for kind in ("weight", "bias") if config.layer_norm else ("weight",):
        names[f"final_norm.{kind}"] = [f"{layout.final_norm}.{kind}"]
    if not config.tied_embeddings:
        names["head"] = [layout.head]
    return names


def _absent(config: ModelConfig) -> tuple[str, ...]:
    """Ends of the names that this model does not have, and one that no name has."""
    normed = config.architecture == "olmo2" or config.qk_norm
    norms = () if normed else ("query_norm.weight", "key_norm.weight")
    biases = () if config.layer_norm or config.attention_bias else ("query_key_value.bias",)
    return (*norms, *biases, "\0")


def _interleaved(config: ModelConfig, name: str) -> bool:
    """Whether a tensor holds queries, keys and values head by head, where ours has all queries first."""
    return config.architecture == "neox" and "query_key_value" in name


def _swapped(value: Tensor, outer: int, inner: int, size: int) -> Tensor:
    """Rows in ``outer`` groups of ``inner`` parts of ``size`` rows -> in ``inner`` groups of ``outer`` parts."""
    return value.reshape(outer, inner, size, *value.shape[1:]).transpose(0, 1).reshape(value.shape)


def to_hf_tensors(model: Transformer) -> dict[str, Tensor]:
    """The weights under transformers' names and in its layout."""
    config, ours = model.config, model.state_dict()
    found: dict[str, Tensor] = {}
    for name, theirs in hf_names(config).items():
        value = ours[name]
        if name in ("token_embedding", "head"):
            value = value[: config.vocabulary_size]
        if _is_conv1d(config, name):
            value = value.T
        if _interleaved(config, name):
            value = _swapped(value, 3, config.heads, config.head_width)
        parts = value.split(config.stacked_rows(name)) if len(theirs) > 1 else (value,)
        found |= zip(theirs, (part.contiguous().clone() for part in parts), strict=True)
    return found


def _is_conv1d(config: ModelConfig, name: str) -> bool:
    return (
        config.architecture == "gpt2" and name.startswith("blocks.") and name.endswith(".weight") and "norm" not in name
    )


def from_hf_tensors(config: ModelConfig, tensors: Mapping[str, Tensor], where: str) -> Transformer:
    """A model with the weights of transformers' tensors.

    Raises:
        UserError: If a tensor is missing, left over, of another shape, or holds codes instead of numbers.
    """
    names = hf_names(config)
    _check(config, {part for theirs in names.values() for part in theirs}, tensors, where)
    model = Transformer(config)
    state = model.state_dict()
    with torch.no_grad():
        for name, theirs in names.items():
            value = torch.cat([tensors[part].float() for part in theirs])
            if not bool(value.isfinite().all()):
                raise UserError(f"{where}: {' + '.join(theirs)} holds values that are not finite; copy the folder anew")
            value = value.T if _is_conv1d(config, name) else value
            if _interleaved(config, name) and len(value) == 3 * config.attention_width:
                value = _swapped(value, config.heads, 3, config.head_width)
            target = state[name][: config.vocabulary_size] if name in ("token_embedding", "head") else state[name]
            if target.shape != value.shape:
                expected, found = tuple(target.shape), tuple(value.shape)
                raise UserError(f"{where}: {' + '.join(theirs)} is {found}, config.json asks for {expected}")
            target.copy_(value)
    return model


def _check(config: ModelConfig, wanted: set[str], tensors: Mapping[str, Tensor], where: str) -> None:
    """Refuses weights that ``config.json`` does not describe; nothing of a folder is passed over."""
    if missing := sorted(wanted - tensors.keys()):
        raise UserError(f"{where}: no tensor {missing[0]}, which config.json asks for")
    for name in sorted(wanted):
        if tensors[name].dtype not in _NUMBERS:
            kind = str(tensors[name].dtype).removeprefix("torch.")
            raise UserError(
                f"{where}: {name} is {kind}, a quantised code; expected float32, bfloat16 or float16: take the folder "
                "that was quantised"
            )
    over = sorted(name for name in tensors.keys() - wanted if not _BUFFERS.search(name))
    head, embedding = _LAYOUTS[config.architecture].head, hf_names(config)["token_embedding"][0]
    if head in over and torch.equal(tensors[head], tensors[embedding]):  # a copy that some programs save
        over.remove(head)
    if over:
        tied = " beside tie_word_embeddings, and is another matrix than the embedding" if over[0] == head else ""
        raise UserError(
            f"{where}: holds {over[0]}{tied}, which is no part of the model that config.json describes"
            + (f" ({len(over)} such tensors)" if len(over) > 1 else "")
        )
