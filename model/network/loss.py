"""Next-token cross-entropy straight from the last hidden states, without ever holding all logits.

The logits of N tokens over V entries are the largest tensor of a small model's training.  Here they exist for a chunk
of rows at a time (``ops.loss_chunk_tokens``): the forward pass computes each chunk's loss and, at once, its gradients
for the hidden states and the head, so that the backward pass only scales them.

Shape letters: N tokens, D width, V padded vocabulary.
Parity: tests/model/test_loss.py checks values and gradients against ``torch.nn.functional.cross_entropy``.
"""

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the customary name

from model.network import ops

NOT_SCORED = -100  # a target that does not count; torch's own default of ignore_index


def _token_losses(logits_NV: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
    """Negative log-likelihood of each target (0 where not scored), and the log-probabilities (N, V); float32."""
    log_probabilities_NV = F.log_softmax(logits_NV, dim=-1, dtype=torch.float32)
    chosen_N = log_probabilities_NV.gather(-1, targets_N.clamp(min=0)[:, None])[:, 0]
    return torch.where(targets_N != NOT_SCORED, -chosen_N, 0.0), log_probabilities_NV


class Loss(NamedTuple):
    """Sums over the valid targets of a batch, float32 scalars; only ``total`` carries gradients."""

    total: Tensor  # what is minimised
    likelihood: Tensor  # the negative log-likelihood alone, nats


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        weight_VD: Tensor,
        targets_N: Tensor,
        vocabulary_size: int,
        z_loss: float,
        chunk_tokens: int,
    ) -> tuple[Tensor, Tensor]:
        needs_hidden, needs_weight = ctx.needs_input_grad[:2]
        weight = weight_VD.to(hidden_ND.dtype)
        total, likelihood = (torch.zeros((), device=hidden_ND.device) for _ in range(2))
        grad_hidden = torch.empty_like(hidden_ND) if needs_hidden else None
        grad_weight = torch.zeros_like(weight_VD) if needs_weight else None
        for start in range(0, hidden_ND.shape[0], chunk_tokens):
            hidden = hidden_ND[start : start + chunk_tokens]
            targets = targets_N[start : start + chunk_tokens]
            logits = hidden @ weight.T
            if vocabulary_size < weight.shape[0]:
                logits[:, vocabulary_size:] = float("-inf")  # rows that only pad the vocabulary
            loss, partition, grad_logits = _loss_and_gradient(logits, targets, z_loss)
            likelihood += loss
            total += loss + partition
            if grad_hidden is not None:
                torch.mm(grad_logits, weight, out=grad_hidden[start : start + chunk_tokens])
            if grad_weight is not None:
                grad_weight += grad_logits.T @ hidden
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.mark_non_differentiable(likelihood)
        return total, likelihood

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        scale = gradients[0]
        grad_hidden, grad_weight = ctx.saved_tensors
        return (
            None if grad_hidden is None else grad_hidden.mul_(scale),
            None if grad_weight is None else grad_weight.mul_(scale),
            None,
            None,
            None,
            None,
        )


def _loss_and_gradient(logits_NV: Tensor, targets_N: Tensor, z_loss: float) -> tuple[Tensor, Tensor, Tensor]:
    """A chunk's summed loss, its weighted partition term, and the gradient for the logits in their own precision."""
    losses_N, log_probabilities_NV = _token_losses(logits_NV, targets_N)
    valid_N = targets_N != NOT_SCORED
    rows, columns = torch.arange(len(targets_N), device=targets_N.device), targets_N.clamp(min=0)
    squares = losses_N.new_zeros(())
    slope_N = valid_N.float()
    if z_loss:
        partition_N = logits_NV[rows, columns].float() - log_probabilities_NV[rows, columns]
        squares = z_loss * (partition_N.square() * slope_N).sum()
        slope_N = slope_N * (1.0 + 2.0 * z_loss * partition_N)
    gradient_NV = log_probabilities_NV.exp_()
    if z_loss or not ops.is_known_all(valid_N):
        gradient_NV *= slope_N[:, None]
    gradient_NV[rows, columns] -= valid_N.float()
    return losses_N.sum(), squares, gradient_NV.to(logits_NV.dtype)


def chunked_cross_entropy(
    hidden_ND: Tensor,
    weight_VD: Tensor,
    targets_N: Tensor,
    vocabulary_size: int,
    *,
    z_loss: float = 0.0,
    chunk_tokens: int | None = None,
) -> Loss:
    """Sum over valid targets of the next-token loss (plus ``z_loss`` times the squared log-partition).

    Args:
        hidden_ND: Final hidden states, in the precision of the head's matrix product.
        weight_VD: The head; rows from ``vocabulary_size`` on only pad it and get no probability.
        targets_N: Next tokens; ``NOT_SCORED`` where a target does not count.
        vocabulary_size: Entries of the vocabulary.
        z_loss: Weight of the squared log-partition.
        chunk_tokens: Rows of logits that exist at once; by default what suits the device.

    Returns:
        The sums; they can be differentiated once.
    """
    chunk_tokens = chunk_tokens or ops.loss_chunk_tokens(hidden_ND)
    apply = cast(Any, _ChunkedCrossEntropy.apply)
    return Loss(*apply(hidden_ND, weight_VD, targets_N, vocabulary_size, z_loss, chunk_tokens))


@torch.no_grad()
def each_token_loss(hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, vocabulary_size: int) -> Tensor:
    """Negative log-likelihood of each target, float32 (N,); 0 where not scored.

    Only targets that count get logits, and those exist a chunk at a time.
    """
    weight = weight_VD[:vocabulary_size].to(hidden_ND.dtype)
    losses_N = torch.zeros(len(targets_N), device=hidden_ND.device)
    for rows in torch.split((targets_N != NOT_SCORED).nonzero().flatten(), ops.loss_chunk_tokens(hidden_ND)):
        losses_N[rows] = _token_losses(hidden_ND[rows] @ weight.T, targets_N[rows])[0]
    return losses_N
