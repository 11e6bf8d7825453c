"""The one door to hardware: every operation whose kernel depends on the device of its tensors.

On a CPU that is training, norms, rotation, the gated unit and short attention come from ``cpu_ops``; everywhere else
torch's own operations serve, which torch.compile fuses on a GPU.  The rest of the network calls what is here and never
asks where its tensors are (tests/contracts/test_one_door_to_hardware.py).

Shape letters: B sequences, T query positions, S key positions, N heads (queries and keys together), H query heads,
K key-value heads, E head width, F feed-forward width.
"""

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the customary name

from model.network import cpu_ops
from model.network.config import LONGEST_EXPLICIT, LOSS_CHUNK_TOKENS, LOSS_CHUNK_TOKENS_CPU


def _on_cpu(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu"


def rms_norm(x: Tensor, gain: Tensor, epsilon: float) -> Tensor:
    """RMSNorm, x / sqrt(mean(x^2) + epsilon) * gain, over the last dimension; float32."""
    if _on_cpu(x):
        return cpu_ops.rms_norm(x, gain, epsilon)
    return F.rms_norm(x, gain.shape, gain, epsilon)


def norm_and_rotate(x_BTNE: Tensor, gain_NE: Tensor | None, cosine: Tensor, sine: Tensor, epsilon: float) -> Tensor:
    """Normalises each head (unless ``gain_NE`` is None) and turns its pairs by the position's angle.

    Args:
        x_BTNE: Queries and keys of all heads.
        gain_NE: The norm's gain for each head.
        cosine: Of the angles, broadcast against (B, T, N, E / 2).
        sine: Likewise.
        epsilon: Of the norm.

    Returns:
        The same shape, in the precision of ``x_BTNE``; float32 inside.
    """
    if _on_cpu(x_BTNE):
        return cpu_ops.norm_and_rotate(x_BTNE, gain_NE, cosine, sine, epsilon)
    x = x_BTNE.float()
    if gain_NE is not None:
        x = F.rms_norm(x, x.shape[-1:], None, epsilon) * gain_NE
    return rotate(x, cosine, sine).to(x_BTNE.dtype)


def rotate(x_BTNE: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turns each pair (e, e + E/2) of every head by its position's angle."""
    first, second = x_BTNE.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


def gated_unit(gate_up: Tensor) -> Tensor:
    """SiLU(gate) * up, where ``gate_up`` (..., 2 F) holds gate before up."""
    if _on_cpu(gate_up):
        return cpu_ops.gated_unit(gate_up)
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate) * up


def attention(query_BHTE: Tensor, key_BKSE: Tensor, value_BKSE: Tensor, mask_BTS: Tensor | None) -> Tensor:
    """Scaled dot-product attention; query heads share key-value heads in groups.

    Args:
        query_BHTE: Queries of the last T of the S positions.
        key_BKSE: Keys.
        value_BKSE: Values.
        mask_BTS: True where a position may attend to another; None: to itself and all before it.

    Returns:
        (B, H, T, E).
    """
    if keeps_scores(query_BHTE, key_BKSE):
        return cpu_ops.attention(query_BHTE, key_BKSE, value_BKSE, mask_BTS)
    queries, keys = query_BHTE.shape[2], key_BKSE.shape[2]
    mask = None if mask_BTS is None else mask_BTS[:, None]
    causal = mask is None and queries == keys
    if mask is None and 1 < queries < keys:  # several new positions after a cache
        mask = torch.ones(queries, keys, dtype=torch.bool, device=query_BHTE.device).tril(keys - queries)
    grouped = query_BHTE.shape[1] != key_BKSE.shape[1]
    return F.scaled_dot_product_attention(
        query_BHTE, key_BKSE, value_BKSE, attn_mask=mask, is_causal=causal, enable_gqa=grouped
    )


def keeps_scores(query_BHTE: Tensor, key_BKSE: Tensor) -> bool:
    """Whether keeping all scores is the faster way: training in bfloat16 on a CPU, in a context that is not long."""
    short = query_BHTE.shape[2] == key_BKSE.shape[2] <= LONGEST_EXPLICIT
    return short and query_BHTE.dtype == torch.bfloat16 and _on_cpu(query_BHTE) and torch.is_grad_enabled()


def has_document_attention(device: torch.device) -> bool:
    """Whether the device has the kernel of ``document_attention``; a mask does the same elsewhere."""
    return device.type == "cuda"


def document_attention(query_BHTE: Tensor, key_BKTE: Tensor, value_BKTE: Tensor, edges: Tensor, longest: int) -> Tensor:
    """Causal attention within each of the documents that lie end to end in the batch; no (T, T) mask exists.

    Args:
        query_BHTE: Queries.
        key_BKTE: Keys.
        value_BKTE: Values.
        edges: First token of each document in the flattened batch, and the number of all tokens; int32.
        longest: Tokens of the longest document.

    Returns:
        (B, H, T, E).
    """
    from torch.nn.attention.varlen import varlen_attn

    batch, heads, length, width = query_BHTE.shape
    query, key, value = (
        x.transpose(1, 2).reshape(batch * length, x.shape[1], width) for x in (query_BHTE, key_BKTE, value_BKTE)
    )
    grouped = heads != key_BKTE.shape[1]
    out = varlen_attn(query, key, value, edges, edges, longest, longest, window_size=(-1, 0), enable_gqa=grouped)
    return cast(Tensor, out).view(batch, length, heads, width).transpose(1, 2)


def is_known_all(flags: Tensor) -> bool:
    """Whether all flags are set, where asking is cheaper than acting as if they were not; never makes a GPU wait."""
    return _on_cpu(flags) and bool(flags.all())


def loss_chunk_tokens(hidden: Tensor) -> int:
    """Rows of logits that exist at once: as many as a CPU's cache or a GPU likes."""
    return LOSS_CHUNK_TOKENS_CPU if _on_cpu(hidden) else LOSS_CHUNK_TOKENS
