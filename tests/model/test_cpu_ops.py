"""The hand-written backward passes of the CPU equal torch's own operations, in value and in gradient."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the customary name

from model.network import cpu_ops, ops
from model.network.config import ModelConfig
from model.network.ops import rotate
from model.network.rotary import rotary_table
from model.network.transformer import Transformer


def leaves(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Random tensors that need gradients."""
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]


def compared(found: Tensor, expected: Tensor, inputs: list[Tensor], tolerance: float) -> None:
    """Asserts equal values and equal gradients of a random weighting of them."""
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(8)).to(found.dtype)
    for ours, theirs in zip(
        torch.autograd.grad(found, inputs, weights), torch.autograd.grad(expected, inputs, weights), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


def test_rms_norm() -> None:
    x, gain = leaves((3, 5, 16), (16,))
    compared(cpu_ops.rms_norm(x, gain, 1e-6), F.rms_norm(x, (16,), gain, 1e-6), [x, gain], 1e-5)


@pytest.mark.parametrize("normalised", [True, False])
def test_norm_and_rotate(normalised: bool) -> None:
    x, gain = leaves((2, 6, 3, 8), (3, 8))
    cosine, sine = (part.unsqueeze(-2) for part in rotary_table(ModelConfig("qwen3", 8, 6, heads=1, width=8)))
    expected = F.rms_norm(x, (8,), None, 1e-6) * gain if normalised else x
    found = cpu_ops.norm_and_rotate(x, gain if normalised else None, cosine, sine, 1e-6)
    compared(found, rotate(expected, cosine, sine), [x, gain] if normalised else [x], 1e-5)


def test_gated_unit() -> None:
    (x,) = leaves((4, 5, 12))
    gate, up = x.chunk(2, dim=-1)
    compared(cpu_ops.gated_unit(x), F.silu(gate) * up, [x], 1e-5)


@pytest.mark.parametrize("key_heads", [4, 2, 1])
@pytest.mark.parametrize("masked", [False, True])
def test_attention(key_heads: int, masked: bool) -> None:
    query, key, value = leaves((2, 4, 9, 8), (2, key_heads, 9, 8), (2, key_heads, 9, 8))
    causal = torch.ones(9, 9, dtype=torch.bool).tril()
    documents = torch.tensor([[0] * 4 + [1] * 5, [0] * 9])
    mask = causal & (documents[:, :, None] == documents[:, None, :])
    expected = F.scaled_dot_product_attention(
        query, key, value, attn_mask=mask[:, None] if masked else causal, enable_gqa=True
    )
    found = cpu_ops.attention(query, key, value, mask if masked else None)
    compared(found, expected, [query, key, value], 1e-5)


def test_attention_in_bfloat16_is_close_to_float32() -> None:
    tensors = leaves((2, 4, 64, 32), (2, 4, 64, 32), (2, 4, 64, 32), dtype=torch.bfloat16)
    assert ops.keeps_scores(tensors[0], tensors[1])
    query, key, value = tensors
    exact = F.scaled_dot_product_attention(query.float(), key.float(), value.float(), is_causal=True).detach()
    error = (cpu_ops.attention(query, key, value, None).detach().float() - exact).norm() / exact.norm()
    assert float(error) < 0.01


def test_attention_is_left_to_torch_in_float32_and_in_long_contexts() -> None:
    short, exact = (torch.zeros(1, 1, 8, 4, dtype=dtype) for dtype in (torch.bfloat16, torch.float32))
    long = torch.zeros(1, 1, ops.LONGEST_EXPLICIT + 1, 4, dtype=torch.bfloat16)  # type: ignore[attr-defined]
    assert ops.keeps_scores(short, short)
    assert not ops.keeps_scores(exact, exact)
    assert not ops.keeps_scores(long, long)


@pytest.mark.parametrize("architecture", ["gpt2", "qwen3"])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_kernels_of_other_devices_give_the_same_loss_and_gradients(
    architecture: str, precision: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ModelConfig(architecture, 300, 32, layers=2, heads=4, width=64, tied_embeddings=False)
    ids, found = torch.randint(0, 300, (2, 3, 32), generator=torch.Generator().manual_seed(1)), []
    for on_cpu in (True, False):
        monkeypatch.setattr(ops, "_on_cpu", lambda tensor, answer=on_cpu: answer)
        model = Transformer(config)
        with torch.no_grad():
            for block in model.blocks:  # qwen3 starts those at zero, behind which nothing would show
                block.attention.output.weight.normal_(0.0, 0.02, generator=torch.Generator().manual_seed(2))
                block.feed_forward.down.weight.normal_(0.0, 0.02, generator=torch.Generator().manual_seed(3))
            model.head_weight.normal_(0.0, 0.02, generator=torch.Generator().manual_seed(4))
        model.precision = precision
        loss = model.loss(ids[0], ids[1]).total
        loss.backward()
        found.append([loss.detach(), *(parameter.grad for parameter in model.parameters())])
    tolerance = 1e-5 if precision == torch.float32 else 5e-2
    for ours, theirs in zip(*found, strict=True):
        assert float((ours - theirs).norm() / theirs.norm()) < tolerance
