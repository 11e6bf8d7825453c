"""``tokenmill plan``: what a training run will need, before anything is spent.  No torch.

Parameters and operations are counted in ``flops``, memory in ``memory``, devices in model/devices/hardware.py.
"""

from dataclasses import asdict
from typing import Any

from model.devices.hardware import DEVICES, Device
from model.network.config import ModelConfig
from model.plan.flops import flops_per_token, parameter_counts
from model.plan.memory import Memory, memory
from pipeline.recipe.training_options import Train

TOKENS_PER_PARAMETER = 20.0  # compute-optimal, Hoffmann et al., arXiv:2203.15556
ASSUMED_MFU = 0.4  # of a well-kept run on one node; the command line takes another
EMBEDDING_PARTS = ("token_embedding", "position_embedding", "head")


def estimate(
    config: ModelConfig,
    train: Train,
    *,
    devices: int = 1,
    mfu: float = ASSUMED_MFU,
    available_tokens: int | None = None,
) -> dict[str, Any]:
    """The whole plan as plain values."""
    counts = parameter_counts(config)
    parameters = sum(counts.values())
    non_embedding = sum(count for name, count in counts.items() if name not in EMBEDDING_PARTS)
    flops = flops_per_token(config)
    tokens = train.steps * train.global_batch_tokens
    needed, on_cpu = memory(config, train, processes=devices), memory(config, train, processes=devices, cpu=True)
    training = {name: getattr(train, name) for name in ("learning_rate", "global_batch_tokens", "steps")}
    if train.optimizer == "muon":
        training["muon_learning_rate"] = train.muon_learning_rate
    return {
        "shape": {name: getattr(config, name) for name in ("layers", "heads", "width", "context_length")},
        "training": {"optimizer": train.optimizer, **training},
        "parameters": {**counts, "total": parameters, "without_embeddings": non_embedding},
        "flops_per_token": flops,
        "tokens": tokens,
        "total_flops": flops * tokens,
        "compute_optimal_tokens": int(TOKENS_PER_PARAMETER * parameters),
        "epochs": None if not available_tokens else tokens / available_tokens,
        "memory_bytes": {**asdict(needed), "total": needed.total},
        "memory_bytes_cpu": {**asdict(on_cpu), "total": on_cpu.total},
        "checkpoint_bytes": 4 * sum(parameter_counts(config, padded=True).values()) + needed.optimizer,
        "hardware": [_on(device, flops * tokens, needed, devices, mfu) for device in DEVICES],
    }


def _on(device: Device, total_flops: float, needed: Memory, devices: int, mfu: float) -> dict[str, Any]:
    hours = total_flops / (device.peak_flops * mfu * devices) / 3600.0
    return {
        "device": device.name,
        "devices": devices,
        "fits": needed.total < 0.9 * device.memory_bytes,
        "hours": hours,
        "dollars": hours * devices * device.dollars_per_hour,
        "mfu": mfu,
        "source": device.source,
    }


def plan_text(plan: dict[str, Any]) -> str:
    """The plan as a person reads it."""
    parameters, gpu, cpu = plan["parameters"], plan["memory_bytes"], plan["memory_bytes_cpu"]
    lines = [
        "shape                 " + ", ".join(f"{name} {value:,}" for name, value in plan["shape"].items()),
        "training              " + ", ".join(f"{name} {value}" for name, value in plan["training"].items()),
        f"parameters            {parameters['total']:>18,}",
        *(f"  {name:20}{value:>18,}" for name, value in parameters.items() if name != "total" and value),
        f"FLOPs per token       {plan['flops_per_token']:>18,.4g}",
        f"tokens                {plan['tokens']:>18,}",
        f"  compute-optimal     {plan['compute_optimal_tokens']:>18,}",
        f"FLOPs in all          {plan['total_flops']:>18,.4g}",
        f"memory                {'a GPU':>15}    {'a CPU':>12}",
        *(f"  {name:20}{gpu[name] / 1e6:>15,.0f} MB {cpu[name] / 1e6:>12,.0f} MB" for name in gpu if name != "total"),
        f"  {'at most at once':20}{gpu['total'] / 1e6:>15,.0f} MB {cpu['total'] / 1e6:>12,.0f} MB",
        f"checkpoint            {plan['checkpoint_bytes'] / 1e6:>15,.0f} MB",
        "",
        "device       number  fits       hours     dollars   (peaks and prices: model/devices/hardware.py)",
    ]
    for row in plan["hardware"]:
        fits = "yes" if row["fits"] else "no"
        lines.append(
            f"{row['device']:12} {row['devices']:>6}  {fits:4} {row['hours']:>11,.4g} {row['dollars']:>11,.4g}"
        )
    return "\n".join(lines)
