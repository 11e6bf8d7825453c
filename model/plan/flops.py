"""Counting: parameters by component, and the floating-point operations of a token.  No torch."""

from typing import TYPE_CHECKING

from model.network.config import ModelConfig

if TYPE_CHECKING:
    import torch


def parameter_counts(config: ModelConfig, *, padded: bool = False) -> dict[str, int]:
    """Parameters by component.

    Args:
        config: The model.
        padded: Count the rows that only pad the vocabulary, too.

    Example:
        >>> gpt2 = ModelConfig("gpt2", 50257, 1024, layers=12, heads=12, width=768)
        >>> sum(parameter_counts(gpt2).values())
        124439808
    """
    rows = config.padded_vocabulary if padded else config.vocabulary_size
    width, layers = config.width, config.layers
    plain, positions = config.layer_norm, config.architecture == "gpt2"
    stacked = config.attention_width + 2 * config.key_value_width
    attention = width * stacked + config.attention_width * width
    feed_forward = (2 if plain else 3) * width * config.feed_forward_width
    norm = width * (2 if plain else 1)
    norms = (2 * layers + 1) * norm
    biases = 0
    if plain:
        biases = layers * (stacked + width + config.feed_forward_width + width)
    elif config.attention_bias:
        biases = layers * stacked
    if config.architecture == "olmo2":
        norms += layers * (config.attention_width + config.key_value_width)
    elif not plain and config.qk_norm:
        norms += layers * 2 * config.head_width
    return {
        "token_embedding": rows * width,
        "position_embedding": config.context_length * width if positions else 0,
        "attention": layers * attention,
        "feed_forward": layers * feed_forward,
        "norms": norms,
        "biases": biases,
        "head": 0 if config.tied_embeddings else rows * width,
    }


def flops_per_token(config: ModelConfig) -> float:
    """Operations of forward and backward for one token of a full context.

    Six for each weight that multiplies (the head among them, the embedding tables not), and 12 * E * H * T per layer
    for the attention scores, as PaLM's appendix B counts them (without halving for causality).
    """
    counts = parameter_counts(config)
    matrices = counts["attention"] + counts["feed_forward"] + config.vocabulary_size * config.width
    attention = 12 * config.layers * config.attention_width * config.context_length
    return 6.0 * matrices + attention


def count_parameters(model: "torch.nn.Module") -> int:
    """Learnable numbers of a whole model."""
    return sum(parameter.numel() for parameter in model.parameters())
