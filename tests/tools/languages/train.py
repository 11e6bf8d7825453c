"""Trains the language model of the package: ``python -m tests.tools.languages.train FOLDER``."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipeline.clean.languages.identify import MODEL
from pipeline.filter.classifier import fasttext_fit
from tests.tools.languages.corpus import write_lines
from tests.tools.languages.sources import written

THREADS = 1  # with more the weights depend on chance
OPTIONS: dict[str, Any] = {
    "dim": 32,
    "minn": 2,
    "maxn": 5,
    "bucket": 1 << 19,
    "minCount": 600,
    "epoch": 3,
    "lr": 0.4,
    "loss": "softmax",
}
COMPRESSION = {"qnorm": True, "retrain": False, "cutoff": 0, "dsub": 4}


def main(folder: Path) -> None:
    """Makes what is missing of pools, lines and model."""
    pools, lines, model = folder / "pools", folder / "lines.txt", folder / "model.bin"
    if not pools.exists():
        written(folder, pools)
    if not lines.exists():
        write_lines(pools, lines)
    if not model.exists():
        # a process of its own, whose memory is set: see fasttext_fit
        order = json.dumps({"input": str(lines), "output": str(model)})
        command = [sys.executable, "-m", "tests.tools.languages.train", "--fit", order]
        subprocess.run(command, env=os.environ | fasttext_fit.ENVIRONMENT, check=True)
    compress(model, MODEL)


def fit(paths: dict[str, str]) -> None:
    """Trains on lines, and writes the model."""
    import fasttext

    assert fasttext_fit.memory_is_set(), "fastText needs memory that is set: fasttext_fit.ENVIRONMENT"
    fasttext.train_supervised(paths["input"], thread=THREADS, **OPTIONS).save_model(paths["output"])


def compress(trained: Path, into: Path) -> None:
    """Writes the model with its weights as codes of a byte for four numbers."""
    import fasttext

    model = fasttext.load_model(str(trained))
    model.quantize(**COMPRESSION)
    model.save_model(str(into))


if __name__ == "__main__":
    if sys.argv[1] == "--fit":
        fit(json.loads(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))
