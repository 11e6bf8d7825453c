"""A checkpoint <-> a Hugging Face folder: config, safetensors, tokenizer files, generation config.

The names on the right of ``_GPT2`` and ``_ROTARY`` are transformers'; several of them make one of ours, one above the
other.  GPT-2's matrices are stored transposed there (its Conv1D), and rows that only pad the vocabulary stay here.
"""

import json
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.export.card import card
from model.export.hf_config import read_config, to_hf
from model.network.config import ModelConfig
from model.network.transformer import Transformer, load_model
from pipeline.base import storage
from pipeline.base.errors import FormatError, UserError
from pipeline.order.trained import tokenizer_of
from pipeline.run.checkpoints import chosen
from pipeline.run.folder import Run

Dtype = Literal["float32", "bfloat16", "float16"]
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
    "attention.output.weight": ["self_attn.o_proj.weight"],
    "attention.query_norm.weight": ["self_attn.q_norm.weight"],
    "attention.key_norm.weight": ["self_attn.k_norm.weight"],
    "feed_forward_norm.weight": ["post_attention_layernorm.weight"],
    "feed_forward.gate_up.weight": ["mlp.gate_proj.weight", "mlp.up_proj.weight"],
    "feed_forward.down.weight": ["mlp.down_proj.weight"],
}


def hf_names(config: ModelConfig) -> dict[str, list[str]]:
    """Each parameter's name -> transformers' names of the tensors that make it, top to bottom."""
    gpt2 = config.architecture == "gpt2"
    names = {"token_embedding": ["transformer.wte.weight" if gpt2 else "model.embed_tokens.weight"]}
    if gpt2:
        names["position_embedding"] = ["transformer.wpe.weight"]
    for layer in range(config.layers):
        prefix = f"transformer.h.{layer}" if gpt2 else f"model.layers.{layer}"
        for ours, theirs in (_GPT2 if gpt2 else _ROTARY).items():
            if config.qk_norm or not ours.endswith(("query_norm.weight", "key_norm.weight")):
                names[f"blocks.{layer}.{ours}"] = [f"{prefix}.{name}" for name in theirs]
    names["final_norm.weight"] = ["transformer.ln_f.weight" if gpt2 else "model.norm.weight"]
    if gpt2:
        names["final_norm.bias"] = ["transformer.ln_f.bias"]
    if not config.tied_embeddings:
        names["head"] = ["lm_head.weight"]
    return names


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
        UserError: If a tensor is missing or of another shape.
    """
    model = Transformer(config)
    state = model.state_dict()
    with torch.no_grad():
        for name, theirs in hf_names(config).items():
            missing = [part for part in theirs if part not in tensors]
            if missing:
                raise UserError(f"{where}: no tensor {missing[0]}, which config.json asks for")
            value = torch.cat([tensors[part].float() for part in theirs])
            value = value.T if _is_conv1d(config, name) else value
            target = state[name][: config.vocabulary_size] if name in ("token_embedding", "head") else state[name]
            if target.shape != value.shape:
                expected, found = tuple(target.shape), tuple(value.shape)
                raise UserError(f"{where}: {' + '.join(theirs)} is {found}, config.json asks for {expected}")
            target.copy_(value)
    return model


def load_folder(folder: str | Path, context_length: int | None = None) -> Transformer:
    """The model in a Hugging Face folder of the GPT-2, Llama or Qwen3 class.

    Args:
        folder: With config.json and *.safetensors.
        context_length: A shorter context than the model's own; gpt2 keeps its own, which its positions fix.

    Raises:
        UserError: If it cannot be read, saying why.
    """
    folder = Path(folder)
    config = read_config(folder, context_length)
    names = storage.list_files(str(folder), ".safetensors")
    files = [folder / name for name in names if "/" not in name and not name.startswith(".")]
    if not files:
        raise UserError(f"{folder}: no *.safetensors; other formats are not read, since they can run code")
    try:
        tensors = {name: value for file in files for name, value in load_file(file).items()}
    except SafetensorError as error:
        raise UserError(f"{folder}: its *.safetensors are damaged ({error}); copy the folder anew") from error
    prefix = "transformer." if config.architecture == "gpt2" else "model."
    if not any(name.startswith(prefix) for name in tensors):  # saved without the head's wrapper
        tensors = {f"{prefix}{name}": value for name, value in tensors.items()}
    return from_hf_tensors(config, tensors, str(folder))


def export_run(
    run: Run, output: Path, *, previous: bool = False, named: str | None = None, dtype: Dtype = "float32"
) -> list[str]:
    """Writes a run's last checkpoint, or the one that is named, as a Hugging Face folder; returns the file names.

    Args:
        run: The run.
        output: The folder.
        previous: Take the checkpoint before the last one.
        named: The checkpoint to take, by step or folder.
        dtype: Of the weights; the run's own are float32.

    Raises:
        UserError: If there is no checkpoint, or ``output`` is a file.
        RunError: If its tokenizer is gone.
    """
    step = chosen(run.root, named, previous=previous)
    model, tokenizer = load_model(run.root, step), tokenizer_of(run, step)
    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: is a file; name a folder")
    output.mkdir(parents=True, exist_ok=True)
    files = export_folder(model, tokenizer, output, dtype)
    (output / "README.md").write_text(card(run, model.config, step), encoding="utf-8")
    return sorted([*files, "README.md"])


def export_folder(model: Transformer, tokenizer: Path, output: Path, dtype: Dtype = "float32") -> list[str]:
    """Writes a model and its tokenizer as a Hugging Face folder."""
    end = end_of_text(tokenizer)
    values = {**to_hf(model.config, end[1]), "dtype": dtype}
    tensors = {name: value.to(getattr(torch, dtype)) for name, value in to_hf_tensors(model).items()}
    save_file(tensors, output / "model.safetensors", metadata={"format": "pt"})
    shutil.copyfile(tokenizer, output / "tokenizer.json")
    documents = {
        "config.json": values,
        "generation_config.json": {"bos_token_id": end[1], "eos_token_id": end[1], "do_sample": True, "top_k": 50},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": model.config.context_length,
            "bos_token": end[0],
            "eos_token": end[0],
            "unk_token": end[0],
            "clean_up_tokenization_spaces": False,
        },
        "special_tokens_map.json": {"bos_token": end[0], "eos_token": end[0], "unk_token": end[0]},
    }
    for name, value in documents.items():
        (output / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    # safetensors makes a file for its owner alone; a server that runs as another user reads it like the rest
    (output / "model.safetensors").chmod(stat.S_IMODE((output / "config.json").stat().st_mode))
    return sorted([*documents, "model.safetensors", "tokenizer.json"])


def end_of_text(tokenizer: Path) -> tuple[str, int]:
    """Text and id of the end-of-text token of a tokenizer.json: its own name, else its first special token.

    Raises:
        UserError: If it has no special token.
        FormatError: If it is missing or damaged.
    """
    try:
        special = [t for t in json.loads(storage.read_bytes(str(tokenizer)))["added_tokens"] if t["special"]]
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise FormatError(
            f"{tokenizer}: expected a tokenizer.json, found {error!r}; `tokenmill verify RUN` names what to rebuild"
        ) from error
    named = [token for token in special if token["content"] in ("<|endoftext|>", "<|end_of_text|>", "</s>")]
    if not special:
        raise UserError(f"{tokenizer}: no special token that could end a text")
    chosen = (named or special)[0]
    return str(chosen["content"]), int(chosen["id"])
