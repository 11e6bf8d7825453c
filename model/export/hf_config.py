"""``ModelConfig`` -> the ``config.json`` of a Hugging Face folder; foreign_config.py is the way back.  No torch.

``gpt2`` is GPT2LMHeadModel; ``qwen3`` is Qwen3ForCausalLM, with ``qk_norm = false`` LlamaForCausalLM, and with biases
Qwen2ForCausalLM.
"""

from typing import Any

from model.network.config import ModelConfig

ARCHITECTURES = {
    "gpt2": "GPT2LMHeadModel",
    "qwen3": "Qwen3ForCausalLM",
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "olmo2": "Olmo2ForCausalLM",
    "gpt_neox": "GPTNeoXForCausalLM",
}


_OFF = {
    "llama": {"attention_bias": False, "mlp_bias": False},
    "qwen2": {"use_sliding_window": False},
    "qwen3": {"attention_bias": False, "use_sliding_window": False},
    "olmo2": {"attention_bias": False},
}


def kind_of(config: ModelConfig) -> str:
    """The ``model_type`` of a model."""
    if config.architecture != "qwen3":
        return {"neox": "gpt_neox"}.get(config.architecture, config.architecture)
    return "qwen2" if config.attention_bias else ("qwen3" if config.qk_norm else "llama")


def to_hf(config: ModelConfig, end_of_text: int) -> dict[str, Any]:
    """The ``config.json`` of a model."""
    kind = kind_of(config)
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
    rope = {"rope_type": "default", **config.rotary_scaling, "rope_theta": config.rotary_base}
    sizes = {
        "max_position_embeddings": config.context_length,
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.feed_forward_width,
        "attention_dropout": 0.0,
    }
    if kind == "gpt_neox":
        share = config.rotary_width / config.head_width
        return (
            common
            | sizes
            | {
                "hidden_act": "gelu",
                "hidden_dropout": 0.0,
                "layer_norm_eps": config.norm_epsilon,
                "use_parallel_residual": config.parallel,
                "rotary_pct": share,
                "rotary_emb_base": config.rotary_base,
                "rope_parameters": {**rope, "partial_rotary_factor": share},
            }
        )
    head = {} if kind == "olmo2" else {"head_dim": config.head_width}
    return (
        common
        | sizes
        | head
        | {
            "num_key_value_heads": config.key_value_heads,
            "hidden_act": "silu",
            "rms_norm_eps": config.norm_epsilon,
            "rope_theta": config.rotary_base,
            "rope_parameters": rope,
            **_OFF[kind],
        }
    )
