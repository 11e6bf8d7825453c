import re

import pytest

from model.devices.hardware import DEVICES, known_device
from model.network.config import ModelConfig
from model.network.transformer import Transformer
from model.plan.flops import flops_per_token, parameter_counts
from model.plan.plan import chosen_devices, estimate, plan_text
from pipeline.base.errors import UserError
from pipeline.recipe.training_options import Train

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


def test_plan_names_devices_with_sources_and_scales_with_their_number() -> None:
    config = ModelConfig()
    one, eight = (estimate(config, Train(), devices=number) for number in (1, 8))
    assert [row["device"] for row in one["hardware"][1:]] == [device.name for device in DEVICES]
    assert all(row["source"] for row in one["hardware"])
    assert one["hardware"][1]["hours"] == pytest.approx(8 * eight["hardware"][1]["hours"])
    assert one["compute_optimal_tokens"] == 20 * one["parameters"]["total"]
    assert "compute-optimal" in plan_text(one)


def test_plan_has_this_machine_chosen_devices_and_a_price_of_ones_own() -> None:
    plan = estimate(ModelConfig(), Train(), devices=2, hardware=chosen_devices(["h100", "H200"], 2.5))
    rows = {row["device"]: row for row in plan["hardware"]}
    cpu, *others = rows
    assert cpu.startswith("CPU, ")
    assert others == ["H100 PCIe", "H100 SXM", "H200"]
    assert rows["H200"]["dollars"] == pytest.approx(rows["H200"]["hours"] * 2 * 2.5)
    assert (rows[cpu]["devices"], rows[cpu]["dollars"]) == (1, 0)
    assert rows[cpu]["hours"] > rows["H200"]["hours"]
    assert rows["H200"]["tokens_per_second"] * 3600 * rows["H200"]["hours"] == pytest.approx(plan["tokens"])
    with pytest.raises(UserError, match="--hardware h1000: no such device; known are cpu, V100"):
        chosen_devices(["h1000"])
    assert chosen_devices(["CPU"]) == []
    assert [device.name for device in chosen_devices(["cpu", "h200"])] == ["H200"]


def test_plan_shows_the_tokens_that_are_there_and_no_figure_of_ten_zeros() -> None:
    text = plan_text(estimate(ModelConfig(), Train(steps=3, global_batch_tokens=1024), available_tokens=1000))
    assert re.search(r"the run has +1,000 +each would be read 3.1 times", text)
    assert "under 1 s" in text
    assert "under 0.01" in text
    assert "e-0" not in text


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


def test_plan_tells_what_the_dial_chose() -> None:
    text = plan_text(estimate(ModelConfig(), Train(optimizer="muon", learning_rate=0.004)))
    assert "learning_rate 0.004" in text
    assert "muon_learning_rate 0.02" in text
    assert "layers 4, heads 4, width 256" in text
