"""Causal attention: positions, masks, the key-value cache, and the one call into torch's kernels.

Shape letters: B sequences, T query positions, S key positions, H query heads, K key-value heads, E head width.
"""

from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the customary name

from model.network import cpu_ops


@dataclass
class KeyValueCache:
    """Keys and values of the positions seen so far, one pair of tensors (B, K, S, E) a layer."""

    length: int = 0
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    def extend(self, layer: int, key_BKTE: Tensor, value_BKTE: Tensor) -> tuple[Tensor, Tensor]:
        """Appends this layer's new keys and values; returns all of them."""
        if layer == len(self.keys):
            self.keys.append(key_BKTE)
            self.values.append(value_BKTE)
        else:
            self.keys[layer] = torch.cat([self.keys[layer], key_BKTE], dim=2)
            self.values[layer] = torch.cat([self.values[layer], value_BKTE], dim=2)
        return self.keys[layer], self.values[layer]


@dataclass(frozen=True)
class Layout:
    """What each position may attend to, and its number within its document.

    ``positions`` (B, T) is None for the plain 0..T-1.  ``mask`` (B, T, S; True: may attend) is None for plain causal
    attention.  ``cumulative_lengths`` (documents laid end to end over the flattened batch) selects a GPU's
    variable-length kernel instead of the mask.
    """

    positions: Tensor | None = None
    mask: Tensor | None = None
    cumulative_lengths: Tensor | None = None
    longest: int = 0
    cache: KeyValueCache | None = None


def document_layout(documents_BT: Tensor, positions_BT: Tensor) -> Layout:
    """Attention confined to documents, each of which starts at position 0 (``TokenDataset.masked_batch`` gives both).

    Args:
        documents_BT: Number of each token's document within its row.
        positions_BT: Position of each token within its document's part of the row.
    """
    if documents_BT.is_cuda:
        starts = (positions_BT == 0).flatten().nonzero().flatten()
        edges = torch.cat([starts, starts.new_tensor([positions_BT.numel()])]).to(torch.int32)
        return Layout(positions_BT, cumulative_lengths=edges, longest=int((edges[1:] - edges[:-1]).max()))
    length = documents_BT.shape[1]
    same_BTS = documents_BT[:, :, None] == documents_BT[:, None, :]
    return Layout(positions_BT, mask=same_BTS & torch.ones(length, length, dtype=torch.bool).tril())


def attend(query_BHTE: Tensor, key_BKSE: Tensor, value_BKSE: Tensor, layout: Layout) -> Tensor:
    """Scaled dot-product attention; query heads share key-value heads in groups.

    Returns:
        (B, H, T, E).
    """
    grouped = query_BHTE.shape[1] != key_BKSE.shape[1]
    if layout.cumulative_lengths is not None:
        return _attend_varlen(query_BHTE, key_BKSE, value_BKSE, layout)
    if cpu_ops.fits(query_BHTE, key_BKSE):
        return cpu_ops.attention(query_BHTE, key_BKSE, value_BKSE, layout.mask)
    mask = None if layout.mask is None else layout.mask[:, None]
    queries, keys = query_BHTE.shape[2], key_BKSE.shape[2]
    causal = mask is None and queries == keys
    if mask is None and 1 < queries < keys:  # several new positions after a cache
        mask = torch.ones(queries, keys, dtype=torch.bool, device=query_BHTE.device).tril(keys - queries)
    return F.scaled_dot_product_attention(
        query_BHTE, key_BKSE, value_BKSE, attn_mask=mask, is_causal=causal, enable_gqa=grouped
    )


def _attend_varlen(query_BHTE: Tensor, key_BKTE: Tensor, value_BKTE: Tensor, layout: Layout) -> Tensor:
    """The GPU's variable-length kernel over the documents of the whole batch; no (T, T) mask exists."""
    from torch.nn.attention.varlen import varlen_attn

    batch, heads, length, width = query_BHTE.shape
    packed = [x.transpose(1, 2).reshape(batch * length, x.shape[1], width) for x in (query_BHTE, key_BKTE, value_BKTE)]
    lengths, longest = cast(Tensor, layout.cumulative_lengths), layout.longest
    grouped = query_BHTE.shape[1] != key_BKTE.shape[1]
    query, key, value = packed
    out = varlen_attn(query, key, value, lengths, lengths, longest, longest, window_size=(-1, 0), enable_gqa=grouped)
    return cast(Tensor, out).view(batch, length, heads, width).transpose(1, 2)


def rotary_table(context_length: int, head_width: int, base: float) -> Tensor:
    """Cosines and sines of the rotary angles, (2, context_length, head_width / 2), float32.

    Source: Su et al., "RoFormer", arXiv:2104.09864.  Pairs are (e, e + head_width / 2), as in Llama and Qwen.
    """
    frequencies = 1.0 / (base ** (torch.arange(0, head_width, 2, dtype=torch.int64).float() / head_width))
    angles = torch.outer(torch.arange(context_length).float(), frequencies)
    return torch.stack([angles.cos(), angles.sin()])


def rotate(x_BTHE: Tensor, cosine_T1E: Tensor, sine_T1E: Tensor) -> Tensor:
    """Turns each pair (e, e + E/2) of every head by its position's angle."""
    first, second = x_BTHE.chunk(2, dim=-1)
    return torch.cat([first * cosine_T1E - second * sine_T1E, second * cosine_T1E + first * sine_T1E], dim=-1)
