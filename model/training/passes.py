"""The passes of one training step: micro-batches forward and backward, then the gradient's norm and clipping.

A GPU runs behind the program as long as nothing is read from it.  So a step keeps every figure on the device, and the
program reads them all at once (``Figures.read``), before it decides whether the update is made.  What depends on the
data and the host must know, the documents' edges, is counted where the batch was read.
Checked without a GPU: tests/model/test_gpu_step.py runs a step on imitated CUDA tensors, where any other read raises.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.devices.world import World
from model.network.loss import NOT_SCORED
from model.training.parallel import gradient_norm, synchronised
from pipeline.recipe.training_options import Train


class Read(NamedTuple):
    """A step's figures as numbers."""

    loss: float  # of the global batch, nats per token
    norm: float  # of the gradient, before clipping
    asked: list[float]  # of what each process asked, summed over the processes


class Figures(NamedTuple):
    """A step's figures on the device; float64."""

    likelihood: Tensor  # summed over this process's part of the batch, nats
    valid: Tensor  # targets of the global batch that count
    norm: Tensor  # of the whole gradient

    def read(self, world: World, asked: Sequence[float]) -> Read:
        """Sums over the processes and waits for the device: the one time in a step."""
        shared = world.total(torch.cat([self.likelihood[None], self.likelihood.new_tensor(list(asked))]))
        nats, *totals, valid, norm = torch.cat([shared, self.valid[None], self.norm[None]]).tolist()
        return Read(nats / valid, norm, totals)


def pass_over(objective: nn.Module, model: nn.Module, batch: tuple[Tensor, ...], world: World, train: Train) -> Figures:
    """Leaves the gradient of the global batch's mean loss, clipped if asked, in the model's parameters.

    Args:
        objective: The ``Objective`` of ``model``, as ``parallel.shared`` gives it.
        model: What holds the parameters.
        batch: This process's part, on the CPU: inputs and targets (B, T), and where attention is confined to documents
            the documents' numbers and positions.
        world: The processes.
        train: The recipe's ``[train]``.
    """
    parts = list(zip(*(torch.split(tensor, train.micro_batch_sequences) for tensor in batch), strict=True))
    valid = _valid_targets(batch[1], world)
    # the processes' gradients are averaged: times their number makes it the sum
    scale = (world.size / valid).to(torch.float32)
    likelihood = torch.zeros((), dtype=torch.float64, device=world.device)
    for number, (inputs, targets, *documents) in enumerate(parts):
        if train.compile == "graphs" and world.device.type == "cuda":
            # what the graphs gave for the last micro-batch is done with
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        moved = [tensor.to(world.device, non_blocking=True) for tensor in (inputs, targets)]
        with synchronised(objective, last=number == len(parts) - 1):
            loss = objective(*moved, tuple(documents) or None, train.z_loss)
            (loss.total * scale).backward()
        likelihood += loss.likelihood
    norm = gradient_norm(model)
    if train.clip:
        torch.nn.utils.clip_grads_with_norm_(model.parameters(), train.clip_norm, norm)
    return Figures(likelihood, valid, norm.to(torch.float64))


def _valid_targets(targets_BT: Tensor, world: World) -> Tensor:
    """Targets of the global batch that count, at least 1: not those across masked documents or of blanked ones."""
    count = (targets_BT != NOT_SCORED).sum().double().to(world.device, non_blocking=True)
    return world.total(count).clamp(min=1.0)
