"""A sample of the files through the real clean and filter stages, in a folder that is thrown away.

The sample is whole partitions, spread evenly over the files in their order, up to ``SAMPLE_BYTES``.
"""

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.base.pool import Pool
from pipeline.base.progress import Silent
from pipeline.clean.stage import plan_jobs, step_for
from pipeline.filter import stage as filter_stage
from pipeline.filter.whatif import what_if
from pipeline.recipe.options import Recipe
from pipeline.recipe.presets import PRESETS
from pipeline.run.context import Context
from pipeline.run.engine import Job
from pipeline.run.folder import Run
from pipeline.run.manifest import total_counts
from pipeline.run.table_files import read_table
from pipeline.run.tables import DOCUMENTS

SAMPLE_BYTES = 24 << 20
MOST_PARTITIONS = 16


@dataclass
class Tried:
    """What the sample shows: ``share`` is its part of all bytes; ``kept`` and ``tokens`` are by preset."""

    share: float = 1.0
    records: int = 0
    documents: int = 0
    excluded: dict[str, int] = field(default_factory=dict)
    quarantined: dict[str, int] = field(default_factory=dict)
    languages: Counter[str] = field(default_factory=Counter)
    kept: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)

    def all_tokens(self, preset: str) -> int:
        """Tokens that a preset keeps of all files, by the sample."""
        return round(self.tokens.get(preset, 0) / max(self.share, 1e-9))


def attempt(sources: Sequence[dict[str, Any]], workers: int) -> Tried:
    """Cleans and judges a sample of the sources.

    Args:
        sources: As in a recipe, with absolute paths.
        workers: Worker processes.
    """
    with tempfile.TemporaryDirectory(prefix="tokenmill-init-") as folder, Pool(workers) as pool:
        recipe = Recipe.model_validate(
            {"stages": ["clean", "filter"], "sources": list(sources), "clean": {"max_quarantined": 1.0}}
        )
        run = Run(folder, recipe)
        run.write_recipe()
        context = Context(run, pool, Silent())
        jobs = plan_jobs(recipe)
        chosen = sample(jobs)
        cleaned = context.run_step(step_for(recipe), chosen)
        tried = _counts(total_counts(cleaned.values()))
        tried.share = _bytes(chosen) / max(1, _bytes(jobs))
        if tried.documents:
            _judge(context, tried)
        return tried


def sample(jobs: Sequence[Job]) -> list[Job]:
    """Partitions at even distances, at least one of each source, until the sample is large enough."""
    by_source: dict[str, list[Job]] = {}
    for job in jobs:
        by_source.setdefault(job.config["source"]["name"], []).append(job)
    chosen: list[Job] = []
    for of_source in by_source.values():
        wanted = max(1, min(len(of_source), MOST_PARTITIONS // len(by_source)))
        taken = 0
        for number in range(wanted):
            job = of_source[number * len(of_source) // wanted]
            chosen.append(job)
            taken += _bytes([job])
            if taken >= SAMPLE_BYTES // len(by_source):
                break
    return sorted(chosen, key=lambda job: job.shard)


def _bytes(jobs: Sequence[Job]) -> int:
    return sum(part["size"] for job in jobs for part in job.config["parts"])


def _counts(counts: dict[str, int]) -> Tried:
    def of(kind: str) -> dict[str, int]:
        prefix = f"{kind}_reasons."
        return {name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)}

    return Tried(
        records=counts.get("records_in", 0),
        documents=counts.get("documents", 0),
        excluded=of("excluded"),
        quarantined=of("quarantined"),
    )


def _judge(context: Context, tried: Tried) -> None:
    filter_stage.run(context)
    for shard in context.document_shards():
        table = read_table(context.run.local(f"documents/{shard}.arrow"), DOCUMENTS, ["language", "text"])
        tried.languages.update(name or "unknown" for name in table["language"].to_pylist())
    for preset in PRESETS:
        after = what_if(context.root, [f"filter.preset={preset}"], examples=0)["after"]
        tried.kept[preset] = after["kept"]
        tried.tokens[preset] = after["tokens_estimated"]
