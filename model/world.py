"""The processes that train together: who this one is, and how gradients, weights and figures are shared.

Started by torchrun (RANK, WORLD_SIZE in the environment) or alone.  ``ddp`` keeps whole weights in every process,
``fsdp`` a shard of each.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from model.transformer import Transformer
from pipeline.errors import UserError
from pipeline.options import Train


@dataclass(frozen=True)
class World:
    """This process among those that train together."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """True in the one process that writes."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """Sums a tensor over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def anyone(self, value: bool) -> bool:
        """True if it is true in any process."""
        return bool(self.total(torch.tensor(float(value), device=self.device)).item()) if self.size > 1 else value

    def from_leader(self, value: Any) -> Any:
        """The leading process's value, in every process."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, device=self.device)
        return box[0]


@contextlib.contextmanager
def joined(train: Train) -> Iterator[World]:
    """Joins the other processes, and leaves them at the end.

    Raises:
        UserError: If the recipe asks for a GPU and there is none.
    """
    cuda = torch.cuda.is_available()
    if train.device == "cuda" and not cuda:
        raise UserError(
            'train.device = "cuda": this machine has no usable GPU; use "auto" or "cpu", or see `tokenmill doctor`'
        )
    use_cuda = cuda and train.device != "cpu"
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local_rank) if use_cuda else torch.device("cpu")
    if use_cuda:
        torch.cuda.set_device(device)
    needs_group = size > 1 or train.parallel == "fsdp"
    if needs_group:
        store = None if "MASTER_ADDR" in os.environ else torch._C._distributed_c10d.HashStore()
        dist.init_process_group("nccl" if use_cuda else "gloo", store=store, rank=rank, world_size=size)
    try:
        yield World(rank, size, device)
    finally:
        if needs_group:
            dist.destroy_process_group()


def shared(model: Transformer, world: World, train: Train) -> Any:
    """The model as the training step calls it: itself, behind DDP, or (changed in place) sharded by FSDP2."""
    if train.parallel == "fsdp":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(world.device.type, (world.size,))
        for block in model.blocks:
            fully_shard(block, mesh=mesh)
        return fully_shard(model, mesh=mesh)
    if world.size == 1:
        return model
    ids = [world.device.index] if world.device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(model, device_ids=ids, gradient_as_bucket_view=True)


@contextlib.contextmanager
def synchronised(model: Any, last: bool) -> Iterator[None]:
    """Gradients are shared among the processes in the backward pass of the last micro-batch only."""
    if isinstance(model, nn.parallel.DistributedDataParallel):
        with contextlib.nullcontext() if last else model.no_sync():
            yield
        return
    if hasattr(model, "set_requires_gradient_sync"):
        model.set_requires_gradient_sync(last)
    yield


def gradient_norm(model: nn.Module) -> Tensor:
    """Euclidean norm of all gradients together."""
    from torch.distributed.tensor import DTensor

    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm
