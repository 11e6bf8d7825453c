"""Words of a language after lingua's tables of n-grams: a chain over the last four letters.

The tables hold, for one to five letters inside words, the share of an n-gram among those with the same beginning.  The
counts of whole n-grams follow from them, and from these how often one begins a word (what no letter precedes) and how
often one ends it (what no letter follows).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import parse_json

TABLES = ("unigrams", "bigrams", "trigrams", "quadrigrams", "fivegrams")
MOST_LETTERS = 30
LEAST = 0.5  # of a count; less is the noise of shares that were rounded
Counts = dict[str, float]


@dataclass
class _Chain:
    """States, and for each the next letters with their states, as one sorted row of cumulated shares."""

    states: dict[str, int]
    cumulated: list[float] = field(default_factory=list)
    letters: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)

    def add(self, state: str, following: list[tuple[str, float]], total: float | None) -> None:
        """Appends a state's row; what is missing from ``total`` ends the word."""
        rows = [(count, ord(letter), self._after(state, letter)) for letter, count in following]
        rows = [row for row in rows if row[2] >= 0]
        end = 0.0 if total is None else max(total - sum(count for _, count in following), 0.0)
        if end > 0 or not rows:
            rows.append((end or 1.0, 0, -1))
        whole = sum(count for count, _, _ in rows)
        base, share = self.states[state], 0.0
        for count, letter, target in rows:
            share += count / whole
            self.cumulated.append(base + min(share, 1.0))
            self.letters.append(letter)
            self.targets.append(target)
        self.cumulated[-1] = base + 1.0

    def _after(self, state: str, letter: str) -> int:
        if not state:
            name = "^" + letter
        elif state[0] == "^":
            name = state + letter if len(state) < 4 else state[1:] + letter
        else:
            name = state[1:] + letter
        return self.states.get(name, -1)


def word_model(folder: Path, seed: int) -> Callable[[int], list[str]]:
    """A function that gives so many words of the language whose tables lie in a folder."""
    chain = _chain(_counts(folder))
    cumulated = np.array(chain.cumulated)
    letters, targets = np.array(chain.letters, np.uint32), np.array(chain.targets, np.int64)
    rng = np.random.default_rng(seed)

    def words(number: int) -> list[str]:
        text: NDArray[np.uint32] = np.zeros((number, MOST_LETTERS), np.uint32)
        state = np.zeros(number, np.int64)
        going = np.arange(number)
        for place in range(MOST_LETTERS):
            at = np.searchsorted(cumulated, state[going] + rng.random(len(going)), side="right")
            text[going, place], state[going] = letters[at], targets[at]
            going = going[(letters[at] != 0) & (targets[at] >= 0)]
        return [word for word in text.view(f"<U{MOST_LETTERS}").ravel().tolist() if word]

    return words


def _counts(folder: Path) -> list[Counts]:
    """How often each n-gram of one to five letters occurs."""
    import brotli

    levels: list[Counts] = []
    for length, name in enumerate(TABLES, 1):
        shares = parse_json(brotli.decompress((folder / f"{name}.json.br").read_bytes()))["ngrams"]
        level: Counts = {}
        for share, grams in shares.items():
            part, _, whole = share.partition("/")
            for gram in grams.split(" "):
                if len(gram) == length:
                    level[gram] = int(part) / int(whole) * (1.0 if length == 1 else levels[-1].get(gram[:-1], 0.0))
        if length == 1:
            whole_letters = max(int(share.partition("/")[2]) for share in shares)
            level = {gram: share * whole_letters for gram, share in level.items()}
        levels.append(level)
    return levels


def _chain(counts: list[Counts]) -> _Chain:
    beginnings = [_beginnings(counts[level], counts[level + 1]) for level in range(4)]
    following: dict[str, list[tuple[str, float]]] = {}
    for level in (1, 2, 3):
        for gram, count in beginnings[level].items():
            following.setdefault("^" + gram[:-1], []).append((gram[-1], count))
    for gram, count in counts[4].items():
        following.setdefault(gram[:-1], []).append((gram[-1], count))
    totals = {"^" + gram: count for level in (0, 1, 2) for gram, count in beginnings[level].items()} | counts[3]
    chain = _Chain({state: number for number, state in enumerate(["", *totals])})
    chain.add("", list(beginnings[0].items()), None)
    for state, total in totals.items():
        chain.add(state, following.get(state, []), total)
    return chain


def _beginnings(counts: Counts, longer: Counts) -> Counts:
    """How often an n-gram begins a word: all its occurrences but those behind a letter."""
    left = dict(counts)
    for gram, count in longer.items():
        if gram[1:] in left:
            left[gram[1:]] -= count
    return {gram: count for gram, count in left.items() if count > LEAST}
