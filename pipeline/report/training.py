"""The metrics of a training: its lines, its result, the samples by checkpoint, and the tokenizer's own report."""

import math
from typing import Any, TypeGuard

from pipeline.base import storage
from pipeline.base.errors import parse_json
from pipeline.base.words import visible
from pipeline.lineage.training import read_json_lines
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
        figures.tokenizer = parse_json(storage.read_bytes(url))
    for line in read_json_lines(run.url(layout.TRAIN_METRICS)):
        for key, lines in (("validation_loss", figures.validation), ("loss", figures.training)):
            lines += [line] if key in line else []
    figures.samples = [
        {key: visible(value) if isinstance(value, str) else value for key, value in sample.items()}
        for sample in read_json_lines(run.url(layout.SAMPLES))
        if "text" in sample
    ]
    for found in manifests.load_manifests(run.root, "train").values():
        figures.result = found.counts


def finite(value: Any) -> TypeGuard[float]:
    """True for a number that can be drawn."""
    return isinstance(value, int | float) and math.isfinite(value)
