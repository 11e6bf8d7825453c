"""``tokenmill bench dedup_join``: the join of a run, step by step: processor time, memory, bytes, partitions, growth.

Documents of about 3.6 kB are made of sentences of the corpus, a fifth of them revisions of earlier ones with up to two
sentences changed; the same ones every time, whatever their number.  Each run is made in this process, its signatures
first; what the modules take to load is not counted, and of the memory what the process held before.
"""

import math
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from pipeline.base.arrow import doc_id_column
from pipeline.base.console import say
from pipeline.base.pool import InProcess
from pipeline.bench.dedup_scale import COPIES, corpus_sentences
from pipeline.dedup.stage import components, keys, linked_sets, links, merge, plan, select, signatures, verdicts
from pipeline.recipe.options import Recipe
from pipeline.run import layout
from pipeline.run.context import Context
from pipeline.run.engine import Job, Outputs, Step
from pipeline.run.folder import Run
from pipeline.run.manifest import Manifest
from pipeline.run.tables import DOCUMENTS

LOADED = (components, keys, linked_sets, links, merge, select, signatures, verdicts)  # before anything is timed
PARTITIONS, SIZES = (1, 8, 64), (100_000, 1_000_000)
SENTENCES = (12, 38)  # of a document
READ = (layout.DOCUMENTS, layout.SIGNATURES)  # folders that the join reads: texts once, signatures twice
PER_SHARD, PER_BATCH = 8_000, 2_000
CLEAN = Step("clean", 1, "pipeline.bench.dedup_join:make_shard")


def run(sizes: Sequence[int] = SIZES, partitions: Sequence[int] = PARTITIONS) -> list[dict[str, Any]]:
    """A row for each number of partitions of the first size, and one for each other size, with as many as it needs."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as name:
        for size in sizes:
            folder = Path(name) / str(size)
            for count in partitions if size == sizes[0] else (0,):
                rows.append({"documents": size, "partitions": count, **measure(folder, size, count)})
                say(orjson.dumps(rows[-1]).decode())
            shutil.rmtree(folder)
    if len(sizes) > 1:
        grown = math.log(rows[-1]["cpu_seconds"] / rows[0]["cpu_seconds"])
        rows[-1]["growth_exponent"] = round(grown / math.log(sizes[-1] / sizes[0]), 2)
    return rows


class _Measured(Context):
    """A context that measures its steps."""

    def __init__(self, made: Run) -> None:
        super().__init__(made, InProcess())
        self.cpu: dict[str, float] = {}
        self.written: dict[str, int] = {}

    def run_step(self, step: Step, jobs: Iterable[Job]) -> dict[str, Manifest]:
        """See ``Context``."""
        started = time.process_time()
        made = super().run_step(step, jobs)
        self.cpu[step.name] = round(time.process_time() - started, 3)
        self.written[step.name] = sum(output.bytes for manifest in made.values() for output in manifest.outputs)
        return made


def measure(folder: Path, documents: int, partitions: int) -> dict[str, Any]:
    """Processor seconds, memory and bytes of the join; the folder keeps documents and signatures."""
    recipe = {"sources": [{"name": "s", "paths": ["x"]}], "dedup": {"partitions": partitions}}
    made = Run(str(folder), Recipe.model_validate(recipe))
    with made.lock():
        starts = range(0, documents, PER_SHARD)
        jobs = [
            Job(f"{number:05d}", {"first": first, "end": min(documents, first + PER_SHARD)})
            for number, first in enumerate(starts)
        ]
        Context(made, InProcess()).run_step(CLEAN, jobs)
        plan.sign_documents(context := _Measured(made))
        for path in folder.glob("manifests/dedup.clusters*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        Path("/proc/self/clear_refs").write_text("5", "utf-8")  # the peak is that of what follows
        held = _megabytes("VmRSS")
        found = plan.run(context)
        peak = _megabytes("VmHWM") - held
    cpu = {step: seconds for step, seconds in context.cpu.items() if step not in ("dedup.signatures", "dedup")}
    written = {step: size for step, size in context.written.items() if step in cpu}
    counts = {name: found[name] for name in ("dropped_exact", "dropped_near", "clusters", "largest_cluster")}
    there = {name: sum(path.stat().st_size for path in (folder / name).iterdir()) for name in READ}
    figures = {"cpu_seconds": round(sum(cpu.values()), 2), "steps": cpu, "memory_megabytes": round(peak)}
    return {**figures, "written_bytes": written, "read_from": there, **counts}


def _megabytes(name: str) -> float:
    """What the system says of this process's memory: ``VmRSS`` now, ``VmHWM`` at its peak; mapped files included."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{name}:"))


def make_shard(job: Job, outputs: Outputs) -> None:
    """Writes a shard of documents."""
    sentences, end = corpus_sentences(), job.config["end"]
    with outputs.table(layout.documents(job.shard), DOCUMENTS) as writer:
        for first in range(job.config["first"], end, PER_BATCH):
            numbers = range(first, min(end, first + PER_BATCH))
            texts = pa.array([_text(number, sentences) for number in numbers], pa.large_string())
            ids = np.stack([np.array(numbers, np.uint64), np.full(len(numbers), 7, np.uint64)], axis=1)
            given = {"doc_id": doc_id_column(ids), "text": texts}
            columns = [
                given[column.name] if column.name in given else _nothing(column, len(numbers))
                for column in DOCUMENTS.schema
            ]
            writer.write(pa.record_batch(columns, schema=DOCUMENTS.schema))


def _nothing(column: pa.Field, rows: int) -> pa.Array:
    if column.nullable:
        return pa.nulls(rows, column.type)
    return pa.array([""] * rows if pa.types.is_string(column.type) else np.zeros(rows, np.int8)).cast(column.type)


def _text(number: int, sentences: Sequence[str]) -> str:
    generator = np.random.default_rng((1, number))
    if number == 0 or generator.random() >= COPIES:
        return " ".join(_original(number, sentences))
    words = _original(int(generator.integers(number)), sentences)
    for _ in range(int(generator.integers(0, 3))):
        words[int(generator.integers(len(words)))] = sentences[int(generator.integers(len(sentences)))]
    return " ".join(words)


def _original(number: int, sentences: Sequence[str]) -> list[str]:
    generator = np.random.default_rng(number)
    chosen = generator.integers(len(sentences), size=int(generator.integers(*SENTENCES)))
    return [sentences[place] for place in chosen.tolist()]
