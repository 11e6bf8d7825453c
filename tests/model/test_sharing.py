"""Muon's work shared out over processes: the weights of one process, whatever the number of processes and rows."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from model.devices.shards import first_row
from model.updates.muon import Muon
from tests.model.gloo import in_processes

SHAPES = [(8, 8), (10, 6), (2, 12), (21, 7), (7, 21)]  # not all rows divide among the processes, nor the matrices
STACKS = {3: [14, 7]}  # two matrices one above the other, with scales of their own
STEPS = 3


def values(seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in SHAPES]


def updated(place: str) -> list[torch.Tensor]:
    """The weights after some updates in this process: ``alone``, ``whole`` (as with ddp) or ``sharded`` (fsdp)."""
    parameters, mesh = [], None
    if place == "sharded":
        mesh = init_device_mesh("cpu", (dist.get_world_size(),))

    def placed(tensor: torch.Tensor) -> torch.Tensor:
        return tensor if mesh is None else distribute_tensor(tensor, mesh, [Shard(0)])

    parameters = [torch.nn.Parameter(placed(value)) for value in values(1)]
    rows = {parameters[number]: stack for number, stack in STACKS.items()}
    muon = Muon(parameters, weight_decay=0.1, rows=rows, precision=torch.float32)
    for step in range(STEPS):
        for parameter, gradient in zip(parameters, values(2 + step), strict=True):
            parameter.grad = placed(gradient)
        muon.step()
    return [p.full_tensor() if place == "sharded" else p.detach() for p in parameters]  # type: ignore[attr-defined]


def one_process(place: str, folder: Path) -> None:
    torch.save(updated(place), folder / f"{dist.get_rank()}.pt")


@pytest.mark.parametrize("place", ["whole", "sharded"])
@pytest.mark.parametrize("size", [2, 3])
def test_the_weights_of_one_process(place: str, size: int, tmp_path: Path) -> None:
    in_processes(size, one_process, place, tmp_path)
    alone = updated("alone")
    for rank in range(size):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=False)
        for number, (mine, expected) in enumerate(zip(found, alone, strict=True)):
            assert torch.allclose(mine, expected, atol=1e-5), (rank, SHAPES[number])
    assert not torch.allclose(alone[0], values(1)[0]), "the steps must have moved the weights"


@pytest.mark.parametrize("rows", [0, 1, 5, 6, 7])
def test_rows_are_divided_as_torch_divides_them(rows: int) -> None:
    sizes = [len(part) for part in torch.zeros(rows, 1).chunk(3)] if rows else []
    found = [first_row(rank + 1, 3, rows) - first_row(rank, 3, rows) for rank in range(3)]
    assert found == [*sizes, *[0] * (3 - len(sizes))]
