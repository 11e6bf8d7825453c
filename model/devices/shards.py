"""What a process holds of a tensor that several share: by rows, as FSDP2 shards them."""

from torch import Tensor
from torch.distributed.tensor import DTensor


def whole(tensor: Tensor) -> Tensor:
    """The whole of a tensor of which each process may hold a shard; collective if it does."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor: a shard, or all of it."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def first_row(rank: int, size: int, rows: int) -> int:
    """Where a process's shard of ``rows`` rows begins; ``rank = size`` gives the end of the last one."""
    return min(rank * -(-rows // size), rows)


def own_rows(tensor: Tensor) -> tuple[int, int]:
    """The first of the rows that this process holds of a tensor of at least one dimension, and the one after them."""
    rows = tensor.shape[0]
    if not isinstance(tensor, DTensor):
        return 0, rows
    mesh = tensor.device_mesh
    return first_row(mesh.get_local_rank(), mesh.size(), rows), first_row(mesh.get_local_rank() + 1, mesh.size(), rows)
