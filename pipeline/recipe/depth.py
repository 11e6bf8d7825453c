"""The ``depth`` dial: one number sets the shape of the model and how it is trained.  docs/model.md has the check.

For depth d, each value where the recipe does not give that key itself:

- layers = heads = d, width = 64 d; so the blocks hold N = 12 layers width^2 weights in their matrices.
- tokens D = 20 N, near compute-optimal: Hoffmann et al., arXiv:2203.15556.
- tokens of a step 0.292 C^0.3271 with C = 6 N D, as a power of two of sequences: DeepSeek LLM, arXiv:2401.02954, eq. 4.
- learning rate of AdamW ~ width^-0.5; that of Muon constant, since its updates have the same size at every width.
- steps = D / tokens of a step.
"""

import math
from typing import Any

HEAD_WIDTH = 64
TOKENS_PER_WEIGHT = 20
REFERENCE_WIDTH = 256
LEARNING_RATE = {"adamw": 2e-3, "muon": 5e-3}  # of AdamW at that width, where it trains all or what Muon leaves
MUON_LEARNING_RATE = 0.02
SHAPE_KEYS = ("layers", "heads", "width")
TRAIN_KEYS = ("learning_rate", "muon_learning_rate", "global_batch_tokens", "steps")


def shape(depth: int) -> dict[str, int]:
    """``[model]`` keys of a depth.

    Example:
        >>> shape(12)
        {'layers': 12, 'heads': 12, 'width': 768}
    """
    return {"layers": depth, "heads": depth, "width": HEAD_WIDTH * depth}


def training(
    layers: int, width: int, context_length: int, optimizer: str, global_batch_tokens: int | None = None
) -> dict[str, Any]:
    """``[train]`` keys of a shape.

    Args:
        layers: Transformer blocks.
        width: Size of the residual stream.
        context_length: Tokens of a sequence.
        optimizer: ``adamw`` or ``muon``.
        global_batch_tokens: Tokens of a step where the recipe gives them; the steps follow.

    Example:
        >>> training(12, 768, 1024, "adamw")
        {'learning_rate': 0.00115, 'muon_learning_rate': 0.02, 'global_batch_tokens': 262144, 'steps': 6480}
    """
    weights = 12 * layers * width**2
    tokens = TOKENS_PER_WEIGHT * weights
    batch = global_batch_tokens or context_length * batch_sequences(6.0 * weights * tokens, context_length)
    rate = LEARNING_RATE[optimizer] * (width / REFERENCE_WIDTH) ** -0.5
    return {
        "learning_rate": float(f"{rate:.3g}"),
        "muon_learning_rate": MUON_LEARNING_RATE,
        "global_batch_tokens": batch,
        "steps": max(1, round(tokens / batch)),
    }


def batch_sequences(flops: float, context_length: int) -> int:
    """Sequences of a step for a training of ``flops`` floating-point operations; a power of two."""
    best_tokens = 0.2920 * flops**0.3271
    return int(2 ** max(0, round(math.log2(best_tokens / context_length))))
