"""Language of each document: a fastText model on a bounded sample of its text.

The model in the package (model.ftz) was trained by tests/tools/languages/; model.json beside it has its digest, which
is checked when it is loaded, and what of its answers counts.  Its scores are put on one scale for all languages, on
which 0.65 is where most of what gets a label is of that language.  A recipe may name another model.

Calls go through fastText's list path: the single-text path fails on numpy 2 in some builds.
"""

import hashlib
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from pipeline.base import storage
from pipeline.base.errors import RunError, UserError, naming, parse_json
from pipeline.clean.languages.letters import letters, scripts
from pipeline.clean.languages.sample import sample, without_capitals
from pipeline.recipe.language_codes import language_label

FASTTEXT = "fasttext-numpy2-wheel" if sys.version_info < (3, 13) else "fasttext-community"
"""The distribution that brings the module ``fasttext`` to this Python; several do, and overwrite each other."""
MODEL = Path(__file__).with_name("model.ftz")
FACTS = Path(__file__).with_name("model.json")
PREFIX = "__label__"
SURE = 0.65  # on the scale of the scores: where a label's threshold lies, and the default of filter's rule
OWN_SCRIPT = 0.5  # share of the letters that are of a script in which the label's language is written
MAGIC = (793712314).to_bytes(4, "little")  # with which fastText's files begin
NO_LANGUAGE = frozenset({"und", "zxx", "mis", "mul"})  # ISO 639's words for none, or none that is told
_CODE = re.compile(r"[a-z]{2,3}")
Found = tuple[list[str | None], list[float | None]]


@dataclass(frozen=True)
class Label:
    """What is known of a label of the model in the package.

    Attributes:
        threshold: The model's own probability that becomes a score of ``SURE``.
        scripts: In which scripts the language is written.
    """

    threshold: float
    scripts: frozenset[str]

    def score(self, probability: float) -> float:
        """A probability of the model's on the scale of the scores.

        Example:
            >>> label = Label(0.4, frozenset({"Latn"}))
            >>> [round(label.score(probability), 3) for probability in (0.2, 0.4, 1.0)]
            [0.325, 0.65, 1.0]
        """
        if probability < self.threshold:
            return SURE * probability / self.threshold
        return min(1.0, SURE + (1 - SURE) * (probability - self.threshold) / (1 - self.threshold))


@cache
def facts() -> Mapping[str, Label]:
    """The labels of the model in the package that are given to documents; its others stand for no such language."""
    told = _facts_file()["labels"]
    return {name: Label(one["threshold"], frozenset(one["scripts"])) for name, one in told.items()}


def _facts_file() -> Any:
    with naming(os.fspath(FACTS)):
        return parse_json(FACTS.read_bytes())


@cache
def model() -> Any:
    """The model, loaded once per process.

    Raises:
        RunError: If the file is not the model, or the installed ``fasttext`` answers wrongly.
    """
    with naming(os.fspath(MODEL)):
        found = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    expected = _facts_file()["sha256"]
    if found != expected:
        raise RunError(f"{MODEL.name}: SHA-256 is {found}, expected {expected}; reinstall tokenmill")
    loaded = _loaded(os.fspath(MODEL))
    _, scores = loaded.predict(["Ceci est une phrase."], k=3)
    if not scores[0][0] > scores[0][1] > scores[0][2]:
        raise RunError(
            "the installed `fasttext` module gives every label the first probability (a known fault of the "
            f"distribution fasttext-wheel): uninstall it and reinstall {FASTTEXT}"
        )
    return loaded


def check_model(path: str) -> str:
    """Where a model of the recipe's lies on this machine.

    Raises:
        UserError: If there is no such file, or it is none of fastText's.
    """
    key = f"clean.language_model = {path!r}"
    if not storage.exists(path):
        raise UserError(f"{key}: no such file")
    local = os.fspath(storage.open_local(path))
    with open(local, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise UserError(f"{key}: expected a fastText model (.bin or .ftz), which begins with other bytes")
    return local


def _loaded(path: str) -> Any:
    import fasttext

    with storage.read_whole(path) as whole:
        return fasttext.load_model(whole)


@cache
def model_of(path: str) -> Any:
    """A model of the recipe's, loaded once per process.

    Raises:
        UserError: If the file is no fastText classifier.
    """
    try:
        loaded = _loaded(path)
        loaded.predict(["Ceci est une phrase."])
    except (ValueError, RuntimeError, MemoryError) as error:  # a damaged file; vectors without labels
        raise UserError(f"clean.language_model: {path} is no fastText classifier: {error}") from error
    model()  # its check of the module ``fasttext`` is one for every model
    return loaded


def label_of(name: str, stated: Mapping[str, str]) -> str | None:
    """The language that a label of a model means.

    Args:
        name: The label, without ``__label__``.
        stated: What the recipe says of single labels.

    Example:
        >>> [label_of(name, {"x-klingon": "tlh"}) for name in ("eng_Latn", "x-klingon", "kin_Latn", "und_Zyyy")]
        ['en', 'tlh', 'kin', None]
    """
    if name in stated:
        return stated[name]
    code = re.split(r"[_-]", name, maxsplit=1)[0].lower()
    if code in NO_LANGUAGE:
        return None
    return stated_label(name) or (code if _CODE.fullmatch(code) else name)


@lru_cache(maxsize=4096)
def stated_label(code: str) -> str | None:
    """The label that a record's own word for its language means; None where it means none of them.

    Example:
        >>> stated_label("en-GB"), stated_label("German"), stated_label("tlh")
        ('en', 'de', None)
    """
    try:
        return language_label(code)
    except UserError:
        return None


def detect(
    texts: list[str], characters: int, path: str | None = None, stated: Mapping[str, str] | None = None
) -> Found:
    """Label and score of each text; None where there is nothing to judge, or no language that the model tells.

    Args:
        texts: Normalised texts.
        characters: Size of the sample.
        path: Of another model than the package's.
        stated: Which language its labels mean, where their names do not say it.
    """
    if not texts:
        return [], []
    samples = [sample(text, characters) for text in texts]
    return _of_the_package(samples) if path is None else _of_another(samples, path, stated or {})


def _of_the_package(samples: list[str]) -> Found:
    words = [letters(text) for text in samples]
    known = facts()
    found: list[str | None] = []
    sure: list[float | None] = []
    for text, (name, probability) in zip(words, _best(model(), words), strict=True):
        label = known.get(name or "")
        if label is None or text.isspace() or not text or not in_script(text, label):
            name, score = None, None
        else:
            score = label.score(probability)
        found.append(name)
        sure.append(score)
    return found, sure


def in_script(text: str, label: Label) -> bool:
    """Whether the letters of a text are of a script in which a label's language is written."""
    counts = scripts(text)
    own = sum(number for name, number in counts.items() if name in label.scripts)
    return own >= OWN_SCRIPT * counts.total()


def _of_another(samples: list[str], path: str, stated: Mapping[str, str]) -> Found:
    best = _best(model_of(path), [without_capitals(text) for text in samples])
    known = {name: label_of(name, stated) for name in {name for name, _ in best} if name is not None}
    found = [None if name is None else known[name] for name, _ in best]
    return found, [None if name is None else score for name, (_, score) in zip(found, best, strict=True)]


def _best(asked: Any, texts: list[str]) -> list[tuple[str | None, float]]:
    """The first label of each text, without its prefix, and its probability: a little above 1 has been seen."""
    return [
        (names[0].removeprefix(PREFIX), min(1.0, float(values[0]))) if names else (None, 0.0)
        for names, values in zip(*asked.predict(texts), strict=True)
    ]
