"""Runs the dummy stage as its own process, for the tests that kill it: ``run_dummy.py ROOT SHARDS SLOW_SECONDS``."""

import sys

from pipeline.base.pool import Pool
from pipeline.recipe.options import Recipe, Source
from pipeline.run.context import Context
from pipeline.run.folder import Run
from tests.pipeline.dummy_stage import run

if __name__ == "__main__":
    root, shards, slow_seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    job = Run(root, Recipe(sources=[Source(name="s", paths=["x"])]))
    with job.lock(), Pool(2) as pool:
        run(Context(job, pool), shards, slow_seconds=slow_seconds)
