"""What a device offers: the number format that its matrix units like, and the peak rates of known devices.

Peaks are dense bfloat16 FLOP/s from the makers' data sheets (no sparsity), in multiply-adds counted as two.
"""

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Device:
    """A device that a plan can name: peak, memory, and a price to reckon with.

    ``dollars_per_hour`` is an on-demand price of the order that clouds asked in 2025; it scales nothing but the cost.
    ``reported`` are parts of the names that drivers report, where these do not hold ``name``; the longest one counts.
    """

    name: str
    peak_flops: float
    memory_bytes: float
    dollars_per_hour: float
    source: str
    reported: tuple[str, ...] = ()


DEVICES = (
    Device("V100", 125e12, 16e9, 0.6, "NVIDIA V100 data sheet (float16 tensor cores; no bfloat16)"),
    Device("T4", 65e12, 16e9, 0.35, "NVIDIA T4 data sheet (float16; no bfloat16)"),
    Device("A10G", 70e12, 24e9, 1.0, "NVIDIA A10G data sheet"),
    Device("L4", 121e12, 24e9, 0.8, "NVIDIA L4 data sheet (half of the figure with sparsity)"),
    Device("L40S", 362e12, 48e9, 1.5, "NVIDIA L40S data sheet"),
    Device("RTX 3090", 71e12, 24e9, 0.3, "NVIDIA GA102 whitepaper (float32 accumulation)", ("3090",)),
    Device("RTX 4090", 165.2e12, 24e9, 0.5, "NVIDIA Ada whitepaper (float32 accumulation)", ("4090",)),
    Device("A100 40GB", 312e12, 40e9, 1.5, "NVIDIA A100 data sheet", ("A100",)),
    Device("A100 80GB", 312e12, 80e9, 1.9, "NVIDIA A100 data sheet", ("A100-SXM4-80GB", "A100 80GB")),
    Device("H100 PCIe", 756e12, 80e9, 2.4, "NVIDIA H100 data sheet (half of the figure with sparsity)"),
    Device("H100 SXM", 989e12, 80e9, 2.9, "NVIDIA H100 data sheet (half of the figure with sparsity)", ("H100",)),
    Device("H200", 989e12, 141e9, 3.6, "NVIDIA H200 data sheet (half of the figure with sparsity)"),
    Device("B200", 2250e12, 180e9, 5.5, "NVIDIA Blackwell data sheet (half of the figure with sparsity)"),
    Device("MI300X", 1307e12, 192e9, 3.0, "AMD MI300X data sheet"),
)


def known_device(reported: str) -> Device | None:
    """The entry for a device name as the driver reports it; None where the peak is not known."""
    parts = {part: device for device in DEVICES for part in device.reported or (device.name,)}
    found = max((part for part in parts if part in reported), key=len, default=None)
    return parts[found] if found else None


def peak_flops(device: "torch.device") -> float | None:
    """Peak of a device in bfloat16 FLOP/s; None for a CPU or a GPU that the table does not know."""
    import torch

    if device.type != "cuda":
        return None
    found = known_device(torch.cuda.get_device_name(device))
    return found.peak_flops if found else None


def chosen_precision(wanted: str, device: "torch.device") -> "torch.dtype":
    """Number format of the matrix products: the recipe's, or bfloat16 where the processor multiplies in it."""
    import torch

    if wanted != "auto":
        return torch.bfloat16 if wanted == "bfloat16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    cpu = torch.cpu
    fast = cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32


def compiles(wanted: str, device: "torch.device") -> bool:
    """Whether torch.compile is used: as the recipe says, or where it pays, which is on a GPU."""
    return wanted in ("on", "graphs") or (wanted == "auto" and device.type == "cuda")


def uncompiled(wanted: str, device: "torch.device") -> contextlib.AbstractContextManager[Any]:
    """Within it compiled blocks run as they are written: for shapes that would be compiled for a use or two.

    Sampled text has another length at every token, and the last batch of a validation set is smaller than the others.
    """
    if not compiles(wanted, device):  # the compiler is not even loaded then
        return contextlib.nullcontext()
    import torch

    stance: contextlib.AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance
