"""A run of the dummy stage; in a process of its own for the tests that kill it.

``python -m tests.pipeline.run.dummy_run ROOT SHARDS SLOW_SECONDS``
"""

import sys
from pathlib import Path

from pipeline.base.pool import Pool
from pipeline.recipe.options import Recipe, Source
from pipeline.run.context import Context
from pipeline.run.folder import Run
from tests.pipeline.run import dummy_stage

RECIPE = Recipe(sources=[Source(name="s", paths=["x"])])


def run_dummy(root: Path, shards: int = 4, workers: int = 2, **arguments: object) -> Context:
    job = Run(str(root), RECIPE)
    with job.lock(), Pool(workers) as pool:
        context = Context(job, pool)
        dummy_stage.run(context, shards, **arguments)
    return context


if __name__ == "__main__":
    run_dummy(Path(sys.argv[1]), int(sys.argv[2]), slow_seconds=float(sys.argv[3]))
