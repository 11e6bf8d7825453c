"""Worker processes of ``tokenmill dedup run``."""

import multiprocessing
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.base.pool import InProcess, Pool
from pipeline.base.progress import each

Workers = Pool | InProcess


def start_workers(count: int) -> Workers:
    """A pool of ``count`` processes; for one, this process."""
    if count == 1:
        return InProcess()
    # one import of the kernels serves all workers
    multiprocessing.get_context("forkserver").set_forkserver_preload(["pipeline.dedup.command.scan"])
    return Pool(count, fork=True)


def call_all(workers: Workers, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], task: str) -> list[Any]:
    """Results of ``function(*call)``, in the order of the calls; ``task`` says on the console what is done."""
    results = workers.run(function, [(call, number) for number, call in enumerate(calls)])
    found = dict(each(results, task, "part", total=len(calls)))
    return [found[number] for number in range(len(calls))]
