"""Quality classifiers: fastText, trained on texts that are wanted and texts that are not.

The same input gives the same model: the training runs by itself in a process whose memory is set (fasttext_fit.py says
why fastText needs that), and weights and scores are checked to be finite.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.console import counted
from pipeline.errors import RunError, UserError
from pipeline.filter import fasttext_fit
from pipeline.filter.classifier_texts import Texts, read_texts
from pipeline.filter.fasttext_file import check_model_file
from pipeline.manifest import canonical_json, digest_file

POSITIVE, NEGATIVE = "__label__positive", "__label__negative"
MIN_TEXTS = 10
BINS = 10


FILES = ("model.bin", "card.json", "card.md", "calibration.png")


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


class Scorer:
    """A trained classifier: texts to probabilities.

    Raises:
        UserError: If the file is damaged or of another format, or has no such label.
    """

    def __init__(self, path: Path, label: str = POSITIVE) -> None:
        labels = check_model_file(path)
        if label not in labels:
            raise UserError(f"{path}: has no label {label!r}; it has {', '.join(labels)}")
        import fasttext

        self._model, self._label, self._labels = fasttext.load_model(str(path)), label, len(labels)

    def scores(self, texts: pa.Array | Sequence[str]) -> pa.Array:
        """Probability of the label for each text, float32 from 0 to 1.

        Raises:
            RunError: If the model gives a number that is none.
        """
        prepared = [prepare(str(text)) for text in texts]
        if not prepared:
            return pa.array([], pa.float32())
        labels, probabilities = self._model.predict(prepared, k=self._labels)
        found = np.zeros(len(prepared), np.float32)
        for row, (names, values) in enumerate(zip(labels, probabilities, strict=True)):
            found[row] = dict(zip(names, values, strict=True)).get(self._label, 0.0)
        if not np.isfinite(found).all():
            raise RunError("the classifier gives scores that are no numbers: its weights are damaged; train it again")
        return pa.array(np.clip(found, 0.0, 1.0))


def prepare(text: str) -> str:
    """The text as fastText wants it: one line, words separated by one blank."""
    return " ".join(text.split())


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
    path = output / "model.bin"
    _fit({label: trained for label, (trained, _) in parts.items()}, options, path)
    scorer = Scorer(path)
    scores = {label: scorer.scores(held).to_numpy() for label, (_, held) in parts.items()}
    threshold = _threshold(scorer, scores, options, reference)
    report = held_out_report(scores[POSITIVE], scores[NEGATIVE], threshold["value"])
    card = {
        "name": options.name,
        "signal": f"{options.name}_score",
        "model": {"path": path.name, "bytes": path.stat().st_size, "digest": digest_file(path), "label": POSITIVE},
        "options": asdict(options),
        "data": {
            label: found.described(len(parts[label][0]), len(parts[label][1])) for label, found in classes.items()
        },
        "in_both_classes": len(both),
        "held_out": report,
        "threshold": threshold,
        "versions": {name: version(name) for name in ("fasttext-numpy2-wheel", "numpy")},
    }
    (output / "card.json").write_text(canonical_json(card))
    (output / "card.md").write_text(_card_page(card))
    _plot(report["calibration"], output / "calibration.png")
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
        settings.write_text(json.dumps({"options": {"input": str(data), **_settings(options)}, "output": str(path)}))
        command = [sys.executable, "-P", str(Path(__file__).with_name("fasttext_fit.py")), str(settings)]
        done = subprocess.run(
            command,
            env={**os.environ, **fasttext_fit.ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    told = done.stderr.strip()
    if done.returncode == fasttext_fit.DIVERGED:
        raise UserError(f"classifier: training diverged ({told}); lower --learning-rate, now {options.learning_rate:g}")
    if done.returncode == fasttext_fit.UNSET_MEMORY:
        raise RunError(
            "classifier: this C library does not fill the memory it hands out (glibc does, by MALLOC_PERTURB_), and "
            "fastText would train on what was in it; train on a machine with glibc"
        )
    if done.returncode:
        raise RunError(f"classifier: the training process ended with {done.returncode}: {told or 'no message'}")


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


def _threshold(
    scorer: Scorer, scores: dict[str, NDArray[np.float32]], options: Options, reference: Sequence[str] | None
) -> dict[str, Any]:
    """0.5, or the score that keeps the wanted share of the reference texts."""
    known = scorer.scores(reference).to_numpy() if reference else np.concatenate([*scores.values()])
    if options.keep_rate is None:
        value = 0.5
    else:
        ordered = np.sort(known)[::-1]
        value = float(ordered[min(len(ordered) - 1, max(0, round(options.keep_rate * len(ordered)) - 1))])
    kept = float((known >= np.float32(value)).mean())
    source = "reference texts" if reference else "held-out texts of both classes"
    return {"value": value, "wanted_keep_rate": options.keep_rate, "keep_rate": kept, "measured_on": source}


def held_out_report(positive: NDArray[np.float32], negative: NDArray[np.float32], threshold: float) -> dict[str, Any]:
    """Precision and recall at the threshold, area under the ROC curve, and calibration in ten bins."""
    limit = np.float32(threshold)
    hits, false_hits = int((positive >= limit).sum()), int((negative >= limit).sum())
    scores = np.concatenate([positive, negative])
    wanted = np.concatenate([np.ones(len(positive)), np.zeros(len(negative))])
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    calibration = [
        {
            "from": k / BINS,
            "texts": int((bins == k).sum()),
            "mean_score": float(scores[bins == k].mean()),
            "positive_share": float(wanted[bins == k].mean()),
        }
        for k in range(BINS)
        if (bins == k).any()
    ]
    return {
        "positive": len(positive),
        "negative": len(negative),
        "precision": hits / (hits + false_hits) if hits + false_hits else 0.0,
        "recall": hits / len(positive),
        "auc": area_under_curve(positive, negative),
        "accuracy": (hits + len(negative) - false_hits) / len(scores),
        "calibration": calibration,
    }


def area_under_curve(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> float:
    """Chance that a positive text scores above a negative one; ties count half."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    not_above = np.searchsorted(ordered, positive, side="right")
    return float((below + not_above).sum() / 2 / (len(positive) * len(negative)))


def _card_page(card: dict[str, Any]) -> str:
    return "\n".join(_card_lines(card)) + "\n"


def _card_lines(card: dict[str, Any]) -> Iterator[str]:
    report, threshold = card["held_out"], card["threshold"]
    yield f"# Classifier {card['name']}"
    yield ""
    yield f"fastText, signal `{card['signal']}`, label `{card['model']['label']}`, digest `{card['model']['digest']}`."
    yield ""
    for label, data in card["data"].items():
        yield f"- {label}: {counted(data['trained'], 'text')} trained on, {data['held_out']:,} held out"
        for source in data["sources"]:
            yield f"  - `{source['spec']}`: {counted(source['texts'], 'text')}, digest `{source['digest']}`"
    yield f"- texts in both classes, left out: {card['in_both_classes']:,}"
    yield ""
    yield f"Held out: precision {report['precision']:.4f}, recall {report['recall']:.4f}, AUC {report['auc']:.4f}"
    yield f"at threshold {threshold['value']:.6f}, which keeps {threshold['keep_rate']:.2%} of the"
    yield f"{threshold['measured_on']}. Calibration: ![calibration](calibration.png)"


def _plot(calibration: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="perfect")
    scores, shares = [b["mean_score"] for b in calibration], [b["positive_share"] for b in calibration]
    axes.plot(scores, shares, marker="o", label="held-out texts")
    for score, share, found in zip(scores, shares, calibration, strict=True):
        axes.annotate(f"{found['texts']:,}", (score, share), textcoords="offset points", xytext=(4, -10), fontsize=7)
    axes.set(xlabel="mean score", ylabel="share of positive texts", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.legend()
    figure.savefig(path, metadata={"Software": None})
