"""Runs the clean stage's worker in this process, on files that a test has written."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.clean.stage import plan_jobs
from pipeline.clean.worker import clean_partition
from pipeline.recipe.options import Recipe
from pipeline.run.engine import Outputs
from pipeline.run.table_files import read_table
from pipeline.run.tables import DOCUMENTS, EXCLUDED, QUARANTINE


@dataclass
class Cleaned:
    """What the stage made of the files."""

    documents: list[dict[str, Any]]
    excluded: list[dict[str, Any]]
    quarantined: list[dict[str, Any]]
    counts: Counter[str]
    shards: int

    @property
    def texts(self) -> list[str]:
        return [document["text"] for document in self.documents]

    @property
    def reasons(self) -> list[str]:
        return [row["reason"] for row in self.quarantined]

    def numbers(self) -> tuple[int, int, int]:
        """Documents, excluded, quarantined."""
        return len(self.documents), len(self.excluded), len(self.quarantined)


@pytest.fixture
def clean(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Cleaned]:
    def run(*paths: Path | str, source: dict[str, Any] | None = None, **options: Any) -> Cleaned:
        entry = {"name": "test", "paths": [str(path) for path in paths], **(source or {})}
        recipe = Recipe.model_validate({"sources": [entry], "clean": options})
        tables: dict[str, list[dict[str, Any]]] = {"documents": [], "excluded": [], "quarantine": []}
        counts: Counter[str] = Counter()
        root = tmp_path_factory.mktemp("run")
        jobs = plan_jobs(recipe)
        for job in jobs:
            outputs = Outputs(str(root), job)
            clean_partition(job, outputs)
            published = outputs.publish()
            counts.update({name: value for name, value in outputs.counts.items() if isinstance(value, int)})
            for output in published:
                folder = output.path.split("/")[0]
                table = {"documents": DOCUMENTS, "excluded": EXCLUDED, "quarantine": QUARANTINE}[folder]
                rows: pa.Table = read_table(root / output.path, table)
                tables[folder] += rows.to_pylist()
        cleaned = Cleaned(tables["documents"], tables["excluded"], tables["quarantine"], counts, len(jobs))
        assert counts["records_in"] == sum(cleaned.numbers())
        return cleaned

    return run
