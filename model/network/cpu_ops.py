"""Norm, rotation and attention with backward passes written by hand, for training on a CPU.

torch differentiates these as chains of small operations, or (attention) with a kernel made for long sequences; on a CPU
that was about a third of a training step (docs/benchmarks/train.md).  ``ops`` decides when they are used.

Shape letters: B sequences, T positions, S key positions, N heads (queries and keys together), H query heads,
K key-value heads, G = H / K, E head width, D width.
Parity: tests/model/test_cpu_ops.py checks values and gradients against torch's own operations.
"""

from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, epsilon: float) -> Tensor:
        inverse = _inverse_rms(x, epsilon)
        normal = x * inverse
        ctx.save_for_backward(normal, inverse, gain)
        return normal * gain

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        normal, inverse, gain = ctx.saved_tensors
        grad_x, grad_gain = _norm_backward(gradients[0], normal, inverse, gain)
        return grad_x, grad_gain, None


def _inverse_rms(x: Tensor, epsilon: float) -> Tensor:
    """1 / sqrt(mean(x^2) + epsilon) over the last dimension, kept with size 1."""
    squares = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_()
    return cast(Tensor, squares.div_(x.shape[-1]).add_(epsilon).rsqrt_())


def _norm_backward(grad: Tensor, normal: Tensor, inverse: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of ``normal * gain`` for the norm's input and for the gain, which has the last dimensions' shape."""
    product = grad * normal
    grad_gain = product.flatten(0, -1 - gain.ndim).sum(0)
    along = product.mul_(gain).mean(-1, keepdim=True)
    grad_x = (grad * gain).addcmul_(normal, along, value=-1.0).mul_(inverse)
    return grad_x, grad_gain


def rms_norm(x: Tensor, gain: Tensor, epsilon: float) -> Tensor:
    """As ``ops.rms_norm``."""
    return cast(Tensor, cast(Any, _RMSNorm.apply)(x, gain, epsilon))


class _NormRotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gain_NE: Tensor | None, cosine: Tensor, sine: Tensor, epsilon: float) -> Tensor:
        turned = x.float()
        normal = inverse = None
        if gain_NE is not None:
            inverse = _inverse_rms(turned, epsilon)
            normal = turned * inverse
            turned = normal * gain_NE
        ctx.save_for_backward(normal, inverse, gain_NE, cosine, sine)
        return _turn(turned, cosine, sine).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        normal, inverse, gain, cosine, sine = ctx.saved_tensors
        grad = _turn(gradients[0].float(), cosine, -sine)
        grad_gain = None
        if gain is not None:
            grad, grad_gain = _norm_backward(grad, normal, inverse, gain)
        return grad.to(gradients[0].dtype), grad_gain, None, None, None


def _turn(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turns each pair (e, e + E/2) by its position's angle."""
    first, second = x.chunk(2, dim=-1)
    turned = torch.empty_like(x)
    left, right = turned.chunk(2, dim=-1)
    torch.mul(first, cosine, out=left).addcmul_(second, sine, value=-1.0)
    torch.mul(second, cosine, out=right).addcmul_(first, sine)
    return turned


def norm_and_rotate(x_BTNE: Tensor, gain_NE: Tensor | None, cosine: Tensor, sine: Tensor, epsilon: float) -> Tensor:
    """As ``ops.norm_and_rotate``."""
    return cast(Tensor, cast(Any, _NormRotate.apply)(x_BTNE, gain_NE, cosine, sine, epsilon))


class _GatedUnit(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, dim=-1)
        return torch.nn.functional.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gate_up,) = ctx.saved_tensors
        gate, up = gate_up.chunk(2, dim=-1)
        grad = torch.empty_like(gate_up)
        left, right = grad.chunk(2, dim=-1)
        torch.mul(torch.nn.functional.silu(gate), gradients[0], out=right)
        torch.mul(gradients[0], up, out=left)
        torch.ops.aten.silu_backward.grad_input(left, gate, grad_input=left)
        return grad


def gated_unit(gate_up: Tensor) -> Tensor:
    """As ``ops.gated_unit``; keeps nothing but ``gate_up`` for the backward pass."""
    return cast(Tensor, cast(Any, _GatedUnit.apply)(gate_up))


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        shape = query.shape  # B, H, T, E
        groups = shape[0] * key.shape[1]
        query, key, value = (x.reshape(groups, -1, shape[-1]) for x in (query, key, value))
        scale = float(shape[-1] ** -0.5)
        scores = torch.baddbmm(bias, query, key.mT, alpha=scale)  # (B * K, G * T, S)
        shares = torch.softmax(scores, dim=-1)
        ctx.save_for_backward(query, key, value, shares)
        ctx.scale = scale
        return torch.bmm(shares, value).view(shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, shares = ctx.saved_tensors
        shape = gradients[0].shape
        grad = gradients[0].reshape(query.shape)
        grad_value = torch.bmm(shares.mT, grad)
        grad_shares = torch.bmm(grad, value.mT)
        slope = torch.ops.aten._softmax_backward_data(grad_shares, shares, -1, shares.dtype)
        grad_query = torch.bmm(slope, key).mul_(ctx.scale).view(shape)
        grad_key = torch.bmm(slope.mT, query).mul_(ctx.scale)
        kept = (shape[0], -1, key.shape[1], shape[-1])
        return grad_query, grad_key.view(kept), grad_value.view(kept), None


@lru_cache(maxsize=4)
def _causal_bias(length: int, repeats: int, dtype: torch.dtype) -> Tensor:
    return torch.full((length, length), float("-inf"), dtype=dtype).triu(1).repeat(repeats, 1)


def attention(query_BHTE: Tensor, key_BKTE: Tensor, value_BKTE: Tensor, mask_BTT: Tensor | None) -> Tensor:
    """Attention as three matrix products with all scores in memory: causal, or where ``mask_BTT`` is True.

    Returns:
        (B, H, T, E).
    """
    batch, heads, length, _ = query_BHTE.shape
    key_heads = key_BKTE.shape[1]
    if mask_BTT is None:
        bias = _causal_bias(length, heads // key_heads, query_BHTE.dtype)
    else:
        allowed = torch.zeros((), dtype=query_BHTE.dtype).where(mask_BTT, float("-inf"))
        bias = allowed[:, None].expand(batch, heads, length, length).reshape(batch * key_heads, -1, length)
    return cast(Tensor, cast(Any, _Attention.apply)(query_BHTE, key_BKTE, value_BKTE, bias))
