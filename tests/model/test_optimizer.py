from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model.checkpoints.tensor_file import TensorFile
from model.network.config import ModelConfig
from model.network.transformer import Transformer
from model.updates.muon import Muon, orthogonalised
from model.updates.optimizers import Optimizers, split_parameters
from pipeline.recipe.training_options import Train

SHAPES = [(8, 8), (8, 8), (24, 8), (8, 24), (16, 8)]


def parameters(seed: int) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def test_muon_equals_torch_muon_over_ten_steps() -> None:
    ours, theirs = parameters(1), parameters(1)
    settings = {"lr": 0.02, "weight_decay": 0.1, "momentum": 0.95}
    first, second = Muon(ours, **settings), torch.optim.Muon(theirs, **settings)
    generator = torch.Generator().manual_seed(5)
    for _ in range(10):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn(mine.shape, generator=generator)
            other.grad = mine.grad.clone()
        first.step()
        second.step()
    for mine, other, start in zip(ours, theirs, parameters(1), strict=True):
        moved = (other - start).norm()
        assert moved > 0.1, "the steps must have moved the weights"
        assert (mine - other).norm() / moved < 0.02  # bfloat16 products, summed in another order


def test_stacked_matrices_are_orthogonalised_one_by_one() -> None:
    stacked = torch.nn.Parameter(torch.zeros(24, 8))
    apart = [torch.nn.Parameter(torch.zeros(8, 8)) for _ in range(3)]
    gradient = torch.randn(24, 8, generator=torch.Generator().manual_seed(1))
    stacked.grad = gradient
    for part, chunk in zip(apart, gradient.split(8), strict=True):
        part.grad = chunk.clone()
    Muon([stacked], rows={stacked: [8, 8, 8]}).step()
    Muon(apart).step()
    assert torch.allclose(stacked, torch.cat(list(apart)), atol=1e-4)


def test_orthogonalised_singular_values_are_near_one() -> None:
    matrices = torch.randn(3, 16, 32, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalised(matrices, torch.float32))
    assert values.min() > 0.6
    assert values.max() < 1.25


def test_muon_refuses_what_is_no_matrix() -> None:
    with pytest.raises(ValueError, match="takes matrices"):
        Muon([torch.nn.Parameter(torch.zeros(3))])


@pytest.mark.parametrize("architecture", ["gpt2", "qwen3"])
def test_every_parameter_is_optimised_exactly_once(architecture: str) -> None:
    model = Transformer(ModelConfig(architecture, 100, 16, layers=2, heads=2, width=16))
    split = split_parameters(model, "muon")
    names = [*split.muon, *split.decayed, *split.plain]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())
    assert len(split.muon) == 8
    assert "token_embedding" in split.decayed
    assert all("norm" in name or "bias" in name or "position" in name for name in split.plain)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_state_survives_saving_and_loading(kind: str, tmp_path: Path) -> None:
    def made() -> tuple[Transformer, Optimizers]:
        model = Transformer(ModelConfig("qwen3", 64, 8, layers=1, heads=2, width=16))
        return model, Optimizers(model, Train(optimizer=kind))

    def update(model: Transformer, optimizers: Optimizers, seed: int) -> None:
        ids = torch.randint(0, 64, (2, 2, 8), generator=torch.Generator().manual_seed(seed))
        model.loss(ids[0], ids[1]).total.backward()
        optimizers.step(1.0)
        optimizers.zero_grad()

    model, optimizers = made()
    update(model, optimizers, 1)
    again, restored = made()
    again.load_state_dict(model.state_dict())
    save_file(optimizers.tensors(), tmp_path / "optimizer.safetensors")
    restored.load(TensorFile(tmp_path / "optimizer.safetensors"), optimizers.updates)
    for seed in (2, 3):
        update(model, optimizers, seed)
        update(again, restored, seed)
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
