"""``tokenmill bench``: ours beside installed peers, in one run, on the same input; what counts is the ratio.

A benchmark is a module with ``run() -> list of rows``; a row is a dict of figures with its name and unit in the keys.
"""

from importlib import import_module

from flows.cli.options import Json
from flows.display.answer import answer
from flows.display.terminal import shown
from pipeline.base.errors import UserError

BENCHMARKS = {
    "clean": "pipeline.bench.clean",
    "dedup": "pipeline.bench.dedup",
    "dedup_accuracy": "pipeline.bench.dedup_accuracy",
    "dedup_buckets": "pipeline.bench.dedup_buckets",
    "dedup_scale": "pipeline.bench.dedup_scale",
    "filter": "pipeline.bench.filter",
    "tokenize": "pipeline.bench.tokens",
    "loader": "model.bench.loader",
    "train": "model.bench.train",
    "lineage": "pipeline.bench.lineage",
    "index": "pipeline.bench.index",
}


def bench(*names: str, json: Json = False) -> int:
    """Time tokenmill against installed peers, side by side, as a table of ratios.

    Example: tokenmill bench dedup filter
    """
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise UserError(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    rows = [{"benchmark": name, **row} for name in names or BENCHMARKS for row in import_module(BENCHMARKS[name]).run()]
    lines = ["  ".join(f"{key} {shown(value)}" for key, value in row.items()) for row in rows]
    return answer(json, {"rows": rows}, "\n".join(lines))
