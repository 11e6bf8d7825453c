"""The model as several processes train it: gradients shared by DDP, or everything sharded by FSDP2."""

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from model.devices.shards import whole
from model.devices.world import World
from model.network.loss import Loss
from model.network.transformer import Transformer
from pipeline.recipe.training_options import Train


class Objective(nn.Module):
    """A model's training loss as a forward pass, which is what DDP watches."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, inputs_BT: Tensor, targets_BT: Tensor, documents: tuple[Tensor, Tensor] | None, z_loss: float
    ) -> Loss:
        """As ``Transformer.loss``."""
        return self.model.loss(inputs_BT, targets_BT, documents=documents, z_loss=z_loss)


def shared(model: Transformer, world: World, train: Train) -> nn.Module:
    """The ``Objective`` as the training step calls it: alone, behind DDP, or of a model that FSDP2 shards in place.

    The model is then on the world's device, and has weights.
    """
    drawn = not model.token_embedding.is_meta
    if drawn:
        model.to(world.device)
    if train.parallel == "fsdp":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

        mesh = init_device_mesh(world.device.type, (world.size,))
        # a block's weights are gathered as its products take them; gradients are summed in float32, and the residual
        # stream, the embedding and the head stay in it
        policy = MixedPrecisionPolicy(model.precision, torch.float32, cast_forward_inputs=False)
        for block in model.blocks:
            fully_shard(block, mesh=mesh, mp_policy=policy)
        fully_shard(model, mesh=mesh)
        if not drawn:
            model.materialise(world.device, train.seed)
        for method in ("loss", "token_losses"):
            register_fsdp_forward_method(model, method)
        return Objective(model)
    if world.size == 1:
        return Objective(model)
    ids = [world.device.index] if world.device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(Objective(model), device_ids=ids, gradient_as_bucket_view=True)


@contextlib.contextmanager
def synchronised(objective: nn.Module, last: bool) -> Iterator[None]:
    """Gradients are shared among the processes in the backward pass of the last micro-batch only."""
    if isinstance(objective, nn.parallel.DistributedDataParallel):
        with contextlib.nullcontext() if last else objective.no_sync():
            yield
        return
    model = cast(Any, objective).model
    if hasattr(model, "set_requires_gradient_sync"):  # FSDP2's
        model.set_requires_gradient_sync(last)
    yield


def gradient_norm(model: nn.Module) -> Tensor:
    """Euclidean norm of all gradients together."""
    return whole(torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None]))
