"""Training lines mixed of the pools: of one word to twenty-eight, most of them short, as many a language as it merits.

Languages that lingua has, the large ones, get the most lines; others with a list of words fewer; those that only have
messages of programs or verses still fewer.  The last are mostly not told to anybody: they are there so that their
texts are not taken for a neighbour's.
"""

import hashlib
import random
import string
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from pipeline.recipe.language_codes import LABELS
from tests.tools.languages.invented import GROUPS, LINES_EACH, invented, plain
from tests.tools.languages.sources import WITHOUT_MARKS

LINES = {"large": 14_000, "listed": 5_000, "small": 1_800}
LENGTHS = (1, 2, 3, 4, 6, 9, 14, 20, 32)  # words in a line
SHARES = (0.05, 0.18, 0.10, 0.08, 0.10, 0.12, 0.14, 0.13, 0.10)
MORE = {"en": 4.0, "de": 1.5, "fr": 1.5, "es": 1.5, "ru": 1.5, "it": 1.5, "pt": 1.5}  # times: most of the web's text
FOREIGN = 0.15  # share of the lines of a large language in which words are another's, as names are
FOREIGN_WORDS = 0.2  # of the words in them
MEAN_WORDS = sum(length * share for length, share in zip(LENGTHS, SHARES, strict=True))
WEIGHTS = {"L": 5, "W": 3, "F": 2, "M": 0.7, "X": 0.7, "N": 0.5}  # of a source beside others
ENOUGH = 20_000  # words of a source; one with fewer counts less
FEWEST = 5_000  # words without which a language that nobody names has no label of its own
HELD = 10  # one in so many lines of a pool is kept for the thresholds
UNSEEN = 4  # one in so many languages that nobody names is not shown at all
UNSPACED = frozenset(["zh", "ja", "th", "km", "lo", "my", "bo", "dz", "yue", "wuu", "ksw", "mnw", "shn"])
JOINED = 0.7  # share of their lines of words that are written without blanks
NOTHING = "zxx"
_UNITS = "eur usd chf gbp kg cm mm km ml kr px pt gb mb kb x no nr p pp vol ed id ref"
_ADDRESSES = "http https www com org net html php htm index jpg png gif pdf img src css js xml json api cdn co io"
UNITS, ADDRESSES = _UNITS.split(), _ADDRESSES.split()


def write_lines(pools: Path, file: Path) -> int:
    """Writes the training lines in random order; returns their number."""
    of: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for path in sorted(pools.glob("*.[A-Z]*")):
        language, _, source = path.name.partition(".")
        if not unseen(language):
            kept, _ = split(source, path.read_text("utf-8").splitlines())
            of[language][source] = kept
    chance = random.Random(2)
    lines = [f"__label__{NOTHING} {line}\n" for line in no_language(LINES["listed"], chance)]
    large = {language: sources["L"] for language, sources in of.items() if "L" in sources}
    strange = [word for words in large.values() for word in words[:2000] if word.isalpha()]
    for language, sources in sorted(of.items()):
        label, made = language, list(lines_of(language, sources, chance))
        if not made:
            label, made = f"mis{sum(map(ord, language)) % GROUPS:02}", few_lines(sources, chance)
        for line in made:
            if language in large and chance.random() < FOREIGN:
                line = with_foreign(line, strange, chance)
            lines.append(f"__label__{label} {line}\n")
    latin = {language: words for language, words in large.items() if sum(map(bool, map(plain, words[:100]))) > 80}
    for label, words in invented(latin, chance):
        made_up = mixed(words, chance, False)
        lines += [f"__label__{label} {next(made_up)[0]}\n" for _ in range(LINES_EACH)]
    chance.shuffle(lines)
    file.write_text("".join(lines), "utf-8")
    return len(lines)


def unseen(language: str) -> bool:
    """Whether a language is kept for the thresholds: one that nobody names, as most of the world's are."""
    return language not in LABELS and hashlib.sha256(language.encode()).digest()[0] % UNSEEN == 0


def split(source: str, lines: list[str]) -> tuple[list[str], list[str]]:
    """The items of a pool that are trained on, and lines that are not; words are drawn and need no such."""
    if source[0] in "MX":
        return [line for at, line in enumerate(lines) if at % HELD], lines[::HELD]
    return lines, []


def few_lines(sources: dict[str, list[str]], chance: random.Random) -> list[str]:
    """The lines of a language of which there is little, two or three together."""
    lines = [line for own in sources.values() for line in own]
    chance.shuffle(lines)
    return [" ".join(lines[at : at + 3]) for at in range(0, len(lines), 3)]


def with_foreign(line: str, strange: list[str], chance: random.Random) -> str:
    """A line with some of its words those of other languages."""
    words = line.split(" ")
    return " ".join(chance.choice(strange) if chance.random() < FOREIGN_WORDS else word for word in words)


def lines_of(language: str, sources: dict[str, list[str]], chance: random.Random) -> Iterator[str]:
    """The lines of a language."""
    words = {source: sum(len(line.split()) for line in lines) for source, lines in sources.items()}
    whole = MEAN_WORDS * number_of_lines(language, words)
    if not whole:
        return
    kinds = Counter(source[0] for source in sources)
    weights = {
        source: WEIGHTS[source[0]] / kinds[source[0]] * min(1, number / ENOUGH) for source, number in words.items()
    }
    for source, lines in sources.items():
        wanted = whole * weights[source] / sum(weights.values())
        made = mixed(lines, chance, language in UNSPACED) if source[0] in "LWF" else pieces(lines, chance)
        while wanted > 0:
            line, number = next(made)
            wanted -= number
            yield line


def number_of_lines(language: str, words: dict[str, int]) -> int:
    """How many lines a language gets that has so many words of each source."""
    kinds = {source[0] for source in words}
    if "L" in kinds or language in WITHOUT_MARKS | {"zh", "ja", "ko", "om"}:
        return int(LINES["large"] * MORE.get(language, 1))
    if kinds & set("WF"):
        return LINES["listed"]
    whole = sum(words.values())
    if language not in LABELS and whole < FEWEST:
        return 0
    return int(min(LINES["small"], max(500, 1.2 * whole / MEAN_WORDS)))


def mixed(words: list[str], chance: random.Random, unspaced: bool) -> Iterator[tuple[str, int]]:
    """Lines of words of a pool, and how many there are in each; the pool is gone through again in another order."""
    order = list(words)
    while order:
        chance.shuffle(order)
        at = 0
        while at < len(order):
            (number,) = chance.choices(LENGTHS, SHARES)
            taken = order[at : at + number]
            at += number
            yield ("" if unspaced and chance.random() < JOINED else " ").join(taken), len(taken)


def pieces(lines: list[str], chance: random.Random) -> Iterator[tuple[str, int]]:
    """Pieces of a pool's lines, and how many words there are in each; a line that is too short goes with the next."""
    order = list(lines)
    while order:
        chance.shuffle(order)
        for at, line in enumerate(order):
            (number,) = chance.choices(LENGTHS, SHARES)
            words = line.split()
            while len(words) < number // 2 and at + 1 < len(order):
                at += 1
                words += order[at].split()
            if len(words) > number:
                start = chance.randrange(len(words) - number + 1)
                words = words[start : start + number]
            yield " ".join(words), len(words)


def no_language(number: int, chance: random.Random) -> Iterator[str]:
    """Lines that are in no language, as ``letters`` leaves them: bases, digits of hashes, keys, units, addresses."""
    for _ in range(number):
        words = chance.choice((1, 2, 4, 8, 16))
        yield " ".join(_no_word(chance, kind) for kind in [chance.randrange(6)] for _ in range(words))


def _no_word(chance: random.Random, kind: int) -> str:
    alphabets = ("acgt", "abcdef", string.ascii_lowercase, string.ascii_lowercase)
    longest = (60, 6, 30, 1)
    if kind < len(alphabets):
        return "".join(chance.choices(alphabets[kind], k=chance.randint(1, longest[kind])))
    return chance.choice(UNITS if kind == len(alphabets) else ADDRESSES)
