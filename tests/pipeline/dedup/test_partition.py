"""A join in parts gives what one process gives, to the byte."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from flows.session.stages import run_stage
from pipeline.base.pool import InProcess
from pipeline.dedup.stage.parts_join import _dealt, _groups
from pipeline.dedup.stage.plan import run as run_dedup
from pipeline.readers.parts import partition
from pipeline.recipe.options import Dedup, Recipe
from pipeline.run.context import Context
from pipeline.run.folder import Run
from pipeline.run.manifest import load_manifests
from pipeline.run.table_files import open_table, read_table
from pipeline.run.tables import LINKS, PARTS
from tests.pipeline.dedup.reference import random_corpus

RESULTS = ("clusters/evidence.arrow", "clusters/survivors.arrow")


def make(root: Path, path: Path, dedup: dict[str, Any]) -> Run:
    recipe = {"sources": [{"name": "s", "paths": [str(path)]}], "stages": ["clean", "dedup"], "dedup": dedup}
    run = Run(str(root), Recipe.model_validate(recipe))
    with pytest.MonkeyPatch.context() as patch, run.lock():
        patch.setattr(partition, "MIN_PARTITION_BYTES", 2000)
        context = Context(run, InProcess())
        run_stage("clean", context)
        run_dedup(context)
    return run


def results(run: Run) -> dict[str, Any]:
    root = Path(run.root)
    verdicts = sorted(root.glob("verdicts/dedup/*.arrow"))
    counts = load_manifests(run.root, "dedup.clusters")["all"].counts
    return {**{str(path.relative_to(root)): path.read_bytes() for path in (*verdicts, *map(root.joinpath, RESULTS))},
            "counts": counts}  # fmt: skip


def write_records(path: Path, seed: int) -> None:
    generator = np.random.default_rng(seed)
    texts = random_corpus(generator, 8, 6, 60)
    rows = [
        {
            "text": text,
            "url": f"http://example.org/{generator.integers(len(texts))}",
            "score": float(score) if score else "none",
        }
        for text, score in zip(texts, generator.integers(0, 4, len(texts)).tolist(), strict=True)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@settings(max_examples=5, deadline=None)
@example(seed=968, keep="first", copies=1, same_url=True, partitions=2)
@given(
    seed=st.integers(0, 10_000),
    keep=st.sampled_from(["first", "longest", "score"]),
    copies=st.sampled_from([1, 2]),
    same_url=st.booleans(),
    partitions=st.integers(2, 5),
)
def test_parts_give_the_bytes_of_one_process(
    tmp_path_factory: pytest.TempPathFactory, seed: int, keep: str, copies: int, same_url: bool, partitions: int
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    write_records(folder / "records.jsonl", seed)
    dedup = {"keep": keep, "copies": copies, "same_url": same_url, "threshold": 0.6}
    whole = results(make(folder / "whole", folder / "records.jsonl", dedup))
    parts = results(make(folder / "parts", folder / "records.jsonl", {**dedup, "partitions": partitions}))
    assume(whole["counts"]["removed_near"])  # rarely, copies and URLs decide everything
    assert whole == parts


def test_a_document_is_in_one_part_and_its_links_with_it(tmp_path: Path) -> None:
    write_records(tmp_path / "records.jsonl", 3)
    run = make(tmp_path / "run", tmp_path / "records.jsonl", {"threshold": 0.6, "partitions": 3})
    parts = [
        set(read_table(path, PARTS)["document"].to_pylist())
        for path in sorted((tmp_path / "run/clusters/parts").glob("*.arrow"))
    ]
    assert len(parts) == 3
    assert sum(map(len, parts)) == len(set.union(*parts)) > 0
    for path in (Path(run.root) / "clusters/links").glob("*.arrow"):
        reader = open_table(path, LINKS)
        for number in range(reader.num_record_batches):
            groups: dict[int, set[int]] = {}
            for row in reader.get_batch(number).to_pylist():
                groups.setdefault(row["group"], set()).add(row["document"])
            assert all(len(group) > 1 and any(group <= part for part in parts) for group in groups.values())


def test_another_number_of_partitions_leaves_nothing_behind(tmp_path: Path) -> None:
    write_records(tmp_path / "records.jsonl", 5)
    before = results(make(tmp_path / "run", tmp_path / "records.jsonl", {"threshold": 0.6, "partitions": 4}))
    run = make(tmp_path / "run", tmp_path / "records.jsonl", {"threshold": 0.6})
    assert results(run) == before
    assert sorted(path.name for path in Path(run.root).glob("clusters/**/*.arrow")) == [
        "evidence.arrow",
        "survivors.arrow",
    ]
    assert not list(Path(run.root).glob("manifests/dedup.parts.json"))


def test_groups_are_documents_of_one_key() -> None:
    keys = np.array([5, 7, 5, 9, 7, 5], np.uint64)
    documents, groups = _groups(keys, np.arange(10, 16))
    assert documents.tolist() == [10, 12, 15, 11, 14]
    assert groups.tolist() == [0, 0, 0, 1, 1]


@given(st.lists(st.integers(1, 9), max_size=30), st.integers(1, 8))
def test_components_are_dealt_whole_and_evenly(sizes: list[int], parts: int) -> None:
    starts = np.cumsum([0, *sizes])[:-1] if sizes else np.zeros(0, np.int64)
    roots = np.repeat(starts, sizes).astype(np.int64)
    part = _dealt(roots, parts)
    assert all(len(set(part[roots == root].tolist())) == 1 for root in starts)
    assert len(roots) == 0 or 0 <= part.min() <= part.max() < parts
    assert all((part == number).sum() <= -(-len(roots) // parts) + max(sizes) for number in range(parts) if sizes)


def test_partitions_with_against_are_refused() -> None:
    with pytest.raises(ValidationError, match="partitions = 2 with against"):
        Dedup(partitions=2, against=["earlier"])
