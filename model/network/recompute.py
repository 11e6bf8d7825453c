"""A block's activations: kept for the backward pass, or made again there, all of them or those that cost little.

``selective`` keeps what matrix products and the kernels of attention gave, and makes norms, rotations, casts and gates
again, which frees a third to a half of what blocks keep (docs/benchmarks/model.md).  The gradients are the same.
Source: selective checkpointing of torch (``torch.utils.checkpoint``), as in Korthikanti et al., arXiv:2205.05198.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

Recompute = bool | Literal["selective"]


@dataclass(frozen=True)
class Again:
    """What is made again.

    Attributes:
        but: The operations whose results are kept all the same.
    """

    but: tuple[Any, ...] = ()


def again(what: Recompute) -> Again | None:
    """What ``train.activation_checkpointing`` asks for; None: everything is kept."""
    if what == "selective":
        return Again(_products())
    return Again() if what else None


def recomputed(layer: Callable[..., Tensor], what: Again | None, *inputs: Any) -> Tensor:
    """``layer(*inputs)``, of which the backward pass makes again what ``what`` says."""
    if what is None or not torch.is_grad_enabled():
        return layer(*inputs)
    if not what.but:
        return cast(Tensor, checkpoint(layer, *inputs, use_reentrant=False))
    contexts = partial(create_selective_checkpoint_contexts, list(what.but))
    return cast(Tensor, checkpoint(layer, *inputs, use_reentrant=False, context_fn=contexts))


def _products() -> tuple[Any, ...]:
    """The operations whose results ``selective`` keeps."""
    import torch.nn.attention.varlen  # registers its operation, and takes a second

    aten = torch.ops.aten
    return (
        aten.mm.default,
        aten.addmm.default,
        aten._scaled_dot_product_flash_attention.default,
        aten._scaled_dot_product_flash_attention_for_cpu.default,
        aten._scaled_dot_product_efficient_attention.default,
        aten._scaled_dot_product_cudnn_attention.default,
        torch.ops.torch_attn._varlen_attn.default,
    )
