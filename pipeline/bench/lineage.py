"""``tokenmill bench lineage``: lookups in a synthetic run of 10 million documents and 10 billion tokens.

The run folder has what lookups read: documents with one word of text, signals, verdicts, evidence, both indexes, and
token shards whose values are holes of sparse files (zeros that take no disk).  Every command is timed as a person waits
for it, process start included, and the lookup alone inside one process; files have been read once before.
"""

import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base.arrow import doc_id_column
from pipeline.bench.program import tokenmill
from pipeline.bench.rates import timed
from pipeline.bench.token_runs import TOKENS_PER_DOCUMENT, write_tokens
from pipeline.lookup.keys import hash_of
from pipeline.lookup.keys import write as write_keys
from pipeline.run import layout, tables
from pipeline.run.table_files import Table, TableWriter
from pipeline.run.tables import BATCH_ROWS_KEY, CLUSTERS, DOC_INDEX, DOCUMENTS, KEY_INDEX, SIGNALS, VERDICTS

DOCUMENT_COUNT = 10_000_000
SHARDS = 160
DOCUMENT_ROWS = 1_000  # of a record batch of documents: about as many as 8 MiB of text hold
SEQUENCES = 128
CONTEXT_LENGTH = 2_048
STEPS = 40_000  # more than one epoch
RECIPE = f"""name = "synthetic"
[[sources]]
name = "web"
paths = ["nothing"]
[model]
context_length = {CONTEXT_LENGTH}
[train]
steps = {STEPS}
global_batch_tokens = {SEQUENCES * CONTEXT_LENGTH}
"""


def run(documents: int = DOCUMENT_COUNT) -> list[dict[str, Any]]:
    """Makes the run folder, times the lookups, removes it."""
    with tempfile.TemporaryDirectory(prefix="tokenmill-lineage-") as folder:
        root = Path(folder)
        started = time.perf_counter()
        ids = make_run(root, documents)
        made_seconds = time.perf_counter() - started
        return measure(root, ids, made_seconds)


def make_run(root: Path, documents: int) -> NDArray[np.uint8]:
    """Writes the synthetic run; returns the doc_ids (N, 16) in document order."""
    ids = np.random.default_rng(1).integers(0, 256, (documents, 16), np.uint8)
    (root / layout.RECIPE).write_text(RECIPE, encoding="utf-8")
    (root / layout.checkpoint(STEPS)).mkdir(parents=True)
    (root / layout.checkpoint_state(STEPS)).write_text('{"format": 1, "tokenizer": "synthetic"}', encoding="utf-8")
    edges = np.linspace(0, documents, SHARDS + 1).astype(np.int64)
    for number in range(SHARDS):
        _write_shard(root, f"{number:05d}", ids[edges[number] : edges[number + 1]], int(edges[number]))
    removed = ids[: documents // 5]
    evidence = {name: doc_id_column(removed) for name in ("doc_id", "kept_id", "cluster_id")}
    _write(root / layout.EVIDENCE, CLUSTERS, evidence, {}, len(removed), tables.BATCH_ROWS)
    _write_indexes(root, ids, edges)
    return ids


def _write_shard(root: Path, name: str, ids: NDArray[np.uint8], first: int) -> None:
    count = len(ids)
    numbers = pa.array(np.arange(first, first + count)).cast(pa.string())
    constants: dict[str, Any] = {"source": "web", "text": "word", "path": "a.warc.gz", "licence": "CC0-1.0"}
    values = {
        "doc_id": doc_id_column(ids),
        "url": pa.compute.binary_join_element_wise("https://example.org/", numbers, ""),
    }
    _write(root / layout.documents(name), DOCUMENTS, values, constants, count)
    _write(root / layout.signals(name), SIGNALS, {"doc_id": doc_id_column(ids)}, {}, count)
    for stage in ("dedup", "filter"):
        verdicts = {"doc_id": doc_id_column(ids), "reasons": pa.array([[]] * count, pa.list_(pa.string()))}
        _write(root / layout.verdicts(stage, name), VERDICTS, verdicts, {"keep": True}, count)
    write_tokens(root / layout.tokens("train", name), ids)


def _write(
    path: Path,
    table: Table,
    values: dict[str, pa.Array],
    constants: dict[str, Any],
    rows: int,
    batch_rows: int = DOCUMENT_ROWS,
) -> None:
    columns = []
    for field in table.schema:
        value = constants.get(field.name, _zero(field))
        if field.name in values:
            columns.append(values[field.name])
        elif value is None:
            columns.append(pa.nulls(rows, field.type))
        else:
            columns.append(pa.repeat(pa.scalar(value, field.type), rows))
    batch = pa.record_batch(columns, schema=table.schema)
    with TableWriter(path, table) as writer:
        for start in range(0, rows, batch_rows):
            writer.write(batch.slice(start, batch_rows))


def _zero(field: pa.Field) -> Any:
    if field.nullable:
        return None
    return "near" if pa.types.is_string(field.type) else False if pa.types.is_boolean(field.type) else 0


def _write_indexes(root: Path, ids: NDArray[np.uint8], edges: NDArray[np.int64]) -> None:
    halves = ids.view(">u8").reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0]))
    shards = np.repeat(np.arange(SHARDS, dtype=np.int32), np.diff(edges))
    rows = (np.arange(len(ids)) - np.repeat(edges[:-1], np.diff(edges))).astype(np.int32)
    sizes = [[min(DOCUMENT_ROWS, size - first) for first in range(0, size, DOCUMENT_ROWS)] for size in np.diff(edges)]
    metadata = {BATCH_ROWS_KEY: str([[int(rows) for rows in shard] for shard in sizes])}
    with TableWriter(root / layout.DOC_INDEX, DOC_INDEX, metadata) as writer:
        for start in range(0, len(order), tables.BATCH_ROWS):
            part = order[start : start + tables.BATCH_ROWS]
            columns = [doc_id_column(ids[part]), pa.array(shards[part]), pa.array(rows[part])]
            writer.write(pa.record_batch(columns, schema=writer.schema))
    keys = np.fromiter((hash_of("url", f"https://example.org/{n}") for n in range(len(ids))), np.uint64, len(ids))
    by_key = np.argsort(keys)
    with TableWriter(root / layout.KEY_INDEX, KEY_INDEX) as writer:
        write_keys(writer, keys[by_key], shards[by_key], rows[by_key])


def measure(root: Path, ids: NDArray[np.uint8], made_seconds: float) -> list[dict[str, Any]]:
    """Times each lookup, over several documents and steps."""
    from pipeline.lineage.explain import explain
    from pipeline.lineage.trace import trace
    from pipeline.lookup import locate
    from pipeline.run.folder import Run

    job = Run.open(root)
    chosen = np.random.default_rng(2).integers(0, len(ids), 12).tolist()
    facts = {"documents": len(ids), "tokens": len(ids) * TOKENS_PER_DOCUMENT, "shards": SHARDS}
    size = sum(path.stat().st_blocks * 512 for path in root.rglob("*") if path.is_file())
    rows: list[dict[str, Any]] = [{"name": "make the run folder", "seconds": made_seconds, "disk_bytes": size, **facts}]

    def add(name: str, work: Callable[[int], Any], numbers: list[int]) -> None:
        work(numbers[0])
        times = [timed(partial(work, number)) for number in numbers[1:]]
        seconds, processor = [wall for _, wall, _ in times], [used for _, _, used in times]
        figures = {"median_seconds": float(np.median(seconds)), "worst_seconds": max(seconds)}
        rows.append({"name": name, **figures, "median_processor_seconds": float(np.median(processor))})

    def command(*arguments: str) -> None:
        subprocess.run(tokenmill(*arguments), check=True, stdout=subprocess.DEVNULL, timeout=300)

    add("doc_id -> shard, row", lambda n: locate.DocIndex(job).find(ids[n].tobytes().hex()), chosen)
    add("url -> shard, row", lambda n: locate.one_by_key(job, "url", f"https://example.org/{n}"), chosen)
    add("explain, in one process", lambda n: explain(job, locate.DocIndex(job).find(ids[n].tobytes().hex())), chosen)
    add("trace of a step, in one process", lambda n: trace(job, n % STEPS, n % STEPS), chosen)
    add("tokenmill explain RUN DOC_ID", lambda n: command("explain", str(root), ids[n].tobytes().hex()), chosen[:6])
    add(
        "tokenmill explain RUN --url",
        lambda n: command("explain", str(root), "--url", f"https://example.org/{n}"),
        chosen[:6],
    )
    add("tokenmill trace RUN --step N", lambda n: command("trace", str(root), "--step", str(n % STEPS)), chosen[:6])
    return rows
