"""``tokenmill bench dedup_buckets``: `dedup run` on a page that comes 10,000 to 100,000 times: is it near-linear?

Four kinds, each a bucket of nearly all records: one text again and again; an error page with its own number inside,
which makes near-duplicates; a shorter one of which the number is so large a part that pages stay below the threshold;
and a licence header over pages of their own.
"""

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from pipeline.base.console import say
from pipeline.bench.program import dedup_summary

SIZES = (10_000, 30_000, 100_000)
WORDS = [f"word{number}" for number in range(400)]


def _equal(number: int) -> str:
    return " ".join(WORDS[:80])


def _near(number: int) -> str:
    return " ".join([*WORDS[:40], str(number), *WORDS[40:80]])


def _below(number: int) -> str:
    return " ".join([*WORDS[:20], str(number), *WORDS[20:40]])  # 33 shingles of the template and 5 of its own


def _headed(number: int) -> str:
    own = np.random.default_rng(number).integers(0, 10_000, 40)
    return " ".join([*WORDS[:200], *(f"own{word}" for word in own.tolist())])


KINDS: dict[str, Callable[[int], str]] = {
    "one text": _equal,
    "error page with its number, above the threshold": _near,
    "error page with its number, below the threshold": _below,
    "licence header over pages of their own": _headed,
}


def run(sizes: Sequence[int] = SIZES) -> list[dict[str, Any]]:
    """One row per kind and size, of two sizes or more; the last row of a kind says how the time grows with the size."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as name:
        folder = Path(name)
        measure("", lambda number: "a b c", 10, folder)  # loads the kernels
        tiny = measure("one record", lambda number: "a b c", 1, folder)
        for kind, text in KINDS.items():
            found = [measure(kind, text, size, folder) for size in sizes]
            before, last = (max(row["seconds"] - tiny["seconds"], 0.01) for row in found[-2:])
            found[-1]["growth_exponent_seconds"] = round(math.log(last / before) / math.log(sizes[-1] / sizes[-2]), 2)
            rows += found
    return [tiny, *rows]


def measure(kind: str, text: Callable[[int], str], size: int, folder: Path) -> dict[str, Any]:
    """One run of the command."""
    path, output = folder / "in.jsonl", folder / f"out{len(list(folder.iterdir()))}"
    with open(path, "wb") as file:
        file.writelines(orjson.dumps({"id": str(n), "text": text(n)}) + b"\n" for n in range(size))
    started = time.perf_counter()
    summary = dedup_summary(path, output)
    row = {
        "kind": kind,
        "records": size,
        "megabytes": round(summary["text_bytes"] / 1e6, 1),
        "seconds": round(time.perf_counter() - started, 2),
        **{name: summary[name] for name in ("records_kept", "largest_cluster", "large_buckets")},
    }
    say(orjson.dumps(row).decode())
    return row
