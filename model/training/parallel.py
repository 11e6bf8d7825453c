"""The model as several processes train it: gradients shared by DDP, or everything sharded by FSDP2."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from model.devices.world import World
from model.network.transformer import Transformer
from pipeline.recipe.training_options import Train


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
