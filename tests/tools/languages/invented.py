"""Languages that do not exist, so that the model has a place for those that it does not know.

An invented language writes the words of a real one with its letters exchanged, vowels for vowels and others for
others: its syllables look like a language's, and its words are none's.  Some also double vowels, end each word in a
vowel, or cut clusters of consonants, as most of the languages that no package has text of are written.
"""

import random
import re
import unicodedata
from collections.abc import Callable, Iterator

INVENTED = 1_200
GROUPS = 48  # labels for them, so that each stands for few
LINES_EACH = 110
VOWELS = "aeiou"
CONSONANTS = "bcdfghjklmnpqrstvwxyz"
CLUSTER = re.compile(f"[{CONSONANTS}]{{2,}}")
MOST_WORDS = 4_000  # of the base language


def invented(bases: dict[str, list[str]], chance: random.Random) -> Iterator[tuple[str, list[str]]]:
    """The group of each invented language, and its words, drawn as often as those of its base.

    Args:
        bases: Words of languages in Latin letters, by language.
        chance: Where all is drawn from.
    """
    names = sorted(bases)
    for number in range(INVENTED):
        base = bases[chance.choice(names)]
        start = chance.randrange(max(1, len(base) - MOST_WORDS))
        write = _spelling(chance)
        words = [word for one in base[start : start + MOST_WORDS] if (word := write(plain(one)))]
        yield f"mis{number % GROUPS:02}", words


def plain(word: str) -> str:
    """A word in letters of ASCII; empty where it has others."""
    kept = "".join(letter for letter in unicodedata.normalize("NFD", word) if not unicodedata.combining(letter))
    return kept if kept.isascii() and kept.isalpha() else ""


def _spelling(chance: random.Random) -> Callable[[str], str]:
    """How an invented language writes the words of its base."""
    few = chance.random() < 0.6
    vowels = _exchanged(VOWELS, chance, chance.choice((3, 5, 5)) if few else 5)
    consonants = _exchanged(CONSONANTS, chance, chance.randint(9, 16) if few else 20)
    table = str.maketrans(vowels | consonants)
    open_syllables, doubled, ending = chance.random() < 0.5, chance.random() < 0.3, chance.random() < 0.4
    accents = chance.choice(
        ("", "", "", "\N{COMBINING ACUTE ACCENT}", "\N{COMBINING GRAVE ACCENT}", "\N{COMBINING TILDE}")
    )
    last, double, accented = chance.choice("aaeiou"), chance.choice(VOWELS), chance.choice(VOWELS)
    digraph = chance.choice(("", "", "ng", "kw", "nd", "mb", "tl", "ts", "sh", "kh", "ny", "qu", "gb"))
    replaced = chance.choice(CONSONANTS)

    def write(word: str) -> str:
        made = word.translate(table)
        if open_syllables:
            made = CLUSTER.sub(lambda found: found[0][0], made)
        if digraph:
            made = made.replace(replaced, digraph)
        if doubled:
            made = made.replace(double, double * 2)
        if ending and made and made[-1] not in VOWELS:
            made += last
        if accents:
            made = unicodedata.normalize("NFC", made.replace(accented, accented + accents))
        return made

    return write


def _exchanged(letters: str, chance: random.Random, number: int) -> dict[str, str]:
    """Each letter's other one; only so many are in use."""
    used = chance.sample(letters, number)
    return {
        letter: chance.choice(used) if at >= number else used[at]
        for at, letter in enumerate(_shuffled(letters, chance))
    }


def _shuffled(letters: str, chance: random.Random) -> str:
    return "".join(chance.sample(letters, len(letters)))
