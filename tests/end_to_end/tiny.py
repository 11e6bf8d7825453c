"""A tiny but whole job on a slice of data/sample, for tests that run it many times.

``python -m tests.end_to_end.tiny RECIPE ROOT WORKERS`` runs every stage without Prefect, as the flow does it.
"""

import gzip
import json
import shutil
import sys
from pathlib import Path

from flows.session.stages import run_stage
from pipeline.base.pool import Pool
from pipeline.recipe.load import load_recipe
from pipeline.run.context import Context
from pipeline.run.folder import Run
from tests.trees import tree

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)> </pre></details> \x1b[31mred'
RECIPE = """
name = "tiny"

[[sources]]
name = "prose"
paths = ["raw/prose.jsonl.gz"]
licence = "CC-BY-SA-4.0"
fields = { text = "extract", id = "title" }

[[sources]]
name = "web"
paths = ["raw/*.warc.gz"]

[clean]
max_quarantined = 0.5

[filter]
languages = ["en", "fr", "es", "de"]
rules = ["gopher_quality", "gopher_repetition"]

[tokenize]
vocabulary_size = 512
validation_share = 0.1

[model]
layers = 1
heads = 2
width = 32
context_length = 32

[train]
steps = 12
global_batch_tokens = 512
micro_batch_sequences = 8
"""


def write_inputs(folder: Path, sample: Path, records: int = 400) -> Path:
    """Writes a small recipe and its raw files below ``folder``; returns the recipe's path."""
    raw = folder / "raw"
    raw.mkdir(parents=True)
    source = sample / "wikipedia-leads.jsonl.gz"
    with gzip.open(source, "rt", encoding="utf-8", errors="surrogateescape") as lines:
        taken = [line for line, _ in zip(lines, range(records), strict=False)]
    hostile = {"extract": f"{HOSTILE} this page is far too short", "title": "hostile"}
    body = "".join([*taken, json.dumps(hostile) + "\n", taken[0], "not json\n"])
    with (raw / "prose.jsonl.gz").open("wb") as file, gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
        packed.write(body.encode("utf-8", errors="surrogateescape"))
    shutil.copy(sample / "faults" / "web.warc.gz", raw)
    recipe = folder / "tiny.toml"
    recipe.write_text(RECIPE)
    return recipe


def run_all(
    recipe: Path, root: Path, workers: int = 2, overrides: tuple[str, ...] = ()
) -> dict[str, dict[str, object]]:
    """Runs every stage of the recipe in this process and its pool; returns the summaries."""
    run = Run(str(root), load_recipe(recipe, overrides))
    summaries = {}
    with run.lock(), Pool(workers) as pool:
        run.write_recipe()
        for stage in run.recipe.stages:
            summaries[stage] = run_stage(stage, Context(run, pool))
    return summaries


def write_training(root: Path) -> None:
    """Writes the metrics and samples that a training leaves; hostile text among them."""
    (root / "metrics").mkdir(exist_ok=True)
    lines: list[dict[str, object]] = []
    for step in range(1, 13):
        rate = {"tokens_per_second": 900.0 + step, "learning_rate": 0.001, "grad_norm": 1.0 / step}
        lines.append({"step": step, "tokens": 512 * step, "loss": 6.0 - step / 6, "skipped_steps": 0, **rate})
        if step % 6 == 0:
            lines.append({"step": step, "tokens": 512 * step, "validation_loss": 5.0, "bits_per_byte": 4 - step / 12})
    samples = [{"step": step, "prompt": "Once", "text": f"{HOSTILE} {step}"} for step in (6, 12)]
    for name, values in (("train", lines), ("samples", samples)):
        text = "".join(json.dumps(value) + "\n" for value in values)
        (root / "metrics" / f"{name}.jsonl").write_text(text)


def promised(root: Path) -> dict[str, bytes]:
    """Every file of the run that must be byte-identical, by path (docs/architecture.md)."""
    return tree(root, "metrics", "report")


if __name__ == "__main__":
    run_all(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
