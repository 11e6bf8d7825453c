"""Rotary positions: the angles by which queries and keys are turned, as trained or scaled to a longer context.

Source: Su et al., "RoFormer", arXiv:2104.09864; the scalings are linear position interpolation (arXiv:2306.15595), YaRN
(arXiv:2309.00071) and that of Llama 3.1.  Dynamic NTK changes nothing up to the context that a folder states, and this
network never goes beyond it.
Parity: tests/parity/test_transformers.py compares each with transformers.
"""

import math

import torch
from torch import Tensor

from model.network.config import ModelConfig, Scaling


def rotary_table(config: ModelConfig) -> Tensor:
    """Cosines and sines of the angles, (2, context_length, rotary_width / 2), float32.

    Pairs are (e, e + rotary_width / 2), as in Llama and Qwen.
    """
    exponents = torch.arange(0, config.rotary_width, 2, dtype=torch.int64).float() / config.rotary_width
    frequencies = 1.0 / (config.rotary_base**exponents)
    scaling, stretch = config.rotary_scaling, 1.0
    kind = scaling.get("rope_type", "default")
    if kind == "linear":
        frequencies = frequencies / float(scaling["factor"])
    elif kind == "llama3":
        frequencies = _llama3(frequencies, scaling)
    elif kind == "yarn":
        frequencies, stretch = _yarn(frequencies, config), _yarn_stretch(scaling)
    angles = torch.outer(torch.arange(config.context_length).float(), frequencies)
    return torch.stack([angles.cos(), angles.sin()]) * stretch


def _llama3(frequencies: Tensor, scaling: Scaling) -> Tensor:
    """Long waves are stretched by the factor, short ones are not, and between them the one passes into the other."""
    low, high, original = (
        float(scaling[name]) for name in ("low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
    )
    waves = 2 * math.pi / frequencies
    stretched = frequencies / float(scaling["factor"])
    share = (original / waves - low) / (high - low)
    between = (1 - share) * stretched + share * frequencies
    return torch.where(waves > original / low, stretched, torch.where(waves < original / high, frequencies, between))


def _yarn(frequencies: Tensor, config: ModelConfig) -> Tensor:
    """Dimensions that turn often within the original context stay, those that turn seldom are stretched."""
    scaling, width = config.rotary_scaling, config.rotary_width
    original = float(scaling["original_max_position_embeddings"])

    def dimension(turns: float) -> float:
        return width * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(config.rotary_base))

    first, last = dimension(scaling["beta_fast"]), dimension(scaling["beta_slow"])
    if scaling["truncate"]:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, width - 1)
    ramp = (torch.arange(width // 2).float() - first) / (last - first or 0.001)
    stretched, factor = ramp.clamp(0, 1), float(scaling["factor"])
    return frequencies / factor * stretched + frequencies * (1 - stretched)


def _yarn_stretch(scaling: Scaling) -> float:
    """What the cosines and sines are multiplied by, so that attention stays as sharp."""
    if (stated := scaling.get("attention_factor")) is not None:
        return float(stated)

    def of(scale: float) -> float:
        return 1.0 if scaling["factor"] <= 1 else 0.1 * scale * math.log(scaling["factor"]) + 1.0

    numerator, denominator = scaling.get("mscale"), scaling.get("mscale_all_dim")
    return of(numerator) / of(denominator) if numerator and denominator else of(1.0)
