"""TODO pipeline/filter/classifier/scorer.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.base.errors import RunError, UserError
from pipeline.filter.classifier.fasttext_file import check_model_file

POSITIVE, NEGATIVE = "__label__positive", "__label__negative"


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
