"""``tokenmill plan``: what a training run will need, before anything is spent.  No torch.

Memory is counted by part: weights, gradients and optimizer state from the parameter counts; activations from what each
block of model/transformer.py keeps for its backward pass.
"""

from dataclasses import asdict, dataclass
from typing import Any

from model.config import LOSS_CHUNK_TOKENS, ModelConfig
from model.flops import flops_per_token, parameter_counts
from model.hardware import DEVICES, Device
from pipeline.options import Train

TOKENS_PER_PARAMETER = 20.0  # compute-optimal, Hoffmann et al., arXiv:2203.15556
ASSUMED_MFU = 0.4  # of a well-kept run on one node; the command line takes another
EMBEDDING_PARTS = ("token_embedding", "position_embedding", "head")


@dataclass(frozen=True)
class Memory:
    """Bytes on one device, by part."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """All parts together."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits


def memory(config: ModelConfig, train: Train, *, processes: int = 1, bytes_per_value: int = 2) -> Memory:
    """Bytes that training needs on each device.

    Args:
        config: The model.
        train: Micro-batch, optimizer, sharding and activation checkpointing.
        processes: Devices that train together; ``fsdp`` divides weights, gradients and optimizer state among them.
        bytes_per_value: 2 where matrix products run in bfloat16, else 4.
    """
    counts = parameter_counts(config, padded=True)
    total = sum(counts.values())
    hidden = counts["attention"] + counts["feed_forward"] if train.optimizer == "muon" else 0
    share = processes if train.parallel == "fsdp" else 1
    tokens = train.micro_batch_sequences * config.context_length
    logits = 2 * min(tokens, LOSS_CHUNK_TOKENS) * config.padded_vocabulary * 4 + tokens * config.width * bytes_per_value
    return Memory(
        weights=4 * total // share,
        gradients=4 * total // share,
        optimizer=(8 * (total - hidden) + 4 * hidden) // share,
        activations=tokens * _activation_bytes(config, train, bytes_per_value),
        logits=logits,
    )


def _activation_bytes(config: ModelConfig, train: Train, bytes_per_value: int) -> int:
    """Bytes kept for the backward pass, a token."""
    width, attention, kv = config.width, config.attention_width, config.key_value_width
    residual = 4 * width
    norms = 2 * (4 * width + bytes_per_value * width)  # each norm's float32 input and the cast output
    stacked = bytes_per_value * (2 * (attention + 2 * kv) + attention)  # projections, their heads, the output's input
    score_statistics = 4 * config.heads
    hidden = config.feed_forward_width * bytes_per_value * (2 if config.architecture == "gpt2" else 4)
    if config.architecture == "qwen3" and config.qk_norm:
        stacked += 4 * 3 * (attention + kv)  # float32 heads before and after the norm and the rotation
    block = norms + stacked + score_statistics + hidden
    if train.activation_checkpointing:
        return config.layers * residual + block
    return config.layers * block + 2 * residual


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
    needed = memory(config, train, processes=devices)
    return {
        "parameters": {**counts, "total": parameters, "without_embeddings": non_embedding},
        "flops_per_token": flops,
        "tokens": tokens,
        "total_flops": flops * tokens,
        "compute_optimal_tokens": int(TOKENS_PER_PARAMETER * parameters),
        "epochs": None if not available_tokens else tokens / available_tokens,
        "memory_bytes": {**asdict(needed), "total": needed.total},
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
        "dollars": hours * devices * device.dollars_an_hour,
        "mfu": mfu,
        "source": device.source,
    }


def memory_advice(config: ModelConfig, train: Train, processes: int = 1) -> str:
    """What to lower when memory runs out, with the figures."""
    needed = memory(config, train, processes=processes)
    parts = ", ".join(f"{name} {value / 1e6:,.0f} MB" for name, value in asdict(needed).items())
    half = max(1, train.micro_batch_sequences // 2)
    ways = [f"train.micro_batch_sequences = {half} (now {train.micro_batch_sequences}; the result is the same)"]
    if not train.activation_checkpointing:
        ways.append("train.activation_checkpointing = true")
    if train.parallel != "fsdp" and processes > 1:
        ways.append('train.parallel = "fsdp"')
    return f"the plan needs {needed.total / 1e6:,.0f} MB a device ({parts}); lower it with {', or '.join(ways)}"


def plan_text(plan: dict[str, Any]) -> str:
    """The plan as a person reads it."""
    parameters, parts = plan["parameters"], plan["memory_bytes"]
    lines = [
        f"parameters            {parameters['total']:>18,}",
        *(f"  {name:20}{value:>18,}" for name, value in parameters.items() if name != "total" and value),
        f"FLOPs a token         {plan['flops_per_token']:>18,.4g}",
        f"tokens                {plan['tokens']:>18,}",
        f"  compute-optimal     {plan['compute_optimal_tokens']:>18,}",
        f"FLOPs in all          {plan['total_flops']:>18,.4g}",
        f"memory a device       {parts['total'] / 1e6:>15,.0f} MB",
        *(f"  {name:20}{value / 1e6:>15,.0f} MB" for name, value in parts.items() if name != "total"),
        f"checkpoint            {plan['checkpoint_bytes'] / 1e6:>15,.0f} MB",
        "",
        "device       number  fits       hours     dollars   (peaks and prices: model/hardware.py)",
    ]
    for row in plan["hardware"]:
        fits = "yes" if row["fits"] else "no"
        lines.append(
            f"{row['device']:12} {row['devices']:>6}  {fits:4} {row['hours']:>11,.4g} {row['dollars']:>11,.4g}"
        )
    return "\n".join(lines)
