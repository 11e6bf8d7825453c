"""A trained classifier at work: texts to the probability that they are wanted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.base.errors import RunError
from pipeline.base.storage import read_whole
from pipeline.filter.classifier.fasttext_file import check_label

POSITIVE, NEGATIVE = "__label__positive", "__label__negative"


class Scorer:
    """A trained classifier: texts to probabilities.

    Raises:
        UserError: If the file is damaged or of another format, or has no such label.
    """

    def __init__(self, path: Path, label: str = POSITIVE) -> None:
        labels = check_label(path, label)
        import fasttext

        with read_whole(path) as whole:
            self._model, self._label, self._labels = fasttext.load_model(whole), label, len(labels)

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
