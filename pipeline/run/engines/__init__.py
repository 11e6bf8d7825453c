"""Where shards are worked on: this machine's process pool, a Ray cluster, or a Slurm cluster.

``make_workers(options, workers)`` gives the ``Context`` what it hands jobs to.  Every engine calls the same
``pipeline.run.engine.run_job`` on the same ``Job``, so the bytes are the same.
"""

from pipeline.base.pool import Pool
from pipeline.run.context import Workers
from pipeline.run.engines.options import EngineOptions

__all__ = ["EngineOptions", "make_workers"]


def make_workers(options: EngineOptions, workers: int = 0) -> Workers:
    """The workers of an engine; ``workers`` 0 is one for each processor here, and no limit on a cluster."""
    if options.kind == "ray":
        from pipeline.run.engines.ray_cluster import RayCluster

        return RayCluster(options.ray, workers)
    if options.kind == "slurm":
        from pipeline.run.engines.slurm_cluster import SlurmCluster

        return SlurmCluster(options.slurm, workers)
    return Pool(workers or None)
