"""``tokenmill bench``: ours beside installed peers, in one run, on the same input; what counts is the ratio.

A benchmark is a module with ``run() -> list of rows``; a row is a dict of figures with its name and unit in the keys.
"""

from importlib import import_module
from typing import Any

from pipeline.base.errors import UserError

BENCHMARKS = {
    "clean": "pipeline.bench.clean",
    "dedup": "pipeline.bench.dedup",
    "dedup_accuracy": "pipeline.bench.dedup_accuracy",
    "dedup_buckets": "pipeline.bench.dedup_buckets",
    "dedup_scale": "pipeline.bench.dedup_scale",
    "filter": "pipeline.bench.filter",
    "tokenize": "pipeline.bench.tokens",
    "loader": "pipeline.bench.loader",
    "train": "pipeline.bench.train",
    "lineage": "pipeline.bench.lineage",
    "index": "pipeline.bench.index",
}


def run_benchmarks(names: list[str]) -> list[dict[str, Any]]:
    """Runs the named benchmarks, or all.

    Raises:
        UserError: If a name is unknown.
    """
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise UserError(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    rows: list[dict[str, Any]] = []
    for name in names or BENCHMARKS:
        rows += [{"benchmark": name, **row} for row in import_module(BENCHMARKS[name]).run()]
    return rows
