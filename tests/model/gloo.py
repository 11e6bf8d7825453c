"""Some processes on gloo that do one thing together, without torchrun."""

import socket
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

from pipeline.base.processes import end_before_finalization


def in_processes(size: int, work: Callable[..., None], *arguments: Any) -> None:
    """Calls ``work(*arguments)``, a function of a module, in each of the processes; they have joined when it begins."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_one, (size, port, work, arguments), nprocs=size)  # type: ignore[attr-defined]


def _one(rank: int, size: int, port: int, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=size)
    try:
        work(*arguments)
    finally:
        dist.destroy_process_group()
    end_before_finalization(0)
