"""``tokenmill bench growth``: each stage of a run by the number of documents: processor time, memory, disk.

Small documents, five to nine sentences of the corpus, a fifth of them copies of earlier ones, every other copy with a
sentence changed; the same ones every time.  Each stage runs in a process of its own that does all
work itself; its memory is the largest that it ever had, mapped files included, its disk what it left.  The first size
is small: what it takes is the start of a stage, and growth is that of what is beyond it.
"""

import gzip
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from pipeline.base import storage
from pipeline.base.console import say
from pipeline.base.pool import InProcess
from pipeline.bench.dedup_scale import COPIES, corpus_sentences
from pipeline.bench.program import measured
from pipeline.recipe.options import Recipe
from pipeline.run.context import Context
from pipeline.run.engine import load_function
from pipeline.run.folder import Run

START, SIZES = 1_000, (100_000, 1_000_000)
SENTENCES = (5, 10)  # of a document
RECENT = 20_000  # documents that a copy may be of
PER_FILE = 50_000
STAGES = {
    "clean": "pipeline.clean.stage:run",
    "dedup": "pipeline.dedup.stage.plan:run",
    "filter": "pipeline.filter.stage:run",
    "tokenize": "pipeline.tokens.stage:run",
}
FIGURES = ("cpu_seconds", "memory_megabytes", "disk_megabytes")
Row = dict[str, Any]


def run(sizes: Sequence[int] = SIZES) -> list[Row]:
    """A row for each size and stage; those of the last size have the growth exponents from the first one."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as name:
        for size in (START, *sizes):
            folder = Path(name) / str(size)
            write_documents(folder / "input", size)
            for stage in STAGES:
                rows.append({"documents": size, "stage": stage, **measure(folder, stage)})
                say(orjson.dumps(rows[-1]).decode())
    of = {(row["documents"], row["stage"]): row for row in rows}
    for stage in STAGES if len(sizes) > 1 else ():
        start, first, last = (of[size, stage] for size in (START, sizes[0], sizes[-1]))
        last |= {f"growth_exponent_{figure}": exponent(start, first, last, figure) for figure in FIGURES}
    return rows


def exponent(start: Row, first: Row, last: Row, figure: str) -> float:
    """With which power of the documents a figure grows, where that of ``start`` is no part of it."""
    grown, documents = ((last[of] - start[of]) / (first[of] - start[of]) for of in (figure, "documents"))
    return round(math.log(grown) / math.log(documents), 2)


def write_documents(folder: Path, count: int) -> None:
    """Documents as JSONL.gz files."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(12)
    sentences, recent = corpus_sentences(), list[list[str]]()
    for first in range(0, count, PER_FILE):
        with gzip.open(folder / f"{first:09d}.jsonl.gz", "wb", 1) as file:
            for number in range(first, min(count, first + PER_FILE)):
                text = " ".join(f"{sentence}." for sentence in _document(generator, sentences, recent))
                file.write(orjson.dumps({"id": str(number), "text": text}) + b"\n")


def _document(generator: np.random.Generator, sentences: Sequence[str], recent: list[list[str]]) -> list[str]:
    if recent and generator.random() < COPIES:
        copied = list(recent[int(generator.integers(len(recent)))])
        if generator.random() < 0.5:
            copied[int(generator.integers(len(copied)))] = sentences[int(generator.integers(len(sentences)))]
        return copied
    chosen = generator.integers(len(sentences), size=int(generator.integers(*SENTENCES)))
    made = [sentences[place] for place in chosen.tolist()]
    if len(recent) < RECENT:
        recent.append(made)
    else:
        recent[int(generator.integers(RECENT))] = made
    return made


def measure(folder: Path, stage: str) -> Row:
    """The figures of one stage, made in a process of its own."""
    before = _size(folder / "run")
    code = f"from pipeline.bench.growth import make; make({str(folder)!r}, {stage!r})"
    used = measured([sys.executable, "-c", code])
    if used.exit_code:
        raise RuntimeError(f"stage {stage} in {folder} ended with status {used.exit_code}")
    figures = (used.cpu_seconds, used.peak_bytes / 1e6, (_size(folder / "run") - before) / 1e6)
    return {name: round(figure, 2) for name, figure in zip(FIGURES, figures, strict=True)}


def make(folder: str, stage: str) -> None:
    """Makes one stage of the run, in this process."""
    source = {"name": "texts", "paths": [f"{folder}/input/*.jsonl.gz"], "format": "jsonl"}
    run = Run(f"{folder}/run", Recipe.model_validate({"sources": [source], "stages": list(STAGES)}))
    storage.local_path(run.root).mkdir(exist_ok=True)
    with run.lock():
        load_function(STAGES[stage])(Context(run, InProcess()))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
