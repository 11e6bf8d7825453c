import math

import pytest
import torch

from model.evaluation.generate import Sampling, generate
from model.network.attention import KeyValueCache
from model.network.config import ModelConfig
from model.network.transformer import Transformer
from pipeline.base.errors import UserError

SMALL = {"vocabulary_size": 90, "context_length": 24, "layers": 2, "heads": 4, "width": 32}
KINDS = {
    "gpt2": ModelConfig("gpt2", **SMALL),
    "qwen3": ModelConfig("qwen3", key_value_heads=2, **SMALL),
    "llama": ModelConfig("qwen3", qk_norm=False, tied_embeddings=False, **SMALL),
}


def lively(config: ModelConfig) -> Transformer:
    """A model whose logits differ from token to token: no parameter is zero."""
    model = Transformer(config).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.empty(parameter.shape).normal_(0.0, 0.1, generator=generator))
    return model


def ids(*shape: int) -> torch.Tensor:
    return torch.randint(0, 90, shape, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("architecture", ["gpt2", "qwen3"])
@pytest.mark.parametrize("width", [64, 512])
def test_first_loss_is_the_logarithm_of_the_vocabulary(architecture: str, tied: bool, width: int) -> None:
    config = ModelConfig(architecture, 4096, 32, layers=2, heads=4, width=width, tied_embeddings=tied)
    inputs, targets = torch.randint(0, 4096, (2, 4, 32), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        loss = Transformer(config).loss(inputs, targets).total / targets.numel()
    assert abs(float(loss) - math.log(4096)) < (0.1 if tied else 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_later_token_changes_no_earlier_logit(kind: str) -> None:
    model, inputs = lively(KINDS[kind]), ids(1, 24)
    changed = inputs.clone()
    changed[0, 15] = (changed[0, 15] + 1) % 90
    with torch.no_grad():
        before, after = model(inputs), model(changed)
    assert torch.equal(before[:, :15], after[:, :15])
    assert not torch.allclose(before[:, 15:], after[:, 15:])


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_masked_documents_equal_documents_on_their_own(kind: str) -> None:
    model, inputs = lively(KINDS[kind]), ids(1, 24)
    lengths = [5, 12, 7]
    documents = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths))[None]
    positions = torch.cat([torch.arange(n) for n in lengths])[None]
    together = model(inputs, documents=(documents, positions))
    apart = torch.cat([model(part) for part in inputs.split(lengths, dim=1)], dim=1)
    assert torch.allclose(together, apart, atol=1e-5)
    assert not torch.allclose(together, model(inputs), atol=1e-3), "the mask must have made a difference"


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_cache_gives_the_logits_of_no_cache(kind: str) -> None:
    model, inputs, cache = lively(KINDS[kind]), ids(2, 20), KeyValueCache()
    parts = [model(part, cache=cache) for part in inputs.split([7, 1, 1, 5, 6], dim=1)]
    assert torch.allclose(torch.cat(parts, dim=1), model(inputs), atol=1e-5)


@pytest.mark.parametrize("sampling", [None, Sampling(0.9, seed=3), Sampling(1.0, top_k=5), Sampling(1.0, top_p=0.6)])
@pytest.mark.parametrize("kind", KINDS)
def test_generation_with_and_without_cache_is_the_same_beyond_the_context(kind: str, sampling: Sampling | None) -> None:
    model, prompt = lively(KINDS[kind]), ids(10).tolist()
    texts = [
        list(generate(model, prompt, max_new_tokens=40, sampling=sampling, use_cache=use_cache))
        for use_cache in (True, False)
    ]
    assert texts[0] == texts[1]
    assert len(texts[0]) == 40
    assert len(set(texts[0])) > 3, "a text of one token would prove nothing"


def test_same_seed_same_text_and_other_seed_other_text() -> None:
    model = lively(KINDS["gpt2"])
    texts = [list(generate(model, [1, 2], max_new_tokens=15, sampling=Sampling(seed=s))) for s in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_end_of_text_ends_the_text() -> None:
    model = lively(KINDS["gpt2"])
    text = list(generate(model, [1], max_new_tokens=10))
    assert list(generate(model, [1], max_new_tokens=10, end_of_text=text[3])) == text[: text.index(text[3])]


def test_top_k_of_one_is_greedy() -> None:
    model = lively(KINDS["qwen3"])
    one = list(generate(model, [5], max_new_tokens=12, sampling=Sampling(1.0, top_k=1)))
    assert one == list(generate(model, [5], max_new_tokens=12))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_activation_checkpointing_changes_no_gradient(kind: str, precision: torch.dtype) -> None:
    inputs, targets = ids(2, 24), ids(2, 24)
    gradients = []
    for recompute in (False, True, "selective"):
        model = lively(KINDS[kind])
        model.precision = precision
        model.recompute(recompute)
        model.loss(inputs, targets).total.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(*gradients, strict=True))


def test_bfloat16_loss_is_close_to_float32() -> None:
    inputs, targets = ids(2, 24), ids(2, 24)
    losses = []
    for precision in (torch.float32, torch.bfloat16):
        model = lively(KINDS["gpt2"])
        model.precision = precision
        losses.append(float(model.loss(inputs, targets).total.detach()) / targets.numel())
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.01)


def test_text_longer_than_the_context_is_refused() -> None:
    with pytest.raises(UserError, match="more than the model's context of 24"):
        lively(KINDS["gpt2"])(ids(1, 25))


def test_heads_that_do_not_divide_the_width_are_refused_with_those_that_do() -> None:
    with pytest.raises(UserError, match=r"model.heads = 5 does not divide model.width = 64; heads such as .*4"):
        ModelConfig(heads=5, width=64)


def test_public_names_come_without_importing_torch_first() -> None:
    import model

    assert model.Transformer is Transformer
    assert model.ModelConfig is ModelConfig
    with pytest.raises(AttributeError):
        _ = model.nothing  # type: ignore[attr-defined]
