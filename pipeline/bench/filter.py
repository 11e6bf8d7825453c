"""Signals and rules beside datatrove's four filters, on the same documents, on one core.

Seconds are processor seconds of this process, so that a busy machine does not spoil the ratio.
"""

import gzip
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pyarrow as pa

from pipeline.base.errors import parse_json
from pipeline.bench.corpus import ARTICLES
from pipeline.recipe.rule_sets import RULE_SETS

PEER_BYTES = 400_000
JUDGED_ROWS = 1_000_000
MAX_BYTES = 20_000_000


def run(path: str | None = None) -> list[dict[str, Any]]:
    """Measures signals, judging, and datatrove's filters.

    Args:
        path: JSONL(.gz) with ``text`` (English); the sample's articles without it.
    """
    from pipeline.filter.rules.measure import measure
    from pipeline.filter.rules.predicates import judge_columns

    texts = _texts(path)
    array = pa.array(texts, pa.large_string())
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    measure(array.slice(0, 1))  # compiles
    seconds, table = _best(lambda: measure(array), 3)
    rows = [
        {
            "what": "all signals",
            "documents": len(texts),
            "megabytes": round(megabytes, 2),
            "megabytes_per_second": round(megabytes / seconds, 2),
        }
    ]
    judging, _ = _best(lambda: judge_columns(table, list(RULE_SETS), {}).lists(), 3)
    together = megabytes / (seconds + judging)
    peer = _datatrove_speed(texts)
    rows.append(
        {
            "what": "all signals and the four rule sets",
            "megabytes_per_second": round(together, 2),
            "datatrove_megabytes_per_second": round(peer, 3),
            "datatrove_version": version("datatrove"),
            "ratio": round(together / peer, 1),
        }
    )
    repeated = pa.concat_tables([table] * (JUDGED_ROWS // table.num_rows + 1)).slice(0, JUDGED_ROWS).combine_chunks()
    seconds, _ = _best(lambda: judge_columns(repeated, list(RULE_SETS), {}).lists(), 2)
    rows.append({"what": "rules re-applied", "rows": JUDGED_ROWS, "seconds": round(seconds, 3)})
    return rows


def _texts(path: str | None) -> list[str]:
    if path is None:
        import pyarrow.parquet as pq

        records = pq.read_table(ARTICLES).to_pylist()
        return [max((v for v in record.values() if isinstance(v, str)), key=len) for record in records]
    opener = gzip.open if path.endswith(".gz") else open
    texts: list[str] = []
    size = 0
    with opener(path, "rt", encoding="utf-8") as lines:
        for record in map(parse_json, lines):
            if record.get("language", "en") == "en" and record["text"]:
                texts.append(record["text"])
                size += len(texts[-1])
            if size > MAX_BYTES:
                break
    return texts


def _best(work: Callable[[], Any], times: int) -> tuple[float, Any]:
    """The fewest processor seconds of several times, and the result."""
    fewest, result = float("inf"), None
    for _ in range(times):
        started = time.process_time()
        result = work()
        fewest = min(fewest, time.process_time() - started)
    return fewest, result


def _datatrove_speed(texts: list[str]) -> float:
    """MB/s of datatrove's four filters, each on every document (its own tokens are cached between them)."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    filters = [
        GopherQualityFilter(),
        GopherRepetitionFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
    ]
    for step in filters:
        step.filter(Document(text="Warm up. " * 60, id=""))  # loads spaCy
    size, started = 0, time.process_time()
    for text in texts:
        for step in filters:
            step.filter(Document(text=text, id=""))
        size += len(text.encode())
        if size > PEER_BYTES:
            break
    return size / 1e6 / (time.process_time() - started)
