"""Fused AdamW, and Muon for the hidden matrices with AdamW for the rest.

``Optimizers`` is what training and checkpoints see: one step, one rate, and the state as named tensors.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.checkpoints.tensor_file import TensorFile
from model.network.transformer import Transformer
from model.updates.muon import Muon
from pipeline.base.errors import RunError
from pipeline.recipe.training_options import Train


@dataclass(frozen=True)
class Split:
    """Names of parameters by how they are optimised."""

    muon: list[str]
    decayed: list[str]
    plain: list[str]


def split_parameters(model: nn.Module, optimizer: str) -> Split:
    """Hidden matrices to Muon if asked; other matrices decay; gains, biases and positions do not."""
    split = Split([], [], [])
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2 or name == "position_embedding":
            split.plain.append(name)
        elif optimizer == "muon" and name.startswith("blocks."):
            split.muon.append(name)
        else:
            split.decayed.append(name)
    return split


class Optimizers:
    """All optimizers of a model behind one step, one rate factor, and one named state.

    Args:
        model: The (possibly sharded) transformer, not a wrapper of it.
        train: The recipe's ``[train]``.
    """

    STATES = ("exp_avg", "exp_avg_sq", "momentum_buffer")

    def __init__(self, model: Transformer, train: Train) -> None:
        self._named = dict(model.named_parameters())
        split = split_parameters(model, train.optimizer)
        groups = [
            {"params": [self._named[n] for n in split.decayed], "weight_decay": train.weight_decay},
            {"params": [self._named[n] for n in split.plain], "weight_decay": 0.0},
        ]
        adamw = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=train.learning_rate,
            betas=(train.beta1, train.beta2),
            fused=True,
        )
        self._peaks: list[tuple[torch.optim.Optimizer, float]] = [(adamw, train.learning_rate)]
        if split.muon:
            matrices = [self._named[name] for name in split.muon]
            rows = {self._named[name]: sizes for name in split.muon if (sizes := model.config.stacked_rows(name))}
            # in float32 where the model is: bfloat16 would amplify the order of sums, which other processes change
            rate, decay = train.muon_learning_rate, train.weight_decay
            muon = Muon(matrices, rate, decay, train.momentum, rows, model.precision)
            self._peaks.append((muon, train.muon_learning_rate))
        self._keeps_gradients = train.compile == "graphs"
        if self._keeps_gradients:
            for parameter in model.parameters():
                parameter.grad = torch.zeros_like(parameter)
        self.updates = 0

    def step(self, factor: float) -> None:
        """One update at ``factor`` times the peak rates."""
        for optimizer, peak in self._peaks:
            for group in optimizer.param_groups:
                group["lr"] = peak * factor
            optimizer.step()
        self.updates += 1

    def zero_grad(self) -> None:
        """Drops the gradients, or where CUDA graphs make them sets them to zero.

        What a graph has written is overwritten when it is replayed: a gradient must be added to memory of its own.
        """
        for optimizer, _ in self._peaks:
            optimizer.zero_grad(set_to_none=not self._keeps_gradients)

    def tensors(self) -> dict[str, Tensor]:
        """The state as ``<parameter>.<kind>``, laid out as the parameters are."""
        found: dict[str, Tensor] = {}
        for name, parameter in self._named.items():
            for optimizer, _ in self._peaks:
                for kind, value in optimizer.state.get(parameter, {}).items():
                    if kind in self.STATES:
                        found[f"{name}.{kind}"] = value
        return found

    def load(self, file: TensorFile, updates: int) -> None:
        """Reads what ``tensors`` gave, after ``updates`` updates.

        Raises:
            RunError: If a state is missing or of another shape.
        """
        self.updates = updates
        for optimizer, _ in self._peaks:
            kinds = ("momentum_buffer",) if isinstance(optimizer, Muon) else ("exp_avg", "exp_avg_sq")
            for name, parameter in self._named.items():
                if updates and any(parameter is p for group in optimizer.param_groups for p in group["params"]):
                    state = {kind: _state(file, f"{name}.{kind}", parameter) for kind in kinds}
                    if not isinstance(optimizer, Muon):
                        state["step"] = torch.tensor(float(updates), device=parameter.device)
                    optimizer.state[parameter] = state


def _state(file: TensorFile, key: str, parameter: Tensor) -> Tensor:
    found = file.shape(key)
    if found != tuple(parameter.shape):
        was = "nothing" if found is None else f"shape {found}"
        raise RunError(f"optimizer state {key}: expected shape {tuple(parameter.shape)}, found {was} in the checkpoint")
    state = torch.zeros_like(parameter, requires_grad=False)
    file.fill(key, state)
    return state
