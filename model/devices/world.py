"""The processes that train together: who this one is, and how gradients, weights and figures are shared.

Started by torchrun (RANK, WORLD_SIZE in the environment) or alone.  ``ddp`` keeps whole weights in every process,
``fsdp`` a shard of each.
"""

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from pipeline.base.errors import RunError, TokenmillError, UserError
from pipeline.recipe.training_options import Train

Result = TypeVar("Result")
LAUNCHER_SECONDS = 60.0  # of waiting for torchrun, which answers before it starts anybody


@dataclass(frozen=True)
class World:
    """This process among those that train together."""

    rank: int
    size: int
    device: torch.device
    one_host: bool = True
    writers: "dist.ProcessGroup | None" = None  # of all processes, where each writes its part of a checkpoint

    @property
    def leads(self) -> bool:
        """True in the one process that writes."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """Sums a tensor over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def leading(self, work: Callable[[], Result]) -> Result:
        """Does the work in the leading process only; every process gets its result, or raises its error."""
        if self.size == 1:
            return work()
        answer: list[Any] = [None, None]  # result, error
        if self.leads:
            try:
                answer[0] = work()
            except TokenmillError as error:
                answer[1] = error
        dist.broadcast_object_list(answer, device=self.device)
        if answer[1] is not None:
            answer[1].told = not self.leads
            raise answer[1]
        return cast(Result, answer[0])


ALONE = World(0, 1, torch.device("cpu"))


def find_launcher() -> None:
    """Makes sure that torchrun, which holds what the processes tell one another, is still there.

    One that was killed before this process could watch it would be waited for by all, half an hour.

    Raises:
        RunError: If it is gone.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return
    host, port = os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
    try:
        socket.create_connection((host, int(port)), LAUNCHER_SECONDS).close()
    except OSError as error:
        raise RunError(
            f"torchrun does not answer at {host}:{port} ({error}), so it has ended; run the same command again"
        ) from error


@contextlib.contextmanager
def joined(train: Train) -> Iterator[World]:
    """Joins the other processes, and leaves them at the end.

    Raises:
        UserError: If the recipe asks for a GPU and there is none.
        RunError: If torchrun has ended, or one of the others.
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
        find_launcher()
        store = None if "MASTER_ADDR" in os.environ else torch._C._distributed_c10d.HashStore()
        dist.init_process_group("nccl" if use_cuda else "gloo", store=store, rank=rank, world_size=size)
    try:
        with others_told():
            writers = dist.new_group(backend="gloo") if size > 1 and train.parallel == "fsdp" else None
            yield World(rank, size, device, int(os.environ.get("LOCAL_WORLD_SIZE", size)) == size, writers)
            if writers is not None:
                dist.barrier(writers)
    finally:
        if needs_group:
            dist.destroy_process_group()


@contextlib.contextmanager
def others_told() -> Iterator[None]:
    """What gloo or NCCL raises where another process is gone, in a sentence.

    Raises:
        RunError: In its place.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        reason = str(error).splitlines()[0].split("] ", 1)[-1].split(". ")[0]
        raise RunError(
            f"another process of this training has ended, and says why if it could ({reason}); "
            "run the same command again"
        ) from error
