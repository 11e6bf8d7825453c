import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from model.network.loss import NOT_SCORED, chunked_cross_entropy, each_token_loss


def case(z_loss: float, padded: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    hidden = torch.randn(50, 12, generator=generator, requires_grad=True)
    weight = torch.randn(37 + padded, 12, generator=generator, requires_grad=True)
    targets = torch.randint(0, 37, (50,), generator=generator)
    targets[::7] = NOT_SCORED
    return hidden, weight, targets


@pytest.mark.parametrize("z_loss", [0.0, 1e-2])
@pytest.mark.parametrize("chunk", [7, 50, 1000])
@pytest.mark.parametrize("padded", [0, 27])
def test_value_and_gradients_equal_plain_cross_entropy(z_loss: float, chunk: int, padded: int) -> None:
    hidden, weight, targets = case(z_loss, padded)
    logits = hidden @ weight[:37].T
    expected = F.cross_entropy(logits, targets, ignore_index=NOT_SCORED, reduction="sum")
    expected = expected + z_loss * (logits.logsumexp(-1).square() * (targets != NOT_SCORED)).sum()
    wanted = torch.autograd.grad(expected / 3, [hidden, weight])
    loss = chunked_cross_entropy(hidden, weight, targets, 37, z_loss=z_loss, chunk_tokens=chunk)
    found = torch.autograd.grad(loss.total / 3, [hidden, weight])
    assert torch.allclose(loss.total, expected, rtol=1e-5)
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    if padded:
        assert not found[1][37:].any(), "rows that pad the vocabulary must learn nothing"


def test_likelihood_leaves_the_partition_term_out() -> None:
    hidden, weight, targets = case(0.1)
    loss = chunked_cross_entropy(hidden, weight, targets, 37, z_loss=0.1)
    assert loss.likelihood < loss.total
    assert not loss.likelihood.requires_grad
    each = each_token_loss(hidden, weight, targets, 37)
    assert torch.allclose(each.sum(), loss.likelihood)
    assert not each[::7].any()
