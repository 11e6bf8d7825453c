"""What a banding catches and what a corpus costs, before anything is read: ``tokenmill dedup plan``.

Two documents of similarity s agree in a whole band of r values with probability s^r, and so in one of b bands with
1 - (1 - s^r)^b (Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, section 3.4).
"""

from dataclasses import dataclass
from typing import Any

from pipeline.dedup.rule.selection import GROUPS_PER_THREAD, SET_BYTES
from pipeline.recipe.minhash import JOIN_SHARE, LIMITS

CURVE = tuple(number / 20 for number in range(6, 21))  # 0.30, 0.35 ... 1.00
WANTED_CHANCE = 0.99
PROCESS_BYTES, WORKER_BYTES = 200_000_000, 70_000_000  # a worker shares what it was forked with
TEXT_BYTES_PER_SHINGLE = 6
ACTIVE_SHARE = 0.3  # documents that share a bucket with another: the corpora of docs/benchmarks/dedup.md have fewer


@dataclass(frozen=True)
class Cost:
    """Estimated bytes of a run of ``documents`` with ``text_bytes`` of text in all."""

    documents: int
    text_bytes: int
    memory_bytes: int
    disk_bytes: int


def catch_chance(similarity: float, bands: int, rows: int) -> float:
    """Chance that a pair of this similarity becomes a candidate.

    Example:
        >>> round(catch_chance(0.8, 14, 8), 4)
        0.9235
    """
    return float(1.0 - (1.0 - similarity**rows) ** bands)


def memory_of_records(documents: int, bands: int) -> int:
    """Bytes that the join holds of all records, however small its budget: hashes, order, nodes, keys, buckets.

    Args:
        documents: Records, an estimate.
        bands: Bands of the signature.
    """
    return int(documents * (160 + ACTIVE_SHARE * (80 + 16 * bands)))


def cost(documents: int, text_bytes: int, bands: int, memory_bytes: int, workers: int) -> Cost:
    """Memory of all processes together, and scratch on disk beside the kept records.

    Args:
        documents: Records.
        text_bytes: Bytes of their text.
        bands: Bands of the signature.
        memory_bytes: The budget of the join.
        workers: Worker processes.
    """
    sets = int(ACTIVE_SHARE * text_bytes * SET_BYTES / TEXT_BYTES_PER_SHINGLE)
    groups = min(int(JOIN_SHARE * memory_bytes / 2), sets // GROUPS_PER_THREAD if workers > 1 else sets)
    processes = PROCESS_BYTES + (WORKER_BYTES * workers if workers > 1 else 0)
    memory = processes + memory_of_records(documents, bands) + groups
    disk = documents * (60 + 8 * bands) + int(ACTIVE_SHARE * text_bytes * 1.4)
    return Cost(documents, text_bytes, memory, disk)


def suggestion(threshold: float) -> tuple[int, int] | None:
    """Bands and rows that catch a pair at the threshold with ``WANTED_CHANCE``, at the fewest permutations.

    Of equally many, the one that catches the fewest pairs 0.2 below the threshold.
    """
    best: tuple[int, float, int, int] | None = None
    for rows in range(1, 33):
        missed = 1.0 - threshold**rows
        bands = next((b for b in range(1, LIMITS.permutations // rows + 1) if missed**b <= 1.0 - WANTED_CHANCE), None)
        if bands is None:
            continue
        noise = catch_chance(max(threshold - 0.2, 0.0), bands, rows)
        if noise <= 0.5:
            candidate = (bands * rows, noise, bands, rows)
            best = min(best, candidate) if best else candidate
    return (best[2], best[3]) if best else None


def plan(
    threshold: float, bands: int, rows: int, documents: list[int], document_bytes: int, memory_bytes: int, workers: int
) -> dict[str, Any]:
    """The curve and the costs, as ``tokenmill dedup plan --json`` gives them."""
    suggested = suggestion(threshold)
    costs = [cost(count, count * document_bytes, bands, memory_bytes, workers) for count in documents]
    return {
        "threshold": threshold,
        "bands": bands,
        "rows": rows,
        "permutations": bands * rows,
        "chance_at_threshold": catch_chance(threshold, bands, rows),
        "even_chance_at": (1.0 - 0.5 ** (1.0 / bands)) ** (1.0 / rows),
        "curve": [{"similarity": s, "chance": catch_chance(s, bands, rows)} for s in CURVE],
        "suggested": {"bands": suggested[0], "rows": suggested[1]} if suggested else None,
        "costs": [vars(item) for item in costs],
    }
