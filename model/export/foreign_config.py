"""The ``config.json`` of somebody else's Hugging Face folder -> ``ModelConfig``.  No torch.

Every key is honoured, known to decide nothing here, or refused by its name: a key that is passed over is another model
than the one that was trained.  What a class of transformers takes for a key that is not there stands in ``_KINDS``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from model.checkpoints import elsewhere
from model.network.config import OPTIONAL_OF_SCALING, SCALINGS, ModelConfig, Scaling
from pipeline.base.errors import UserError, parse_json

# of tokens, generation and bookkeeping: no weight and no logit depends on them
_NAMES_OF_NO_WEIGHT = """
_name_or_path _model_name_or_path _attn_implementation attn_implementation _attn_implementation_autoset
architectures model_type
transformers_version transformers.js_config torch_dtype dtype use_cache return_dict return_dict_in_generate
output_attentions output_hidden_states output_scores chunk_size_feed_forward id2label label2id num_labels
problem_type finetuning_task task_specific_params tokenizer_class tokenizer_name prefix is_llama_config
bos_token_id eos_token_id pad_token_id unk_token_id sep_token_id decoder_start_token_id
initializer_range initializer_factor tie_encoder_decoder torchscript use_bfloat16 tf_legacy_loss
resid_pdrop embd_pdrop attn_pdrop attention_dropout hidden_dropout classifier_dropout
summary_type summary_use_proj summary_activation summary_proj_to_labels summary_first_dropout n_ctx
max_length min_length do_sample early_stopping num_beams num_beam_groups diversity_penalty temperature top_k top_p
typical_p repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids
num_return_sequences forced_bos_token_id forced_eos_token_id remove_invalid_values exponential_decay_length_penalty
suppress_tokens begin_suppress_tokens max_window_layers reorder_and_upcast_attn unsloth_version unsloth_fixed
max_new_tokens cross_attention_hidden_size pruned_heads is_decoder
"""
_OF_NO_WEIGHT = frozenset(_NAMES_OF_NO_WEIGHT.split())
_PLAIN_ROPE = ("rope_theta", "rope_type", "type")


@dataclass(frozen=True)
class _Kind:
    """A class of transformers: its keys that are honoured, what it takes for those that are not there, what must be."""

    defaults: Mapping[str, Any]
    required: tuple[str, ...]
    must: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)  # allowed values; the first one is the default


_ROTARY_KEYS = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    "max_position_embeddings",
)
_ROTARY_DEFAULTS = {
    "num_key_value_heads": None,
    "head_dim": None,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "rope_theta": 10_000.0,
    "rope_scaling": None,
    "rope_parameters": None,
    "sliding_window": None,
}
_ROTARY_MUST = {"hidden_act": ("silu",), "rope_interleaved": (False,), "partial_rotary_factor": (1.0,)}
_WINDOWED_MUST = {"use_sliding_window": (False,)}
_KINDS = {
    "llama": _Kind(
        _ROTARY_DEFAULTS,
        _ROTARY_KEYS,
        {**_ROTARY_MUST, "mlp_bias": (False,), "attention_bias": (False,), "pretraining_tp": (1,)},
    ),
    "mistral": _Kind(
        {**_ROTARY_DEFAULTS, "num_key_value_heads": 8, "sliding_window": 4096}, _ROTARY_KEYS, _ROTARY_MUST
    ),
    "qwen2": _Kind({**_ROTARY_DEFAULTS, "num_key_value_heads": 32}, _ROTARY_KEYS, {**_ROTARY_MUST, **_WINDOWED_MUST}),
    "qwen3": _Kind(
        {**_ROTARY_DEFAULTS, "num_key_value_heads": 32, "head_dim": 128},
        _ROTARY_KEYS,
        {**_ROTARY_MUST, **_WINDOWED_MUST, "attention_bias": (False,)},
    ),
    "olmo2": _Kind(
        {**_ROTARY_DEFAULTS, "rms_norm_eps": 1e-5}, _ROTARY_KEYS, {**_ROTARY_MUST, "attention_bias": (False,)}
    ),
    "gpt_neox": _Kind(
        {
            "layer_norm_eps": 1e-5,
            "tie_word_embeddings": False,
            "rotary_pct": 0.25,
            "rotary_emb_base": 10_000.0,
            "use_parallel_residual": True,
            **dict.fromkeys(("rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor")),
        },
        _ROTARY_KEYS,
        {"hidden_act": ("gelu",), "attention_bias": (True,)},
    ),
    "gpt2": _Kind(
        {"n_inner": None, "tie_word_embeddings": True, "layer_norm_epsilon": 1e-5},
        ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head"),
        {
            "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
            "scale_attn_weights": (True,),
            "scale_attn_by_inverse_layer_idx": (False,),
            "add_cross_attention": (False,),
        },
    ),
}


def read_config(folder: Path, context_length: int | None = None) -> ModelConfig:
    """The shape of the model in a Hugging Face folder, or of a checkpoint of a run.

    Args:
        folder: With a ``config.json``, or a ``state.json``.
        context_length: A shorter context than the model's own; rotary positions only.

    Raises:
        UserError: If the model is of no class that ``ModelConfig`` can express, naming the key that is in the way.
    """
    if elsewhere.is_checkpoint(folder):
        return _of_checkpoint(folder, context_length)
    path = folder / "config.json"
    values = read_values(folder)
    name = str(values.get("model_type"))
    if name not in _KINDS:
        raise UserError(f"{path}: model_type {values.get('model_type')!r}; expected {', '.join(sorted(_KINDS))}")
    kind = _KINDS[name]
    missing = [key for key in kind.required if values.get(key) is None]
    if missing:
        raise UserError(f"{path}: {missing[0]!r} is missing, which every {name} model has; copy the folder anew")
    _refuse_others(path, values, kind)
    given = {**kind.defaults, **{key: value for key, value in values.items() if value is not None}}
    try:
        if name == "gpt2":
            return _gpt2(given)
        return (_neox if name == "gpt_neox" else _rotary)(given, path, name, context_length)
    except UserError:
        raise
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: a value that is none of a {name} model: {error}; copy the folder anew") from error


def _of_checkpoint(folder: Path, context_length: int | None) -> ModelConfig:
    config = ModelConfig.from_dict(elsewhere.read_state(folder)["model"])
    if context_length is None or config.architecture == "gpt2":
        return config
    if context_length > config.context_length:
        raise UserError(f"model.context_length = {context_length}: {folder} was trained with {config.context_length}")
    return replace(config, context_length=context_length)


def read_values(folder: Path) -> dict[str, Any]:
    """The content of a folder's ``config.json``.

    Raises:
        UserError: If it is missing or damaged.
    """
    path = folder / "config.json"
    try:
        values = parse_json(path.read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; model.init wants a Hugging Face folder") from error
    except ValueError as error:
        raise UserError(f"{path}: expected the JSON of a Hugging Face model, found damage: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected the JSON object of a Hugging Face model, found {type(values).__name__}")
    return values


def _refuse_others(path: Path, values: Mapping[str, Any], kind: _Kind) -> None:
    """Refuses values that the network cannot have, and keys that nobody here knows unless they are off."""
    for name, good in kind.must.items():
        value = values.get(name)
        if value is not None and value not in good:
            raise UserError(f"{path}: {name} = {value!r} is not supported; expected {' or '.join(map(str, good))}")
    if (found := values.get("quantization_config")) is not None:
        method = found.get("quant_method") if isinstance(found, dict) else found
        raise UserError(
            f"{path}: quantization_config ({method}): its weights are codes, not numbers; expected a folder of "
            "float32, bfloat16 or float16 weights, such as the one that was quantised"
        )
    if any(layer != "full_attention" for layer in values.get("layer_types") or ()):
        raise UserError(f"{path}: layer_types = {values['layer_types']!r}: expected full_attention in every layer")
    known = {*_OF_NO_WEIGHT, *kind.must, *kind.required, *kind.defaults, "layer_types"}
    strange = sorted(key for key, value in values.items() if key not in known and value not in (None, False, [], {}))
    if strange:
        raise UserError(
            f"{path}: {strange[0]} = {values[strange[0]]!r} is not understood, so the model might be another one; "
            "remove the key if it changes neither weights nor logits"
        )


def _gpt2(values: Mapping[str, Any]) -> ModelConfig:
    width = int(values["n_embd"])
    return ModelConfig(
        architecture="gpt2",
        vocabulary_size=int(values["vocab_size"]),
        context_length=int(values["n_positions"]),
        layers=int(values["n_layer"]),
        heads=int(values["n_head"]),
        width=width,
        feed_forward_width=int(values["n_inner"] or 4 * width),
        tied_embeddings=bool(values["tie_word_embeddings"]),
        norm_epsilon=float(values["layer_norm_epsilon"]),
    )


def _length(values: Mapping[str, Any], path: Path, context_length: int | None) -> int:
    own = int(values["max_position_embeddings"])
    if context_length is not None and context_length > own:
        raise UserError(f"model.context_length = {context_length}: {path} was trained with {own}")
    return context_length or own


def _neox(values: Mapping[str, Any], path: Path, kind: str, context_length: int | None) -> ModelConfig:
    rope, heads, width = _rope(values, path), int(values["num_attention_heads"]), int(values["hidden_size"])
    stated = (rope.get("partial_rotary_factor"), values["partial_rotary_factor"], values["rotary_pct"])
    share = next(float(value) for value in stated if value is not None)
    plain = {key: value for key, value in rope.items() if key != "partial_rotary_factor"}
    return ModelConfig(
        architecture="neox",
        vocabulary_size=int(values["vocab_size"]),
        context_length=_length(values, path, context_length),
        layers=int(values["num_hidden_layers"]),
        heads=heads,
        width=width,
        feed_forward_width=int(values["intermediate_size"]),
        tied_embeddings=bool(values["tie_word_embeddings"]),
        qk_norm=False,
        rotary_base=float(rope.get("rope_theta") or values["rope_theta"] or values["rotary_emb_base"]),
        rotary_scaling=_scaling({**values, "rope_scaling": None, "rope_parameters": plain}, path),
        rotary_width=int(width // heads * share),
        parallel=bool(values["use_parallel_residual"]),
        norm_epsilon=float(values["layer_norm_eps"]),
    )


def _rotary(values: Mapping[str, Any], path: Path, kind: str, context_length: int | None) -> ModelConfig:
    scaling = _scaling(values, path)
    length, window = _length(values, path, context_length), values["sliding_window"]
    if kind == "mistral" and window is not None and length > int(window):
        raise UserError(
            f"{path}: sliding_window = {window}: attention that ends after {window} tokens is not supported; set "
            f"model.context_length to {window} or less"
        )
    heads = int(values["num_attention_heads"])
    return ModelConfig(
        architecture="olmo2" if kind == "olmo2" else "qwen3",
        vocabulary_size=int(values["vocab_size"]),
        context_length=length,
        layers=int(values["num_hidden_layers"]),
        heads=heads,
        width=int(values["hidden_size"]),
        key_value_heads=int(values["num_key_value_heads"] or heads),
        head_width=int(values["head_dim"] or values["hidden_size"] // heads),
        feed_forward_width=int(values["intermediate_size"]),
        tied_embeddings=bool(values["tie_word_embeddings"]),
        qk_norm=kind == "qwen3",
        attention_bias=kind == "qwen2",
        rotary_base=float(_rope(values, path).get("rope_theta") or values["rope_theta"]),
        rotary_scaling=scaling,
        norm_epsilon=float(values["rms_norm_eps"]),
    )


def _rope(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What a folder says of its rotary positions: under the key of before, if it is there, or that of today."""
    key = "rope_scaling" if values["rope_scaling"] else "rope_parameters"
    found = values[key] or {}
    if not isinstance(found, dict):
        raise UserError(f"{path}: {key} = {found!r}: expected an object with a rope_type")
    return found


def _scaling(values: Mapping[str, Any], path: Path) -> Scaling:
    """How the rotary frequencies are scaled."""
    found = _rope(values, path)
    kind = str(found.get("rope_type", found.get("type", "default")))
    if kind != "default" and kind not in SCALINGS:
        raise UserError(f"{path}: rotary scaling {kind!r} is not supported; expected {', '.join(SCALINGS)}")
    keys, optional = SCALINGS.get(kind, {}), OPTIONAL_OF_SCALING.get(kind, ())
    strange = [k for k in found if k not in (*_PLAIN_ROPE, *keys, *optional) and found[k] is not None]
    if strange and (strange != ["partial_rotary_factor"] or found["partial_rotary_factor"] != 1.0):
        raise UserError(f"{path}: rotary scaling {kind!r}: {strange[0]} = {found[strange[0]]!r} is not understood")
    if kind == "default":
        return {}
    own = {"original_max_position_embeddings": values["max_position_embeddings"]}
    whole = {name: own.get(name, default) if found.get(name) is None else found[name] for name, default in keys.items()}
    if lacking := [name for name, value in whole.items() if value is None]:
        raise UserError(f"{path}: rotary scaling {kind!r} without {lacking[0]}; copy the folder anew")
    return {"rope_type": kind, **whole, **{k: found[k] for k in optional if found.get(k) is not None}}
