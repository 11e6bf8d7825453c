"""One text out of those that several extractors make of the same page: ``clean.extractors`` and ``clean.choose``.

Lines are compared by their words: a line stands in another text where that has most of its runs of three words, or all
of its words where it has fewer.  So a line counts as the same however it is punctuated, indented or marked up.
"""

import re
from collections.abc import Callable, Sequence
from typing import Literal

Choose = Literal["longest", "agreement", "union"]
RUN = 3  # words
MOST = 0.7  # of a line's runs that another text must have
_WORD = re.compile(r"\w+")


def combined(texts: Sequence[str], choose: Choose) -> str:
    """The text of a page; empty where none of them has any.

    Args:
        texts: Of each extractor, in the order of the recipe.
        choose: ``longest``: the text with most characters, of equals the first.  ``agreement``: the lines of the first
            text that any other has too; where the others have no text, or share no line with it, the first as it is.
            ``union``: the first text and the lines of the others that it lacks, each after the line that it followed.
    """
    found = [text for text in texts if text.strip()]
    if len(found) < 2:
        return found[0] if found else ""
    return _CHOICES[choose](found)


def _longest(texts: Sequence[str]) -> str:
    return max(texts, key=len)


def _agreement(texts: Sequence[str]) -> str:
    first, others = texts[0].split("\n"), [_Runs(text) for text in texts[1:]]
    agreed = [any(other.hold(line) for other in others) for line in first]
    if not any(agreed):
        return texts[0]
    kept = [line for line, is_agreed in zip(first, agreed, strict=True) if is_agreed or not _WORD.search(line)]
    return _without_double_gaps(kept)


def _union(texts: Sequence[str]) -> str:
    lines = texts[0].split("\n")
    for text in texts[1:]:
        lines = _with_lines_of(lines, text)
    return _without_double_gaps(lines)


def _with_lines_of(lines: list[str], text: str) -> list[str]:
    """``lines`` and those of ``text`` that they lack, each run of them after the line that it followed there."""
    ours = _Runs("\n".join(lines))
    places = {words: number for number, line in reversed([*enumerate(lines)]) if (words := _words(line))}
    after: dict[int, list[str]] = {}
    place = -1
    for line in text.split("\n"):
        words = _words(line)
        if not words:
            continue
        if ours.hold(line):
            place = places.get(words, place)
        else:
            after.setdefault(place, []).append(line)
    if not after:
        return lines
    joined = [*_apart(after.get(-1, []))]
    for number, line in enumerate(lines):
        joined += [line, *_apart(after.get(number, []))]
    return joined


def _apart(lines: Sequence[str]) -> list[str]:
    """Lines that another text has, as paragraphs of their own."""
    return ["", *(piece for line in lines for piece in (line, ""))] if lines else []


def _without_double_gaps(lines: Sequence[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def _words(line: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(line.casefold()))


def _runs(words: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)]


class _Runs:
    """The runs of words of a text, over the ends of its lines."""

    def __init__(self, text: str) -> None:
        words = _words(text)
        self._runs, self._words = set(_runs(words)), set(words)

    def hold(self, line: str) -> bool:
        """Whether the text has a line with words in it."""
        words = _words(line)
        if not words:
            return False
        if len(words) < RUN:
            return self._words.issuperset(words)
        runs = _runs(words)
        return sum(run in self._runs for run in runs) >= MOST * len(runs)


_CHOICES: dict[Choose, Callable[[Sequence[str]], str]] = {
    "longest": _longest,
    "agreement": _agreement,
    "union": _union,
}
