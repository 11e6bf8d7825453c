"""How much of each block stands in the text that a person marked: what the trees learn."""

import html
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_RUN = 5  # words that must follow each other
_FEW = 4  # a block of fewer words counts fully where it is a line of its own
_TAG = re.compile(r"<[^>]*>")
_SKIP = re.compile(r"(?s)<(script|style|svg|template|select|textarea|iframe|object)\b.*?</\1>")


def words(text: str) -> list[str]:
    """Lower-case words; in scripts without spaces each character."""
    return _WORD.findall(text.lower())


def plain(run: bytes) -> str:
    """The text of a block's bytes, tags and references resolved."""
    return html.unescape(_TAG.sub("", _SKIP.sub(" ", run.decode())))


def labels(texts: Sequence[str], gold: str) -> NDArray[np.float32]:
    """Share of each block's words that stand in the gold text in runs of up to five.

    A short block that is somewhere in the gold text, but is no line of it, counts by its neighbours.
    """
    wanted = words(gold)
    runs = [Counter(zip(*(wanted[k:] for k in range(n)), strict=False)) for n in range(1, _RUN + 1)]
    lines = {" ".join(words(line)) for line in gold.split("\n")}
    share, sizes, doubtful = np.zeros(len(texts), np.float32), [], []
    for number, text in enumerate(texts):
        found = words(text)
        sizes.append(len(found))
        if not found:
            continue
        n = min(_RUN, len(found))
        hits = np.zeros(len(found), bool)
        for k in range(len(found) - n + 1):
            if runs[n - 1][tuple(found[k : k + n])]:
                hits[k : k + n] = True
        share[number] = hits.mean()
        if len(found) < _FEW and share[number] == 1 and " ".join(found) not in lines:
            doubtful.append(number)
    for number in doubtful:
        near = [share[k] for k in range(max(0, number - 2), min(len(texts), number + 3)) if sizes[k] >= _FEW]
        share[number] = float(bool(near) and min(near) > 0.8)
    return share


def labels_of_segments(texts: Sequence[str], wanted: Sequence[str], unwanted: Sequence[str]) -> NDArray[np.float32]:
    """1 where a block holds a wanted segment or is held by one, 0 for an unwanted one, else -1: not known."""
    known = np.full(len(texts), -1, np.float32)
    wanted_keys = [" ".join(words(segment)) for segment in wanted]
    unwanted_keys = [" ".join(words(segment)) for segment in unwanted]
    for number, text in enumerate(texts):
        key = " ".join(words(text))
        if any(segment and segment in key for segment in unwanted_keys):
            known[number] = 0
        if any(segment and (segment in key or (len(key) >= 20 and key in segment)) for segment in wanted_keys):
            known[number] = 1
    return known
