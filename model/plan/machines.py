"""On what a plan reckons hours and cost: known devices, a device of one's own, and this machine's processor.  No torch.

What a processor reaches is measured where a run on it has metrics, else estimated from `make demo`.
"""

import dataclasses
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from model.devices.gpus import visible_gpus
from model.devices.hardware import DEVICES, Device
from model.plan.flops import flops_per_token
from model.plan.wanted import shape
from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.base.words import nearest
from pipeline.lineage.training import read_json_lines
from pipeline.proposal.sizes import CPU_FLOPS
from pipeline.run import layout
from pipeline.run.folder import Run


@dataclass(frozen=True)
class Processor:
    """This machine's processor: FLOP/s that training reaches, bytes of memory, and how that is known."""

    name: str
    flops: float
    memory_bytes: float
    source: str


def chosen(names: Sequence[str], price: float | None) -> tuple[Device, ...]:
    """The devices of ``--hardware``, by default all that are known.

    Args:
        names: Of known devices, or ``NAME=TFLOPS,GB`` for another one.
        price: Dollars per hour, in the place of those that are known.

    Raises:
        UserError: If there is no such device.
    """
    if price is not None and price < 0:
        raise UserError(f"--price {price}: expected dollars per hour, 0 or more")
    devices = tuple(dict.fromkeys(device for name in names for device in _devices(name))) or DEVICES
    return devices if price is None else tuple(dataclasses.replace(d, dollars_per_hour=price) for d in devices)


def _devices(text: str) -> list[Device]:
    """The device of a name, or all that hold it in theirs: there are two H100."""
    name, separator, figures = text.partition("=")
    if separator:
        return [_own(text, name, figures)]
    exactly = [device for device in DEVICES if device.name.lower() == name.lower()]
    found = exactly or [device for device in DEVICES if name.lower() in device.name.lower()]
    if not found or not name:
        names = [device.name for device in DEVICES]
        raise UserError(
            f"--hardware {name}: not known{nearest(name.upper(), names)}; known: {', '.join(names)}; another one as "
            "NAME=TFLOPS,GB, such as MI250X=383,128"
        )
    return found


def _own(text: str, name: str, figures: str) -> Device:
    try:
        teraflops, gigabytes = (float(figure) for figure in figures.split(","))
    except ValueError as error:
        raise UserError(f"--hardware {text}: expected NAME=TFLOPS,GB, such as MI250X=383,128") from error
    if not (teraflops > 0 and gigabytes > 0):
        raise UserError(f"--hardware {text}: both figures must be above 0")
    return Device(name, teraflops * 1e12, gigabytes * 1e9, 0.0, "given with --hardware")


def this_processor(root: str | None) -> Processor:
    """What training reaches on this machine's processor.

    Args:
        root: A run folder whose metrics may say so.
    """
    cores = len(os.sched_getaffinity(0))
    memory = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    name = f"this CPU ({cores})"
    if measured := _measured(root):
        return Processor(name, measured, memory, f"measured in {root}")
    return Processor(name, CPU_FLOPS * cores, memory, f"estimated: {CPU_FLOPS / 1e9:g} GFLOP/s a core, by `make demo`")


def _measured(root: str | None) -> float | None:
    """FLOP/s of the training of a run that has used no GPU; None where that is not known."""
    place = None if root is None else storage.join(root, layout.TRAIN_METRICS)
    if root is None or place is None or visible_gpus() or not storage.exists(place):
        return None
    lines = [line for line in read_json_lines(place) if "tokens_per_second" in line]
    rates = [line["tokens_per_second"] for line in lines if line.get("mfu") is None]
    if not rates or len(rates) < len(lines):
        return None
    return float(statistics.median(rates)) * flops_per_token(shape(Run.open(root).recipe))
