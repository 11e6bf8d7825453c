"""``tokenmill plan``: what a training run will need, before anything is spent.  No torch.

Parameters and operations are counted in ``flops``, memory in ``memory``, devices in model/devices/hardware.py.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from model.devices.hardware import DEVICES, Device
from model.network.config import ModelConfig
from model.plan.flops import flops_per_token, parameter_counts
from model.plan.memory import Memory, memory
from pipeline.base.errors import UserError
from pipeline.base.words import duration
from pipeline.proposal.sizes import CPU_FLOPS
from pipeline.recipe.training_options import Train

TOKENS_PER_PARAMETER = 20.0  # compute-optimal, Hoffmann et al., arXiv:2203.15556
ASSUMED_MFU = 0.4  # of a well-kept run on one node; the command line takes another
MANY_SECONDS = 4 * 86400  # above it, days
EMBEDDING_PARTS = ("token_embedding", "position_embedding", "head")


def estimate(
    config: ModelConfig,
    train: Train,
    *,
    devices: int = 1,
    mfu: float = ASSUMED_MFU,
    available_tokens: int | None = None,
    hardware: Sequence[Device] = DEVICES,
) -> dict[str, Any]:
    """The whole plan as plain values.

    Args:
        config: The model.
        train: Its training.
        devices: That train together.
        mfu: Share of their peak rate that is reached.
        available_tokens: That a run holds to train on.
        hardware: Devices to reckon with; this machine's processor comes before them.
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
        "hardware": [
            _on(_this_cpu(), flops, tokens, on_cpu, 1, 1.0),
            *(_on(device, flops, tokens, needed, devices, mfu) for device in hardware),
        ],
    }


def _this_cpu() -> Device:
    """The processors that may be used, at the rate that training reaches on them: what ``mfu`` is to a GPU is in it."""
    cores = len(os.sched_getaffinity(0))
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Device(f"CPU, {cores} cores", CPU_FLOPS * cores, memory_bytes, 0.0, "docs/benchmarks/demo.md, float32")


def chosen_devices(names: Sequence[str], price: float | None = None) -> list[Device]:
    """The devices whose names hold one of these words; all without any.

    Args:
        names: Words, in capitals or not, such as ``h100``; ``cpu`` is this machine's processor, which is shown anyway.
        price: Dollars for an hour of each, in place of those of the table.

    Raises:
        UserError: If a word is in no name.
    """
    known = [device.name for device in DEVICES]
    asked = [name.lower() for name in names if name.lower() != "cpu"]
    for name in asked:
        if not any(name in one.lower() for one in known):
            raise UserError(f"--hardware {name}: no such device; known are cpu, {', '.join(known)}")
    wanted = [device for device in DEVICES if not names or any(name in device.name.lower() for name in asked)]
    return wanted if price is None else [replace(device, dollars_per_hour=price) for device in wanted]


def _on(device: Device, flops: float, tokens: int, needed: Memory, devices: int, mfu: float) -> dict[str, Any]:
    rate = device.peak_flops * mfu * devices / flops
    hours = tokens / rate / 3600.0
    return {
        "device": device.name,
        "devices": devices,
        "fits": needed.total < 0.9 * device.memory_bytes,
        "tokens_per_second": rate,
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
        *_available(plan),
        f"FLOPs in all          {plan['total_flops']:>18,.4g}",
        f"memory                {'a GPU':>15}    {'a CPU':>12}",
        *(f"  {name:20}{gpu[name] / 1e6:>15,.0f} MB {cpu[name] / 1e6:>12,.0f} MB" for name in gpu if name != "total"),
        f"  {'at most at once':20}{gpu['total'] / 1e6:>15,.0f} MB {cpu['total'] / 1e6:>12,.0f} MB",
        f"checkpoint            {plan['checkpoint_bytes'] / 1e6:>15,.0f} MB",
        "",
        f"{'device':15} number  fits {'tokens/s':>13} {'time':>14} {'dollars':>13}",
    ]
    for row in plan["hardware"]:
        fits, rate = "yes" if row["fits"] else "no", f"{row['tokens_per_second']:,.0f}"
        took, dollars = _time(3600 * row["hours"]), _dollars(row["dollars"])
        lines.append(f"{row['device']:15} {row['devices']:>6}  {fits:4} {rate:>13} {took:>14} {dollars:>13}")
    lines.append("peaks and prices: model/devices/hardware.py; others: --hardware, --price")
    return "\n".join(lines)


def _available(plan: dict[str, Any]) -> list[str]:
    """The tokens that the run has, beside those that are to be read."""
    if not plan["available_tokens"]:
        return []
    times = f"{plan['epochs']:.2g} times" if plan["epochs"] < 100 else f"{plan['epochs']:,.0f} times"
    return [f"  the run has         {plan['available_tokens']:>18,}   each would be read {times}"]


def _time(seconds: float) -> str:
    """A time as a person would say it.

    Example:
        >>> [_time(seconds) for seconds in (0.2, 90, 7200, 1e7)]
        ['under 1 s', '1 min 30 s', '2 h 00 min', '116 days']
    """
    if seconds < 1:
        return "under 1 s"
    return duration(seconds) if seconds < MANY_SECONDS else f"{seconds / 86400:,.0f} days"


def _dollars(dollars: float) -> str:
    """An amount to the cent.

    Example:
        >>> [_dollars(amount) for amount in (0.0, 1e-9, 486.4)]
        ['-', 'under 0.01', '486.40']
    """
    if not dollars:
        return "-"
    return f"{dollars:,.2f}" if dollars >= 0.01 else "under 0.01"
