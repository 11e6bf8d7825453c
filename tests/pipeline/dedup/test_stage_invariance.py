"""What the dedup stage decides is a function of recipe and documents, not of how they are cut, ordered or worked on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.session.stages import run_stage
from pipeline.base.pool import InProcess
from pipeline.dedup.index.state import Corpus
from pipeline.dedup.index.writer import Batch, build_index
from pipeline.dedup.stage.plan import run as run_dedup
from pipeline.readers.parts import partition
from pipeline.recipe.minhash import MinHash
from pipeline.recipe.options import Recipe
from pipeline.run.context import Context
from pipeline.run.folder import Run
from pipeline.run.table_files import read_table
from pipeline.run.tables import CLUSTERS, VERDICTS
from tests.pipeline.dedup.reference import random_corpus

FILES = 4


def decided(
    root: Path, paths: list[str], partition_bytes: int, dedup: dict[str, Any]
) -> tuple[pa.Table, pa.Table, int]:
    """Evidence, verdicts in document order, and the number of shards."""
    sources = [{"name": "s", "paths": paths}]
    run = Run(str(root), Recipe.model_validate({"sources": sources, "stages": ["clean", "dedup"], "dedup": dedup}))
    with pytest.MonkeyPatch.context() as patch, run.lock():
        patch.setattr(partition, "MIN_PARTITION_BYTES", partition_bytes)
        context = Context(run, InProcess())
        run_stage("clean", context)
        summary = run_dedup(context)
        shards = context.document_shards()
    verdicts = pa.concat_tables([read_table(root / f"verdicts/dedup/{shard}.arrow", VERDICTS) for shard in shards])
    assert summary["documents_in"] == verdicts.num_rows == summary["kept"] + summary["dropped"]
    return read_table(root / "clusters/evidence.arrow", CLUSTERS), verdicts, len(shards)


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 10_000), keep=st.sampled_from(["first", "longest", "score"]), earlier=st.booleans()
)  # fmt: skip
def test_shard_size_memory_and_file_order_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, seed: int, keep: str, earlier: bool
) -> None:
    folder = tmp_path_factory.mktemp("stage")
    generator = np.random.default_rng(seed)
    texts = random_corpus(generator, 8, 6, 60)
    paths = [str(folder / f"{number}.jsonl") for number in range(FILES)]
    for path, part in zip(paths, np.array_split(np.arange(len(texts)), FILES), strict=True):
        rows = [{"text": texts[number], "score": int(generator.integers(0, 3))} for number in part]
        Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    against = []
    if earlier:
        known = random_corpus(np.random.default_rng(seed), 8, 6, 60)[:10]
        ids = [str(number) for number in range(len(known))]
        build_index(folder / "index", MinHash(), [(Corpus("old"), [Batch(ids, pa.array(known))])])
        against = [str(folder / "index")]
    dedup = {"keep": keep, "threshold": 0.6, "against": against}
    evidence, verdicts, shards = decided(folder / "whole", paths, 1 << 20, dedup)
    other, other_verdicts, other_shards = decided(folder / "cut", paths[::-1], 1500, {**dedup, "memory": "1KB"})
    assert (shards, other_shards > 1) == (1, True)
    assert evidence.equals(other)
    assert verdicts.equals(other_verdicts)
    assert evidence.num_rows
