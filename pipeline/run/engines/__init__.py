"""Where shards are worked on: this machine's process pool, a Ray cluster, or a Slurm cluster.

``make_workers(options, workers)`` gives the ``Context`` what it hands jobs to.  Every engine calls the same
``pipeline.run.engine.run_job`` on the same ``Job``, so the bytes are the same.
"""

import importlib.util
import shutil
from collections.abc import Iterator, Sequence

from pipeline.base.errors import UserError
from pipeline.base.pool import Pool
from pipeline.run.context import Workers
from pipeline.run.engines.options import EngineOptions, RayOptions, SlurmOptions

__all__ = ["EngineOptions", "make_workers", "why_not"]

SLURM_COMMANDS = ("sbatch", "squeue", "scancel")


def why_not(options: EngineOptions) -> Iterator[str]:
    """Why an engine cannot be used here, a sentence each, found without starting anything."""
    if options.kind == "ray" and importlib.util.find_spec("ray") is None:
        yield "--engine ray: the package ray is not installed; pip install 'tokenmill[ray]'"
    missing = [name for name in SLURM_COMMANDS if shutil.which(name) is None] if options.kind == "slurm" else []
    if missing:
        yield f"--engine slurm: {', '.join(missing)} not found; run on a login node of the cluster"


def make_workers(options: EngineOptions, workers: int = 0, loads: Sequence[str] = ()) -> Workers:
    """The workers of an engine.

    Args:
        options: The engine.
        workers: How many; 0 is one for each processor here, and no limit on a cluster.
        loads: Modules that workers of this machine are to have (``Pool``).

    Raises:
        UserError: If the engine cannot be used on this machine.
    """
    for words in why_not(options):
        raise UserError(words)
    if options.kind == "ray":
        from pipeline.run.engines.ray_cluster import RayCluster

        return RayCluster(options.ray or RayOptions(), workers)
    if options.kind == "slurm":
        from pipeline.run.engines.slurm_cluster import SlurmCluster

        return SlurmCluster(options.slurm or SlurmOptions(), workers)
    return Pool(workers or None, loads=loads)
