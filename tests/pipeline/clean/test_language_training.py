"""How the language model of the package is made: drawn the same again, and with thresholds that keep a precision."""

import random

from tests.tools.languages.calibrate import MOST, PRECISION, threshold
from tests.tools.languages.corpus import HELD, LENGTHS, mixed, pieces, split
from tests.tools.languages.invented import GROUPS, INVENTED, invented, plain

WORDS = ["the", "miller", "carried", "four", "sacks", "over", "an", "old", "bridge"]


def test_invented_languages_are_the_same_again_and_not_their_base() -> None:
    made = list(invented({"en": WORDS}, random.Random(1)))
    assert made == list(invented({"en": WORDS}, random.Random(1)))
    assert len(made) == INVENTED
    assert len({label for label, _ in made}) == GROUPS
    assert sum(set(words) == set(WORDS) for _, words in made) == 0


def test_words_beyond_ascii_lose_their_marks_or_go() -> None:
    assert [plain(word) for word in ("déjà", "straße", "мир", "l2")] == ["deja", "", "", ""]


def test_a_threshold_keeps_the_precision_by_what_the_answers_count() -> None:
    right, wrong = (0.9, True, 1.0, "en"), (0.5, False, 1.0, "xx")
    assert threshold([right] * 9 + [wrong]) == 0.0
    assert threshold([right] * 8 + [wrong]) == 0.9
    assert threshold([right] * 8 + [(0.5, False, 0.1, "xx")]) == 0.0
    assert threshold([wrong]) == MOST
    assert PRECISION == 0.9


def test_one_line_in_ten_is_kept_apart_and_words_are_not() -> None:
    lines = [str(number) for number in range(40)]
    trained, apart = split("M", lines)
    assert apart == lines[::HELD]
    assert sorted(trained + apart) == sorted(lines)
    assert split("L", lines) == (lines, [])


def test_lines_are_of_words_of_the_pool_and_no_longer_than_wanted() -> None:
    for made in (mixed(WORDS, random.Random(1), False), pieces([" ".join(WORDS)] * 9, random.Random(1))):
        for _ in range(50):
            line, number = next(made)
            assert set(line.split()) <= set(WORDS)
            assert 1 <= number == len(line.split()) <= max(LENGTHS)
