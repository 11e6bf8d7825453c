import pytest
import torch

from model.config import ModelConfig
from model.flops import flops_per_token, parameter_counts
from model.hardware import DEVICES, known_device
from model.plan import estimate, memory, memory_advice, plan_text
from model.transformer import Transformer
from pipeline.options import Model, Train

GPT2 = {"vocabulary_size": 50257, "context_length": 1024}


@pytest.mark.parametrize(
    ("layers", "heads", "width", "published"),
    [
        (12, 12, 768, 124_439_808),
        (24, 16, 1024, 354_823_168),
        (36, 20, 1280, 774_030_080),
        (48, 25, 1600, 1_557_611_200),
    ],
)
def test_parameters_equal_the_published_gpt2_sizes(layers: int, heads: int, width: int, published: int) -> None:
    config = ModelConfig("gpt2", layers=layers, heads=heads, width=width, **GPT2)
    assert sum(parameter_counts(config).values()) == published


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    "config",
    [
        {"architecture": "gpt2"},
        {"architecture": "qwen3", "key_value_heads": 2, "head_width": 20},
        {"architecture": "qwen3", "qk_norm": False},
    ],
)
def test_counted_parameters_are_those_of_the_model(config: dict[str, object], tied: bool) -> None:
    made = ModelConfig(vocabulary_size=301, context_length=40, layers=3, width=64, tied_embeddings=tied, **config)
    model = Transformer(made)
    assert sum(p.numel() for p in model.parameters()) == sum(parameter_counts(made, padded=True).values())


def test_flops_of_gpt2_are_six_a_weight_and_the_attention() -> None:
    config = ModelConfig("gpt2", layers=12, heads=12, width=768, **GPT2)
    assert flops_per_token(config) == 6 * (12 * 12 * 768**2 + 50257 * 768) + 12 * 12 * 768 * 1024


def test_activation_memory_is_near_what_autograd_keeps() -> None:
    config = ModelConfig("gpt2", 4096, 128, layers=4, heads=4, width=128)
    train = Train(micro_batch_sequences=8, precision="float32")
    model, kept = Transformer(config), {}
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.randint(0, 4096, (8, 128))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(ids, ids).total
    planned = memory(config, train, bytes_per_value=4)
    measured = sum(kept.values())
    assert loss.requires_grad
    assert planned.activations == pytest.approx(measured, rel=0.2)


def test_sharding_divides_and_recomputing_lowers() -> None:
    config = ModelConfig(layers=8)
    whole = memory(config, Train(), processes=4)
    sharded = memory(config, Train(parallel="fsdp"), processes=4)
    assert sharded.weights == whole.weights // 4
    assert sharded.activations == whole.activations
    recomputed = memory(config, Train(activation_checkpointing=True))
    assert recomputed.activations < whole.activations / 3
    assert memory(config, Train(optimizer="muon")).optimizer < whole.optimizer


def test_plan_names_devices_with_sources_and_scales_with_their_number() -> None:
    config = ModelConfig()
    one, eight = (estimate(config, Train(), devices=number) for number in (1, 8))
    assert [row["device"] for row in one["hardware"]] == [device.name for device in DEVICES]
    assert all(row["source"] for row in one["hardware"])
    assert one["hardware"][0]["hours"] == pytest.approx(8 * eight["hardware"][0]["hours"])
    assert one["compute_optimal_tokens"] == 20 * one["parameters"]["total"]
    assert "compute-optimal" in plan_text(one)


def test_advice_lowers_the_micro_batch_by_half() -> None:
    assert "train.micro_batch_sequences = 8 (now 16" in memory_advice(ModelConfig(), Train())


@pytest.mark.parametrize(
    ("reported", "peak"),
    [
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA A100-PCIE-40GB", 312e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("Tesla T4", 65e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA GeForce RTX 4090", 165.2e12),
    ],
)
def test_peak_of_a_reported_device(reported: str, peak: float) -> None:
    found = known_device(reported)
    assert found is not None
    assert found.peak_flops == peak


def test_unknown_device_has_no_peak() -> None:
    assert known_device("Some Other Accelerator") is None


def test_depth_sets_layers_heads_and_width() -> None:
    config = ModelConfig.from_recipe(Model(depth=6), 1000)
    assert (config.layers, config.heads, config.width, config.head_width) == (6, 6, 384, 64)
