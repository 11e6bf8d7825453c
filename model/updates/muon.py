"""Muon: momentum whose every update is orthogonalised; the work is shared out over the processes (``sharing``).

Shape letters: M matrices of one shape, R rows, C columns.
Source: Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024).
Parity: tests/model/test_optimizer.py checks it against torch.optim.Muon.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from model.devices.shards import local, own_rows
from model.updates.sharing import shared_out

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5
EPSILON = 1e-7


def orthogonalised(update_MRC: Tensor, precision: torch.dtype = torch.bfloat16) -> Tensor:
    """Replaces each matrix's singular values by ones, roughly (0.68 to 1.13), with the Newton-Schulz iteration.

    Args:
        update_MRC: A batch of matrices of one shape.
        precision: Number format of the iteration's products.

    Returns:
        The same shape, in ``precision``.
    """
    a, b, c = NEWTON_SCHULZ
    tall = update_MRC.shape[-2] > update_MRC.shape[-1]
    x = update_MRC.to(precision)
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=EPSILON)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose every update is orthogonalised; matrices of equal shape are worked on in one batch.

    Args:
        params: Two-dimensional parameters.
        lr: Learning rate; a matrix's own is ``lr * sqrt(max(1, rows / columns))``.
        weight_decay: Relative to ``lr``.
        momentum: Decay of the gradients' mean; Nesterov's form is used.
        rows: For a parameter that holds several matrices one above the other, the rows of each.
        precision: Number format of the orthogonalisation's products.

    Raises:
        ValueError: If a parameter is not a matrix.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 0.02,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        rows: Mapping[nn.Parameter, Sequence[int]] | None = None,
        precision: torch.dtype = torch.bfloat16,
    ) -> None:
        params = list(params)
        for parameter in params:
            if parameter.ndim != 2:
                raise ValueError(f"Muon takes matrices; got a parameter of shape {tuple(parameter.shape)}")
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self._rows, self._precision = rows or {}, precision

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # no closure is ever passed
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            updates = [self._momentum_update(p, group["momentum"]) for p in parameters]
            stacks = [self._rows.get(parameter, [parameter.shape[0]]) for parameter in parameters]

            def work(numbers: Sequence[int], matrices: list[Tensor], stacks: Any = stacks) -> list[Tensor]:
                return _directions(matrices, [stacks[number] for number in numbers])

            directions = shared_out(updates, work, self._precision)
            for parameter, direction, stack in zip(parameters, directions, stacks, strict=True):
                weight = local(parameter.detach())
                weight.mul_(1.0 - group["lr"] * group["weight_decay"])
                weight.add_(direction.to(weight.dtype) * _scales(parameter, stack), alpha=-group["lr"])

    def _momentum_update(self, parameter: nn.Parameter, momentum: float) -> Tensor:
        gradient = cast(Tensor, parameter.grad)
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        state["momentum_buffer"].lerp_(gradient, 1.0 - momentum)
        return gradient.lerp(state["momentum_buffer"], momentum)


def _directions(updates: list[Tensor], stacks: Sequence[Sequence[int]]) -> list[Tensor]:
    """The orthogonalised updates, each of one or several matrices one above the other; not yet scaled."""
    groups: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
    for number, (update, stack) in enumerate(zip(updates, stacks, strict=True)):
        first = 0
        for rows in stack:
            shape = (min(rows, update.shape[1]), max(rows, update.shape[1]))
            groups[shape].append((number, first, rows))
            first += rows
    directions = [torch.empty_like(update) for update in updates]
    for members in groups.values():
        parts = [updates[n][first : first + rows] for n, first, rows in members]
        wide = torch.stack([part.mT if part.shape[0] > part.shape[1] else part for part in parts])
        found = orthogonalised(wide, wide.dtype)
        for (n, first, rows), part, direction in zip(members, parts, found, strict=True):
            directions[n][first : first + rows] = direction.mT if part.shape[0] > part.shape[1] else direction
    return directions


def _scales(parameter: Tensor, stack: Sequence[int]) -> Tensor | float:
    """sqrt(max(1, rows / columns)) of the matrix that each of this process's rows belongs to, (R, 1)."""
    columns = parameter.shape[1]
    factors = [float(max(1.0, rows / columns) ** 0.5) for rows in stack]
    if len(set(factors)) == 1:
        return factors[0]
    of_rows = torch.cat([torch.full((rows, 1), factor) for rows, factor in zip(stack, factors, strict=True)])
    if isinstance(parameter, DTensor):
        return of_rows[slice(*own_rows(parameter))].to(parameter.device, non_blocking=True)
    return of_rows.to(parameter.device, non_blocking=True)
