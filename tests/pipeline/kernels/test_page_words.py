"""What one pass finds of many words is what looking for each of them finds."""

import random
import re

import pytest

from pipeline.kernels.page_words import BLOCK_BYTES, places, words, years

EXACT, ANY_CASE = (b"<footer", b"Licence", b"-->"), (b"creativecommons.org/", b"noai", b"tdm-reservation")
PIECES = (*EXACT, *ANY_CASE, b"LICENCE", b"CreativeCommons.ORG/", b"NoAI", b"<foot", b"--", b">", b" ", b"x" * 37)
NODES = (b"<b>", b"</b>", b"2021", b"1999-", b"03-04", b"5 May ", b"&#49;", b"\xd9\xa3", b" ", b"words ", b"x" * 29)


def page(generator: random.Random, pieces: tuple[bytes, ...], longest: int) -> bytes:
    made = b"".join(generator.choices(pieces, k=generator.randrange(longest)))
    return made[: generator.randrange(len(made) + 1)]


@pytest.mark.parametrize("seed", range(60))
def test_places_are_those_of_each_word_alone(seed: int) -> None:
    generator = random.Random(seed)
    data = page(generator, PIECES, 4 << seed % 8)
    patterns = [re.compile(re.escape(word), 0 if word in EXACT else re.IGNORECASE) for word in (*EXACT, *ANY_CASE)]
    expected = sorted(
        [match.start(), number] for number, pattern in enumerate(patterns) for match in pattern.finditer(data)
    )
    assert places(data, words(EXACT, ANY_CASE)) == expected


def test_words_are_found_at_every_place_of_a_block() -> None:
    wanted = words(EXACT, ANY_CASE)
    for at in (0, 1, BLOCK_BYTES - 3, BLOCK_BYTES - 1, BLOCK_BYTES, 3 * BLOCK_BYTES - 20):
        for number, word in enumerate((*EXACT, *ANY_CASE)):
            assert places(b"y" * at + word, wanted) == [[at, number]]
            assert places(b"y" * at + word + b"y" * 2 * BLOCK_BYTES, wanted) == [[at, number]]
            assert places(b"y" * at + word[:-1], wanted) == []


def expected_years(data: bytes, reach: int, most: int) -> list[list[int]]:
    """By the words of the docstring, in plain Python."""
    found = []
    for number, match in enumerate(re.finditer(rb"(?:19|20)\d\d", data)):
        start, end = match.span()
        opened = data.rfind(b">", max(0, start - reach), start)
        closed = data.find(b"<", end, end + reach)
        if number >= most or opened < 0 or closed < 0 or data.find(b"<", opened, start) >= 0:
            continue
        text = data[opened + 1 : closed]
        if len(re.findall(rb"\d", text)) > 4 or not text.isascii() or b"&" in text:
            found.append([opened + 1, start, closed])
    return found


@pytest.mark.parametrize("seed", range(60))
def test_years_are_those_of_texts_that_may_hold_a_day(seed: int) -> None:
    generator = random.Random(seed)
    data = page(generator, NODES, 4 << seed % 9)
    for reach, most in ((60, 4000), (5, 4000), (60, 3)):
        assert years(data, reach, most) == expected_years(data, reach, most)


def test_these_pages_hold_such_years() -> None:
    """Guard: the comparison above has something to compare."""
    assert sum(len(expected_years(page(random.Random(seed), NODES, 400), 60, 4000)) for seed in range(60)) > 100
