"""Work on whole matrices shared out over the processes: each matrix has one owner, who works for all.

Muon's orthogonalisation costs as much as many of a step's products, and every process needs the result.  With whole
weights in each process (ddp) the owners' results are gathered; with sharded ones (fsdp) the shards of a matrix go to
its owner and those of the result come back, so that none ever holds more whole matrices than its own.

What goes over the wire has the precision that the work has, since the work would round it to that anyway.  Of N values
on P processes each receives (P - 1) / P * N of them with ddp, and 2 (P - 1) / P^2 * N with fsdp.
"""

from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor

from model.devices.shards import first_row, local

Work = Callable[[Sequence[int], list[Tensor]], list[Tensor]]


def shared_out(matrices: Sequence[Tensor], work: Work, precision: torch.dtype) -> list[Tensor]:
    """Gives every process its part of what ``work`` makes of the matrices; collective.

    Args:
        matrices: (R, C) each; whole and equal in all processes, or sharded by rows.
        work: Takes the numbers of some matrices and those matrices, whole, in ``precision``; returns as many of the
            same shapes and format.
        precision: Of what is sent.

    Returns:
        For each matrix the rows that this process holds of it, in ``precision``.
    """
    size = dist.get_world_size() if dist.is_initialized() else 1
    if size == 1 or not matrices:
        return work(range(len(matrices)), [local(matrix).to(precision) for matrix in matrices])
    share = _Share(matrices, size, dist.get_rank(), precision)
    return share.of_shards(work) if isinstance(matrices[0], DTensor) else share.of_copies(work)


class _Share:
    """Who owns which matrix, and this process's dealings with the others."""

    def __init__(self, matrices: Sequence[Tensor], size: int, rank: int, precision: torch.dtype) -> None:
        self.matrices, self.size, self.rank, self.precision = matrices, size, rank, precision
        self.shapes = [(matrix.shape[0], matrix.shape[1]) for matrix in matrices]
        self.owned = self._owned()

    def _owned(self) -> list[list[int]]:
        """The matrices of each process: the costliest first, each to whom has least to do, the same everywhere."""
        owned: list[list[int]] = [[] for _ in range(self.size)]
        costs = [rows * columns * min(rows, columns) for rows, columns in self.shapes]
        busy = [0] * self.size
        for number in sorted(range(len(costs)), key=lambda n: -costs[n]):
            owner = busy.index(min(busy))
            owned[owner].append(number)
            busy[owner] += costs[number]
        return [sorted(numbers) for numbers in owned]

    def of_copies(self, work: Work) -> list[Tensor]:
        """Each process has every matrix: it works on its own and gets the others' results."""
        mine = self.owned[self.rank]
        found = work(mine, [self.matrices[number].to(self.precision) for number in mine])
        values = [sum(rows * columns for rows, columns in map(self.shapes.__getitem__, own)) for own in self.owned]
        sent = self.matrices[0].new_zeros(max(values), dtype=self.precision)
        sent[: values[self.rank]] = torch.cat([part.flatten() for part in found] or [sent[:0]])
        received = [torch.empty_like(sent) for _ in range(self.size)]
        dist.all_gather(received, sent)
        results = [sent] * len(self.matrices)
        for own, flat, count in zip(self.owned, received, values, strict=True):
            sizes = [self.shapes[n][0] * self.shapes[n][1] for n in own]
            for number, part in zip(own, torch.split(flat[:count], sizes), strict=True):
                results[number] = part.view(self.shapes[number])
        return results

    def of_shards(self, work: Work) -> list[Tensor]:
        """Each process has some rows of every matrix: the owners get the others', and send back what they made."""
        mine, everyone = self.owned[self.rank], range(self.size)
        shards = [local(matrix).to(self.precision) for matrix in self.matrices]
        received = self._exchange(
            [[shards[n] for n in own] for own in self.owned], [self._parts(mine, s) for s in everyone]
        )
        whole = [torch.cat([received[s][place] for s in everyone]) for place in range(len(mine))]
        found = work(mine, whole)
        back = [[found[i][slice(*self._rows(n, s))] for i, n in enumerate(mine)] for s in everyone]
        received = self._exchange(back, [self._parts(own, self.rank) for own in self.owned])
        results = list(shards)
        for own, parts in zip(self.owned, received, strict=True):
            for number, part in zip(own, parts, strict=True):
                results[number] = part
        return results

    def _rows(self, number: int, rank: int) -> tuple[int, int]:
        rows = self.shapes[number][0]
        return first_row(rank, self.size, rows), first_row(rank + 1, self.size, rows)

    def _parts(self, numbers: Sequence[int], rank: int) -> list[tuple[int, int]]:
        """Shapes of what ``rank`` holds of some matrices."""
        bounds = [(self._rows(number, rank), self.shapes[number][1]) for number in numbers]
        return [(end - first, columns) for (first, end), columns in bounds]

    def _exchange(self, sent: list[list[Tensor]], shapes: list[list[tuple[int, int]]]) -> list[list[Tensor]]:
        """Sends the s-th list of tensors to process s; returns what each one sent here, of the given shapes."""
        empty = local(self.matrices[0]).new_empty(0, dtype=self.precision)
        flat = [torch.cat([empty, *(part.flatten() for part in parts)]) for parts in sent]
        counts = [sum(rows * columns for rows, columns in parts) for parts in shapes]
        received = empty.new_empty(sum(counts))
        dist.all_to_all_single(received, torch.cat(flat), counts, [len(part) for part in flat])
        return [
            [part.view(shape) for part, shape in zip(torch.split(block, sizes), parts, strict=True)]
            for block, parts in zip(torch.split(received, counts), shapes, strict=True)
            for sizes in [[rows * columns for rows, columns in parts]]
        ]
