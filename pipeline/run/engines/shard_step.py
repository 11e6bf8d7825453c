"""One shard as a task of a datatrove executor: what runs on the nodes of a cluster."""

import os
from collections.abc import Iterator
from typing import Any

from datatrove.pipeline.base import PipelineStep

from pipeline.base.pool import THREAD_VARIABLES
from pipeline.base.processes import end_with_process
from pipeline.run.engines.shard_work import work


class ShardStep(PipelineStep):  # type: ignore[misc]  # datatrove ships no types
    """A datatrove step whose rank is the shard's number in the batch."""

    name = "shard"
    type = "tokenmill"

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        """Makes the shard; passes nothing on."""
        for name in THREAD_VARIABLES:
            os.environ[name] = "1"
        end_with_process(os.getppid())  # the executor's: a removed node leaves no worker
        work(self.folder, rank)
        yield from ()
