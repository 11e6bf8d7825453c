"""The metrics of a training: its lines, its result, the samples by checkpoint, and the tokenizer's own report."""

import json
import math
from typing import Any

from pipeline.base import storage
from pipeline.base.words import visible
from pipeline.report.figures import Figures
from pipeline.run import layout
from pipeline.run import manifest as manifests
from pipeline.run.folder import Run


def collect_training(run: Run, figures: Figures) -> None:
    """Fills tokens, tokenizer, training, validation, result and samples."""
    figures.tokens = manifests.total_counts(manifests.load_manifests(run.root, "tokenize").values())
    figures.tokens |= manifests.total_counts(manifests.load_manifests(run.root, "tokenize.leakage").values())
    url = run.url(layout.TOKENIZER_REPORT)
    if storage.exists(url):
        figures.tokenizer = json.loads(storage.read_bytes(url))
    for line in json_lines(run, layout.TRAIN_METRICS):
        (figures.validation if "validation_loss" in line else figures.training).append(line)
    figures.samples = [
        {key: visible(value) if isinstance(value, str) else value for key, value in sample.items()}
        for sample in json_lines(run, layout.SAMPLES)
    ]
    for found in manifests.load_manifests(run.root, "train").values():
        figures.result = found.counts


def json_lines(run: Run, path: str) -> list[dict[str, Any]]:
    """The complete lines of a JSONL file of the run; none where there is no such file."""
    url = run.url(path)
    lines = storage.read_bytes(url).decode().splitlines(keepends=True) if storage.exists(url) else []
    return [json.loads(line) for line in lines if line.endswith("\n") and line.strip()]


def finite(value: Any) -> bool:
    """True for a number that can be drawn."""
    return isinstance(value, int | float) and math.isfinite(value)
