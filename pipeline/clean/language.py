"""Language of each document: fastText's lid.176, or another fastText model, on a bounded sample of its text.

The model is package data (pipeline/clean/lid.176.ftz, CC-BY-SA-3.0, see the NOTICE beside it); its digest is checked
when it is loaded.  Calls go through fastText's list path: the single-text path fails on numpy 2 in some builds.
"""

import hashlib
import os
import re
import sys
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from pipeline.base import storage
from pipeline.base.errors import RunError, UserError, naming
from pipeline.recipe.language_codes import language_label

FASTTEXT = "fasttext-numpy2-wheel" if sys.version_info < (3, 13) else "fasttext-community"
"""The distribution that brings the module ``fasttext`` to this Python; several do, and overwrite each other."""
MODEL = Path(__file__).with_name("lid.176.ftz")
MODEL_SHA256 = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
PREFIX = "__label__"
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
WIDER = 8  # times: so much text is looked at for a piece that is mostly blanks
FEW = 8  # characters of which two are no more than a quarter
FIRST_CAPITALS = 24  # characters of which none is a small letter where a text is in capitals
MAGIC = (793712314).to_bytes(4, "little")  # with which fastText's files begin
NO_LANGUAGE = frozenset({"und", "zxx", "mis", "mul"})  # ISO 639's words for none, or none that is told
_CODE = re.compile(r"[a-z]{2,3}")


@cache
def model() -> Any:
    """The model, loaded once per process.

    Raises:
        RunError: If the file is not the model, or the installed ``fasttext`` answers wrongly.
    """
    with naming(os.fspath(MODEL)):
        found = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    if found != MODEL_SHA256:
        raise RunError(f"{MODEL.name}: SHA-256 is {found}, expected {MODEL_SHA256}; reinstall tokenmill")
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
        >>> [label_of(name, {"x-klingon": "tlh"}) for name in ("eng_Latn", "x-klingon", "lug_Latn", "und_Zyyy")]
        ['en', 'tlh', 'lug', None]
    """
    if name in stated:
        return stated[name]
    code = re.split(r"[_-]", name, maxsplit=1)[0].lower()
    if code in NO_LANGUAGE:
        return None
    return stated_label(name) or (code if _CODE.fullmatch(code) else name)


def sample(text: str, characters: int) -> str:
    """A bounded sample of a text on one line: its start, middle and end, a third each, cut at spaces.

    One in capitals is in small letters: the model has hardly seen any capitals, and takes them for other languages.
    Where blanks take much of a piece (indented code, what was columns) it goes on for as many characters more.

    Example:
        >>> sample("a b" + chr(10) + "c", 100), sample("THE PARTIES AGREE", 100)
        ('a b c', 'the parties agree')
    """
    if len(text) > characters:
        third = characters // 3
        middle = len(text) // 2
        pieces = (_piece(text, 0, third), _piece(text, middle, third), _last_piece(text, third))
        text = " ".join((_cut_end(pieces[0]), _cut_start(_cut_end(pieces[1])), _cut_start(pieces[2])))
    text = text.replace("\n", " ").replace(NO_BREAK_SPACE, " ")  # which the model takes for a letter
    return text.lower() if _in_capitals(text) else text


def _piece(text: str, start: int, characters: int) -> str:
    piece = text[start : start + characters]
    if not _is_much_blank(piece):
        return piece
    return " ".join(text[start : start + WIDER * characters].split())[:characters]


def _last_piece(text: str, characters: int) -> str:
    piece = text[-characters:]
    return " ".join(text[-WIDER * characters :].split())[-characters:] if _is_much_blank(piece) else piece


def _is_much_blank(piece: str) -> bool:
    """Whether a quarter of it is blanks beyond one between two words."""
    if "  " not in piece and len(piece) >= FEW and piece.isprintable():  # at most the first and last blank go
        return False
    return 4 * len(" ".join(piece.split())) < 3 * len(piece)


def _in_capitals(text: str) -> bool:
    """Whether most words of a text are in capitals, the first ones among them."""
    if not text[:FIRST_CAPITALS].isupper():
        return False
    words = text.split()
    return 2 * sum(map(str.isupper, words)) > len(words)


def _cut_end(piece: str) -> str:
    head, space, _ = piece.rpartition(" ")
    return head if space and len(head) > len(piece) // 2 else piece


def _cut_start(piece: str) -> str:
    _, space, tail = piece.partition(" ")
    return tail if space and len(tail) > len(piece) // 2 else piece


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
) -> tuple[list[str | None], list[float | None]]:
    """Label and probability of each text; None where the model sees nothing to judge, or no language.

    Args:
        texts: Normalised texts.
        characters: Size of the sample.
        path: Of another model than lid.176.
        stated: Which language its labels mean, where their names do not say it.
    """
    if not texts:
        return [], []
    asked = model() if path is None else model_of(path)
    labels, scores = asked.predict([sample(text, characters) for text in texts])
    found: list[str | None] = [names[0].removeprefix(PREFIX) if names else None for names in labels]
    # probabilities a little above 1 have been seen
    sure = [min(1.0, float(values[0])) if len(values) else None for values in scores]
    if path is not None:
        known = {name: label_of(name, stated or {}) for name in set(found) if name is not None}
        found = [None if name is None else known[name] for name in found]
        sure = [None if name is None else score for name, score in zip(found, sure, strict=True)]
    return found, sure
