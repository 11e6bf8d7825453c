"""Deduplication in memory: the same as that of files."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.base.errors import UserError
from pipeline.dedup.command.run import run
from pipeline.texts.duplicates import deduplicate
from tests.pipeline.dedup.helpers import removed, request, write_jsonl
from tests.pipeline.dedup.reference import random_corpus

SHARED = ("similarity", "intersection", "union", "rule")


def corpus() -> list[str]:
    texts = random_corpus(np.random.default_rng(5), families=40, members=5, words=60)
    return [*texts, texts[7], "", "?!", "", "short text", "short  text", texts[100]]


def of_files(folder: Path, texts: list[str], scores: list[int], **options: Any) -> tuple[list[int], list[Any]]:
    records = [{"id": str(row), "text": text, "score": scores[row]} for row, text in enumerate(texts)]
    write_jsonl(folder / "in.jsonl", records)
    run(request([folder / "in.jsonl"], folder / "out", **options))
    rows = removed(folder / "out")
    gone = {int(row["id"]) for row in rows}
    told = [
        (int(row["id"]), int(row["kept_id"]), int(row["cluster_id"]), *(row[name] for name in SHARED)) for row in rows
    ]
    return [row for row in range(len(texts)) if row not in gone], told


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"keep": "longest"},
        {"keep": "score"},
        {"threshold": 0.5, "ngram": 3, "bands": 20, "rows": 5, "seed": 7},
        {"exact_only": True},
        {"verify": False},
    ],
    ids=str,
)
def test_outcome_is_that_of_dedup_run_on_the_same_texts(options: dict[str, Any], tmp_path: Path) -> None:
    texts = corpus()
    scores = np.random.default_rng(1).integers(0, 9, len(texts)).tolist()
    kept, told = of_files(tmp_path, texts, scores, **options)
    if options.get("keep") == "score":
        options = {"keep": scores}
    found = deduplicate(texts, **options)
    assert found.kept.to_pylist() == kept
    rows = [tuple(row.values()) for row in found.removed.select(["row", "kept_row", "cluster", *SHARED]).to_pylist()]
    assert rows == told
    assert len(kept) < len(texts) - 3


def test_kinds_of_columns_give_the_same() -> None:
    import polars

    texts = corpus()
    wanted = deduplicate(texts)
    array = pa.array(texts)
    columns = [array, pa.array(texts, pa.large_string()), array.dictionary_encode(), iter(texts), polars.Series(texts)]
    columns.append(pa.chunked_array([array.slice(0, 50), array.slice(50)]))
    for column in columns:
        found = deduplicate(column)
        assert found.kept.equals(wanted.kept)
        assert found.removed.equals(wanted.removed)


def test_nothing_is_kept_of_no_texts() -> None:
    found = deduplicate([])
    assert (found.kept.to_pylist(), found.removed.num_rows, found.clusters) == ([], 0, 0)


def test_batches_do_not_change_the_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = deduplicate(corpus())
    monkeypatch.setattr("pipeline.texts.duplicates.BATCH_BYTES", 1000)
    found = deduplicate(corpus())
    assert found.removed.equals(wanted.removed)


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ("one", {}, "expected several, got one; put it into a list"),
        (["a", None], {}, "expected a string at row 1, got NoneType"),
        (["a", b"b"], {}, "expected a string at row 1, got bytes"),
        (["a", "b\ud800"], {}, "row 1 is no Unicode at character 1"),
        (pa.array(["a", None]), {}, "none at row 1"),
        (pa.array([1, 2]), {}, "expected strings, got a column of int64"),
        (["a"], {"threshold": 2.0}, r"dedup\.threshold = 2\.0: input should be less than or equal to 1"),
        (["a"], {"bands": 900}, "permutations; at most 4,096"),
        (["a"], {"keep": "best"}, "expected first, longest, or a value for each text"),
        (["a"], {"keep": [1, 2]}, "2 values for 1 texts; give one for each"),
    ],
)
def test_what_cannot_be_used_is_told(texts: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        deduplicate(texts, **options)
