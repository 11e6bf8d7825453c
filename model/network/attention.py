"""Causal attention: who may attend to whom, documents, and the key-value cache; the kernels are behind ``ops``.

Shape letters: B sequences, T query positions, S key positions, H query heads, K key-value heads, E head width.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from model.network import ops


@dataclass
class KeyValueCache:
    """Keys and values of the positions seen so far, one pair of tensors (B, K, S, E) per layer."""

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

    Attributes:
        positions: (B, T); None for the plain 0..T-1.
        mask: (B, T, S), True where a position may attend to another; None for plain causal attention.
        document_edges: In place of a mask, where each document begins in the flattened batch, and the batch's end.
        longest_document: Its tokens, with ``document_edges``.
        cache: Keys and values of the positions before these.
    """

    positions: Tensor | None = None
    mask: Tensor | None = None
    document_edges: Tensor | None = None
    longest_document: int = 0
    cache: KeyValueCache | None = None


def document_layout(documents_BT: Tensor, positions_BT: Tensor, device: torch.device) -> Layout:
    """Attention confined to documents, each of which starts at position 0 (``TokenDataset.masked_batch`` gives both).

    Args:
        documents_BT: Number of each token's document within its row.  Both tensors may stay on the CPU: what depends
            on their values is then counted there, and no device is waited for.
        positions_BT: Position of each token within its document's part of the row.
        device: Where the model is.
    """
    positions = positions_BT.to(device, non_blocking=True)
    if ops.has_document_attention(device):
        starts = (positions_BT == 0).flatten().nonzero().flatten()
        edges = torch.cat([starts, starts.new_tensor([positions_BT.numel()])]).to(torch.int32)
        longest = int((edges[1:] - edges[:-1]).max())
        return Layout(positions, document_edges=edges.to(device, non_blocking=True), longest_document=longest)
    length = documents_BT.shape[1]
    documents_BT = documents_BT.to(device)
    same_BTS = documents_BT[:, :, None] == documents_BT[:, None, :]
    return Layout(positions, mask=same_BTS & torch.ones(length, length, dtype=torch.bool, device=device).tril())


def attend(query_BHTE: Tensor, key_BKSE: Tensor, value_BKSE: Tensor, layout: Layout) -> Tensor:
    """Attention as ``layout`` confines it; query heads share key-value heads in groups.  Returns (B, H, T, E)."""
    if layout.document_edges is not None:
        return ops.document_attention(query_BHTE, key_BKSE, value_BKSE, layout.document_edges, layout.longest_document)
    return ops.attention(query_BHTE, key_BKSE, value_BKSE, layout.mask)
