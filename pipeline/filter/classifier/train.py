"""Trains a classifier: of texts that are given (``tokenmill classifier train``) or of the run's own (a step of filter).

The same input gives the same model: the training runs by itself in a process whose memory is set (fasttext_fit.py says
why fastText needs that), and weights and scores are checked to be finite.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import RunError, UserError
from pipeline.clean.languages.identify import FASTTEXT
from pipeline.filter.classifier import fasttext_fit
from pipeline.filter.classifier.card import CARD_FILES, chosen_threshold, held_out_report, write_card
from pipeline.filter.classifier.scorer import NEGATIVE, POSITIVE, Scorer, prepare
from pipeline.filter.classifier.texts import Texts, read_texts, texts_of_shards
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.manifest import digest_file

MIN_TEXTS = 10
MODEL = "model.bin"


@dataclass(frozen=True)
class Options:
    """How to train; the defaults are fastText's, with word bigrams as DCLM uses them."""

    name: str = "quality"
    keep_rate: float | None = None
    holdout: float = 0.2
    epochs: int = 5
    learning_rate: float = 0.1
    dimension: int = 100
    word_ngrams: int = 2
    buckets: int = 200_000
    seed: int = 1

    def check(self) -> None:
        """Raises UserError where a value cannot work."""
        wrong = {
            "holdout": not 0.0 < self.holdout < 1.0,
            "keep_rate": self.keep_rate is not None and not 0.0 < self.keep_rate < 1.0,
            "learning_rate": not 0.0 < self.learning_rate <= 10.0,
            "dimension": not 1 <= self.dimension <= 1000,
            "word_ngrams": not 1 <= self.word_ngrams <= 5,
            "buckets": not 1 <= self.buckets <= 50_000_000,
            "epochs": self.epochs < 1,
        }
        for name in (name for name, is_wrong in wrong.items() if is_wrong):
            raise UserError(f"classifier: {name} = {getattr(self, name)} is out of its range; see --help")


def train(
    positive: Sequence[str], negative: Sequence[str], output: Path, options: Options, reference: Sequence[str] = ()
) -> dict[str, Any]:
    """Trains a classifier and writes ``model.bin``, ``card.json``, ``card.md`` and ``calibration.png``.

    Args:
        positive: Texts wanted: files, or queries over a run.
        negative: Texts not wanted.
        output: Folder to write to.
        options: How to train.
        reference: Texts whose ``keep_rate`` share the threshold is to keep; the held-out texts without it.

    Returns:
        The model card.

    Raises:
        UserError: If an input cannot be read, there are too few texts, or training diverges.
    """
    options.check()
    classes = {POSITIVE: read_texts(positive), NEGATIVE: read_texts(negative)}
    return train_texts(classes, output, options, read_texts(reference).texts if reference else None)


def train_texts(
    classes: dict[str, Texts], output: Path, options: Options, reference: Sequence[str] | None = None
) -> dict[str, Any]:
    """Like ``train``, of texts that are read already: ``classes`` maps both labels to theirs."""
    both = {prepare(t) for t in classes[POSITIVE].texts} & {prepare(t) for t in classes[NEGATIVE].texts}
    parts = {label: _split(found, options, both) for label, found in classes.items()}
    for label, (trained, held) in parts.items():
        if len(trained) < MIN_TEXTS or not held:
            raise UserError(
                f"classifier: {len(trained)} texts to train and {len(held)} to hold out for {label}; at least "
                f"{MIN_TEXTS} and 1 are needed"
            )
    output.mkdir(parents=True, exist_ok=True)
    path = output / MODEL
    _fit({label: trained for label, (trained, _) in parts.items()}, options, path)
    scorer = Scorer(path)
    scores = {label: scorer.scores(held).to_numpy() for label, (_, held) in parts.items()}
    known = scorer.scores(reference).to_numpy() if reference else np.concatenate([*scores.values()])
    measured_on = "reference texts" if reference else "held-out texts of both classes"
    threshold = chosen_threshold(known, options.keep_rate, measured_on)
    card = {
        "name": options.name,
        "signal": f"{options.name}_score",
        "model": {"path": path.name, "bytes": path.stat().st_size, "digest": digest_file(path), "label": POSITIVE},
        "options": asdict(options),
        "data": {
            label: found.described(len(parts[label][0]), len(parts[label][1])) for label, found in classes.items()
        },
        "in_both_classes": len(both),
        "held_out": held_out_report(scores[POSITIVE], scores[NEGATIVE], threshold["value"]),
        "threshold": threshold,
        "versions": {name: version(name) for name in (FASTTEXT, "numpy")},
    }
    write_card(card, output)
    return card


def _split(found: Texts, options: Options, both: set[str]) -> tuple[list[str], list[str]]:
    """Distinct texts to train on and to hold out, by a hash of the text; without those of both classes."""
    texts = sorted({prepare(text) for text in found.texts} - both - {""})
    limit = int(options.holdout * 2**64)
    held = {text for text in texts if _hash(text, options.seed) < limit}
    return [text for text in texts if text not in held], [text for text in texts if text in held]


def _hash(text: str, seed: int) -> int:
    digest = hashlib.blake2b(text.encode(), digest_size=8, key=seed.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little")


def _fit(texts: dict[str, list[str]], options: Options, path: Path) -> None:
    """Trains in a process of its own, see fasttext_fit.py."""
    lines = sorted(
        (_hash(text, options.seed + 1), f"{label} {text}\n") for label, found in texts.items() for text in found
    )  # shuffled, so that the learning rate falls over both classes alike
    with tempfile.TemporaryDirectory() as folder:
        data, settings = Path(folder, "texts.txt"), Path(folder, "settings.json")
        data.write_text("".join(line for _, line in lines), encoding="utf-8")
        settings.write_text(
            json.dumps({"options": {"input": str(data), **_settings(options)}, "output": str(path)}), encoding="utf-8"
        )
        command = [sys.executable, "-P", str(Path(__file__).with_name("fasttext_fit.py")), str(settings)]
        done = subprocess.run(
            command,
            env={**os.environ, **fasttext_fit.ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    message = done.stderr.strip()
    if done.returncode == fasttext_fit.DIVERGED:
        raise UserError(
            f"classifier: training diverged ({message}); lower --learning-rate, now {options.learning_rate:g}"
        )
    if done.returncode == fasttext_fit.UNSET_MEMORY:
        raise RunError(
            "classifier: this C library does not fill the memory it hands out (glibc does, by MALLOC_PERTURB_), and "
            "fastText would train on what was in it; train on a machine with glibc"
        )
    if done.returncode:
        raise RunError(f"classifier: the training process ended with {done.returncode}: {message or 'no message'}")


def _settings(options: Options) -> dict[str, Any]:
    """The options by fastText's names."""
    return {
        "lr": options.learning_rate,
        "dim": options.dimension,
        "epoch": options.epochs,
        "wordNgrams": options.word_ngrams,
        "bucket": options.buckets,
        "minn": 0,
        "maxn": 0,
        "seed": options.seed,
    }


def train_classifier(job: Job, outputs: Outputs) -> None:
    """Trains a classifier on documents of the run; its name is the job's shard."""
    config = job.config
    classes = {
        label: texts_of_shards(outputs, config["shards"], config["stages"], config[key], config["max_texts"])
        for label, key in ((POSITIVE, "positive"), (NEGATIVE, "negative"))
    }
    names = ("epochs", "learning_rate", "dimension", "word_ngrams", "buckets", "seed")
    options = Options(name=job.shard, **{name: config[name] for name in names})
    with tempfile.TemporaryDirectory() as folder:
        card = train_texts(classes, Path(folder), options)
        for name in (MODEL, *CARD_FILES):
            shutil.copyfile(Path(folder, name), outputs.file(layout.classifier(job.shard, name)))
    outputs.count(texts=sum(data["trained"] + data["held_out"] for data in card["data"].values()))
