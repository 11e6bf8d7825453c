"""Writes model.json: of each label that is given, its scripts and its threshold.

    python -m tests.tools.languages.calibrate FOLDER

Asked are texts that were not trained on: of the languages that have a label the tenth of their messages that was kept
apart, of others the messages and names of whole languages that were kept apart (``corpus.split`` and ``unseen``), and
manual pages, of which most are English.  A text is as many of these together as make ``CHARACTERS``.

The threshold of a label is the least probability from which on ``PRECISION`` of what gets the label is of that
language, where each language counts for as many texts as any other, those that lingua has for ``LARGE`` and English
for ``ENGLISH`` of them, for so is the web; never below the floor.  The floor is one for all labels: the highest that
costs no more than ``COST`` of the texts that are right and accepted without one; English has none.  The scripts are
those of the pools.
"""

import gzip
import hashlib
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path

import numpy as np

from pipeline.clean.languages.identify import FACTS, MODEL, PREFIX, Label, in_script
from pipeline.clean.languages.letters import letters, scripts
from pipeline.recipe.language_codes import LABELS
from tests.tools.languages.codes import CODES
from tests.tools.languages.corpus import split, unseen
from tests.tools.languages.sources import WITHOUT_MARKS, debian_files

PRECISION = 0.9
COST = 0.03
LARGE, ENGLISH = 10, 100
FLOORS = [step / 100 for step in range(10, 96, 5)]
MOST = 0.9  # also where the precision is not reached
CHARACTERS = 240  # of a text: so much of a document is looked at
TEXTS = 60  # of a language, at most
FEWEST = 10  # texts of a language, without which its precision is not known
LEAST_SHARE = 0.2  # of a language's letters that are of a script it is written in
# a label, and a language whose texts may be called by it as well
RELATED = {
    ("ar", "arz"),
    ("zh", "wuu"),
    ("zh", "yue"),
    *permutations(("no", "nn"), 2),
    *permutations(("hr", "bs", "sr"), 2),
}
LEAST = 0.1  # threshold of English, which has no floor: in doubt a text of the web is English
Answer = tuple[float, bool, float, str]  # probability, whether it is right, how much it counts, the language


def main(folder: Path) -> None:
    """Asks the model and writes the file."""
    import fasttext

    asked = fasttext.load_model(str(MODEL))
    labels = sorted({name.removeprefix(PREFIX) for name in asked.get_labels()} & LABELS)
    written = {label: written_in(label, folder / "pools") for label in labels}
    texts = [*kept_apart(folder / "pools"), *manuals(folder)]
    number = Counter(language for language, _ in texts)
    merit = {language: merit_of(language, folder / "pools") / count for language, count in number.items()}
    answers: dict[str, list[Answer]] = defaultdict(list)
    for (language, text), found, probability in zip(texts, *asked.predict([text for _, text in texts]), strict=True):
        label = found[0].removeprefix(PREFIX) if found else ""
        if label in written and in_script(text, Label(1.0, frozenset(written[label]))):
            is_right = label == language or (label, language) in RELATED
            answers[label].append((min(1.0, float(probability[0])), is_right, merit[language], language))
    own = {label: threshold(answers[label]) for label in labels}
    told = sum(merit[language] * number[language] for language in number if language in own)
    most = share_accepted(answers, own, 0.0)
    floor = max((one for one in FLOORS if share_accepted(answers, own, one) >= most - COST * told), default=FLOORS[0])
    report(answers, own, number, told)
    rows = {
        label: {"threshold": round(max(least(label, floor), own[label]), 3), "scripts": written[label]}
        for label in labels
    }
    lines = ",\n".join(f"{json.dumps(label)}: {json.dumps(row)}" for label, row in rows.items())
    digest = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    FACTS.write_text(f'{{"sha256": "{digest}",\n"labels": {{\n{lines}\n}}}}\n', "utf-8")


def least(label: str, floor: float) -> float:
    """The least threshold of a label."""
    return LEAST if label == "en" else floor


def merit_of(language: str, pools: Path) -> int:
    """For how many languages one counts."""
    large = (pools / f"{language}.L").exists() or language in WITHOUT_MARKS
    return ENGLISH if language == "en" else LARGE if large else 1


def share_accepted(answers: dict[str, list[Answer]], own: dict[str, float], floor: float) -> float:
    """How much of the texts is right and accepted, each language for what it counts."""
    return sum(
        weight
        for label, given in answers.items()
        for probability, is_right, weight, _ in given
        if is_right and probability >= max(least(label, floor), own[label])
    )


def report(answers: dict[str, list[Answer]], own: dict[str, float], number: Counter[str], told: float) -> None:
    """Prints what each floor would do."""
    foreign = sum(one not in own for one in number)
    for floor in FLOORS:
        taken = share_accepted(answers, own, floor)
        others = sum(
            weight
            for label, given in answers.items()
            for probability, is_right, weight, language in given
            if language not in own and probability >= max(least(label, floor), own[label])
        )
        english = sum(p >= max(LEAST, own["en"]) for p, is_right, *_ in answers["en"] if is_right)
        sys.stdout.write(
            f"floor {floor:.2f}: right and accepted {taken / told:.1%}, of languages without a label {others:.1f} of "
            f"{foreign} accepted, English {english} of {number['en']}\n"
        )


def threshold(given: Sequence[Answer]) -> float:
    """The least probability above which the answers are right often enough; 0 where all of them are."""
    if not given:
        return 0.0
    ordered = sorted(given, reverse=True)
    weights = np.array([weight for _, _, weight, _ in ordered])
    right = np.cumsum(weights * [is_right for _, is_right, *_ in ordered])
    enough = np.flatnonzero(right >= PRECISION * np.cumsum(weights))
    if not len(enough):
        return MOST
    last = int(enough[-1])
    return 0.0 if last == len(ordered) - 1 else min(ordered[last][0], MOST)


def kept_apart(pools: Path) -> Iterator[tuple[str, str]]:
    """Texts of the lines that were not trained on, with their language."""
    held: dict[str, list[str]] = defaultdict(list)
    for path in sorted(pools.glob("*.[MXN]*")):
        language, _, source = path.name.partition(".")
        lines = path.read_text("utf-8").splitlines()
        held[language] += lines if unseen(language) else split(source, lines)[1]
    for language, lines in held.items():
        for text in list(together(lines))[:TEXTS]:
            yield language, text


def together(lines: Sequence[str]) -> Iterator[str]:
    """Lines in an order of chance, so many together as make a text."""
    text = ""
    for line in sorted(lines, key=lambda line: hashlib.sha256(line.encode()).digest()):
        text = f"{text} {line}" if text else line
        if len(text) >= CHARACTERS:
            yield text[:CHARACTERS].rpartition(" ")[0]
            text = ""


def manuals(folder: Path) -> Iterator[tuple[str, str]]:
    """The middle of each manual page, with its language."""
    for name, data in debian_files(folder, "manpages*.deb"):
        place = re.search(r"share/man/(?:(\w+)/)?man\d/.*\.gz$", name)
        if place and (place[1] or "en") and not (place[1] or "").startswith("man"):
            text = re.sub(
                r"\\f.|\\[-&]|^[.\'].*$|\\\(..", " ", gzip.decompress(data).decode("utf-8", "replace"), flags=re.M
            )
            plain = " ".join(letters(text).split())
            if len(plain) > 4 * CHARACTERS:
                code = (place[1] or "en").partition("_")[0]
                yield CODES.get(code, code), plain[len(plain) // 2 :][:CHARACTERS].rpartition(" ")[0]


def written_in(language: str, pools: Path) -> list[str]:
    """The scripts of a language's pools."""
    counts: Counter[str] = Counter()
    for path in sorted(pools.glob(f"{language}.*")):
        for line in path.read_text("utf-8").splitlines()[::20]:
            counts.update(scripts(line + " ·"))  # not all ASCII, so that each letter counts
    return sorted(name for name, number in counts.items() if name and number >= LEAST_SHARE * counts.total())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
