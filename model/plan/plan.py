"""``tokenmill plan``: what a training run will need, before anything is spent.  No torch.

Parameters and operations are counted in ``flops``, memory in ``memory``; the devices are those of
model/devices/hardware.py, and of ``machines``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from model.devices.hardware import DEVICES, Device
from model.network.config import ModelConfig
from model.plan.flops import flops_per_token, parameter_counts
from model.plan.machines import Processor
from model.plan.memory import Memory, memory, memory_advice
from pipeline.base.words import duration
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
    hardware: Sequence[Device] = DEVICES,
    processor: Processor | None = None,
) -> dict[str, Any]:
    """The whole plan as plain values.

    Args:
        config: The model.
        train: Its training.
        devices: Devices that train together.
        mfu: Share of a device's peak that training reaches.
        available_tokens: Tokens to train on that a run has already made.
        hardware: Devices to reckon with.
        processor: This machine's, as the last row.
    """
    counts = parameter_counts(config)
    parameters = sum(counts.values())
    non_embedding = sum(count for name, count in counts.items() if name not in EMBEDDING_PARTS)
    flops = flops_per_token(config)
    tokens = train.steps * train.global_batch_tokens
    needed, on_cpu = memory(config, train, processes=devices), memory(config, train, processes=devices, cpu=True)
    training = {name: getattr(train, name) for name in ("learning_rate", "global_batch_tokens", "steps")}
    if train.optimizer == "muon":
        training["muon_learning_rate"] = train.muon_learning_rate
    rows = [_on(device, flops * tokens, needed, devices, mfu) for device in hardware]
    if processor:
        rows.append(_on_processor(processor, flops * tokens, memory(config, train, cpu=True)))
    return {
        "shape": {name: getattr(config, name) for name in ("layers", "heads", "width", "context_length")},
        "training": {"optimizer": train.optimizer, **training},
        "parameters": {**counts, "total": parameters, "without_embeddings": non_embedding},
        "flops_per_token": flops,
        "tokens": tokens,
        "total_flops": flops * tokens,
        "compute_optimal_tokens": int(TOKENS_PER_PARAMETER * parameters),
        "available_tokens": available_tokens,
        "epochs": None if not available_tokens else tokens / available_tokens,
        "memory_bytes": {**asdict(needed), "total": needed.total},
        "memory_bytes_cpu": {**asdict(on_cpu), "total": on_cpu.total},
        "checkpoint_bytes": 4 * sum(parameter_counts(config, padded=True).values()) + needed.optimizer,
        "memory_advice": memory_advice(config, train, devices),
        "hardware": rows,
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


def _on_processor(processor: Processor, total_flops: float, needed: Memory) -> dict[str, Any]:
    """A row as for a device; a processor that one has costs nothing that is known, and its peak is not asked."""
    return {
        "device": processor.name,
        "devices": 1,
        "fits": needed.total < 0.9 * processor.memory_bytes,
        "hours": total_flops / processor.flops / 3600.0,
        "dollars": None,
        "mfu": None,
        "source": processor.source,
    }


def plan_text(plan: dict[str, Any]) -> str:
    """The plan as a person reads it."""
    parameters, gpu, cpu = plan["parameters"], plan["memory_bytes"], plan["memory_bytes_cpu"]
    have = []
    if plan["available_tokens"] is not None:
        passes = f"   {plan['epochs']:,.1f} passes over them" if plan["epochs"] else ""
        have = [f"  you have            {plan['available_tokens']:>18,}{passes}"]
    lines = [
        "shape                 " + ", ".join(f"{name} {value:,}" for name, value in plan["shape"].items()),
        "training              " + ", ".join(f"{name} {value}" for name, value in plan["training"].items()),
        f"parameters            {parameters['total']:>18,}",
        *(f"  {name:20}{value:>18,}" for name, value in parameters.items() if name != "total" and value),
        f"FLOPs per token       {plan['flops_per_token']:>18,.4g}",
        f"tokens to train on    {plan['tokens']:>18,}",
        *have,
        f"  compute-optimal     {plan['compute_optimal_tokens']:>18,}",
        f"FLOPs in all          {plan['total_flops']:>18,.4g}",
        f"memory                {'a GPU':>15}    {'a CPU':>12}",
        *(f"  {name:20}{gpu[name] / 1e6:>15,.0f} MB {cpu[name] / 1e6:>12,.0f} MB" for name in gpu if name != "total"),
        f"  {'at most at once':20}{gpu['total'] / 1e6:>15,.0f} MB {cpu['total'] / 1e6:>12,.0f} MB",
        f"checkpoint            {plan['checkpoint_bytes'] / 1e6:>15,.0f} MB",
        "",
        f"{'device':14} {'number':>6}  fits  {'time':>14} {'dollars':>11}",
    ]
    for row in plan["hardware"]:
        fits = "yes" if row["fits"] else "no"
        figures = f"{_time(row['hours']):>14} {_dollars(row['dollars']):>11}"
        lines.append(f"{row['device']:14} {row['devices']:>6}  {fits:4}  {figures}")
    return "\n".join([*lines, *_notes(plan)])


def _notes(plan: dict[str, Any]) -> Iterator[str]:
    """Where the figures of the table come from, and what to do where it does not fit."""
    reckoned = [row for row in plan["hardware"] if row["mfu"] is not None]
    if reckoned:
        yield (
            f"devices at {reckoned[0]['mfu']:.0%} of their peak (--mfu), which small models do not reach; "
            "other devices and prices: --hardware, --price"
        )
    yield from (f"{row['device']}: {row['source']}" for row in plan["hardware"] if row["mfu"] is None)
    if not all(row["fits"] for row in reckoned):
        yield f"where it does not fit: {plan['memory_advice']}"


def _time(hours: float) -> str:
    """Hours in the unit that suits them."""
    if hours * 3600 < 1:
        return "under 1 s"
    if hours < 48:
        return duration(hours * 3600)
    days = hours / 24
    return f"{days:,.1f} days" if days < 1000 else f"{days / 365:,.0f} years"


def _dollars(dollars: float | None) -> str:
    if dollars is None or dollars == 0:
        return "-"
    return "under 0.01" if dollars < 0.01 else f"{dollars:,.2f}"
