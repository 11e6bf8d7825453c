"""Run folders whose documents stand ready, so that the tokenize stage can be run alone, in this process."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from flows.session.stages import run_stage, working_context
from pipeline.base.pool import InProcess
from pipeline.recipe.options import Recipe
from pipeline.run.context import Context
from pipeline.run.engine import Job, Outputs, Step
from pipeline.run.folder import Run
from pipeline.run.table_files import read_table
from pipeline.run.tables import DOCUMENTS, TOKENS, VERDICTS

CLEAN = Step("clean", 1, "tests.pipeline.tokens.runs:write_documents")
WORDS = [
    "river",
    "stone",
    "garden",
    "winter",
    "letter",
    "number",
    "garden",
    "market",
    "evening",
    "copper",
    "silver",
    "window",
    "engine",
    "season",
    "harbour",
    "lantern",
    "meadow",
    "thunder",
    "village",
    "orchard",
    "blanket",
    "journey",
    "whisper",
    "anchor",
]


def doc_id(source: str, number: int) -> bytes:
    return hashlib.blake2b(f"{source}/{number}".encode(), digest_size=16).digest()


def sentence(seed: int, words: int = 40) -> str:
    rng = np.random.default_rng(seed)
    return " ".join(rng.choice(WORDS, words)) + "."


def write_documents(job: Job, outputs: Outputs) -> None:
    """Stands in for the clean stage."""
    source, texts, first = job.config["source"], job.config["texts"], job.config["first"]
    with outputs.table(f"documents/{job.shard}.arrow", DOCUMENTS, {"tokenmill.source": source}) as writer:
        ids = [doc_id(source, first + n) for n in range(len(texts))]
        given: dict[str, list[Any]] = {"doc_id": ids, "text": texts, "language": job.config["languages"]}
        fill = {"source": source, "path": "made up"}
        columns = [
            pa.array(
                given.get(f.name, [None if f.nullable else fill.get(f.name, 0)] * len(texts)),
                f.type,
            )
            for f in writer.schema
        ]
        writer.write(pa.record_batch(columns, schema=writer.schema))
    outputs.count(documents=len(texts))


def make_run(
    root: Path,
    sources: dict[str, list[str]],
    *,
    stages: Sequence[str] = ("clean", "tokenize"),
    shard_documents: int = 100,
    **sections: dict[str, Any],
) -> Run:
    """A run folder with document shards of ``shard_documents`` each, and its recipe."""
    given = {"vocabulary_size": 300, **sections.pop("tokenize", {})}
    weights = sections.pop("weights", {})
    recipe = Recipe.model_validate(
        {
            "sources": [
                {"name": name, "paths": ["unused"], **({"weight": weights[name]} if name in weights else {})}
                for name in sources
            ],
            "stages": list(stages),
            "tokenize": given,
            **sections,
        }
    )
    run = Run(str(root), recipe)
    run.write_recipe()
    jobs: list[Job] = []
    for source, texts in sources.items():
        for first in range(0, max(1, len(texts)), shard_documents):
            part = texts[first : first + shard_documents]
            config = {"source": source, "texts": part, "first": first, "languages": ["en"] * len(part)}
            jobs.append(Job(f"{len(jobs):05d}", config))
    Context(run, InProcess()).run_step(CLEAN, jobs)
    return run


def do(run: Run) -> dict[str, Any]:
    """Runs every stage but clean; returns the summary of the last."""
    summary: dict[str, Any] = {}
    for stage in run.recipe.stages:
        if stage != "clean":
            summary = run_stage(stage, working_context(run, InProcess()))
    return summary


def tokens_of(run: Run, split: str) -> dict[bytes, list[int]]:
    """doc_id -> tokens of every document of a side."""
    found = {}
    for path in sorted((Path(run.root) / "tokens" / split).glob("*.arrow")):
        for row in read_table(path, TOKENS).to_pylist():
            found[row["doc_id"]] = row["tokens"]
    return found


def sides_of(run: Run) -> dict[bytes, dict[str, Any]]:
    """doc_id -> row of verdicts/tokenize."""
    paths = sorted((Path(run.root) / "verdicts/tokenize").glob("*.arrow"))
    return {row["doc_id"]: row for path in paths for row in read_table(path, VERDICTS).to_pylist()}


def texts_of(sources: dict[str, list[str]]) -> dict[bytes, str]:
    return {doc_id(name, n): text for name, texts in sources.items() for n, text in enumerate(texts)}
