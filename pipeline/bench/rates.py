"""Rows of a benchmark: rates by processor time, and ratios between the rows of one input."""

import resource
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def row_of(name: str, who: str, records: int, size: int, work: Callable[[], Any]) -> dict[str, Any]:
    """Does the work; a row with its rates.

    Args:
        name: The input.
        who: Whose work it is.
        records: Records of the input.
        size: Bytes of its text or pages.
        work: What is timed.
    """
    _, seconds, cpu_seconds = timed(work)
    return _row(name, who, records, size / 1e6, seconds, cpu_seconds)


def sum_of(name: str, who: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The row of work whose parts have rows."""
    sums = (sum(row[column] for row in rows) for column in ("records", "megabytes", "seconds", "cpu_seconds"))
    return _row(name, who, *sums)


def _row(name: str, who: str, records: int, megabytes: float, seconds: float, cpu_seconds: float) -> dict[str, Any]:
    return {
        "input": name,
        "who": who,
        "records": records,
        "megabytes": round(megabytes, 2),
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu_seconds, 3),
        "megabytes_per_cpu_second": round(megabytes / cpu_seconds, 2),
        "records_per_cpu_second": round(records / cpu_seconds, 1),
    }


def timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """What the work gives, its seconds, and its processor seconds."""
    started, cpu_started = time.perf_counter(), used_seconds()
    result = work()
    return result, time.perf_counter() - started, used_seconds() - cpu_started


def used_seconds() -> float:
    """Processor time of this process and of those that it has waited for: what a busy machine changes least."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def with_ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds our rate over each row's, ours being the first row of the same input."""
    first: dict[str, float] = {}
    for row in rows:
        ours_rate = first.setdefault(row["input"], row["megabytes_per_cpu_second"])
        row["ours_over_this"] = round(ours_rate / row["megabytes_per_cpu_second"], 2)
    return rows
