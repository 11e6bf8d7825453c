"""N-grams of long texts, which are looked at in parts: what is found does not depend on how many there are."""

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest

from pipeline.kernels import repetition
from pipeline.kernels.token_tables import load_tables
from pipeline.kernels.tokens import new_cache, new_tokens, tokenize

PARTS = (1, 2, 16)


def tokens_of(words: list[str]) -> tuple[Any, int]:
    """The tokens of words, with their characters summed up, as ``signals`` hands them on."""
    data = np.frombuffer(" ".join(words).encode(), np.uint8).copy()
    tokens, count, _, _ = tokenize(data, 0, len(data), load_tables(), new_cache(), new_tokens(16), False)
    assert count == len(words)
    tokens.chars[: count + 1] = np.cumsum([0, *map(len, words)])
    return tokens, count


def top(words: list[str], n: int) -> int:
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    counts = Counter(grams)
    first = max(counts, key=lambda gram: (counts[gram], -grams.index(gram)))
    return (len("".join(first)) + n - 1) * counts[first]


def repeated(words: list[str], n: int) -> int:
    seen: set[str] = set()
    found = i = 0
    while i <= len(words) - n:
        joined = "".join(words[i : i + n])
        again = joined in seen
        seen.add(joined)
        found += len(joined) if again else 0
        i += n if again else 1
    return found


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("choices", [1, 2, 5, 40])
def test_ngrams_in_parts_are_those_of_the_definition(parts: int, choices: int) -> None:
    generator = random.Random(choices)
    for _ in range(20):
        words = generator.choices(["ab"[k % 2] * (1 + k // 2) for k in range(choices)], k=generator.randrange(10, 200))
        tokens, count = tokens_of(words)
        assert repetition.top_ngrams(tokens, count, parts).tolist() == [top(words, n) for n in (2, 3, 4)]
        found = repetition.repeated_ngrams(tokens, count, repetition.base_powers(), parts)
        assert found.tolist() == [repeated(words, n) for n in range(5, 11)]


def test_table_that_is_too_small_is_told_and_not_searched_for_ever() -> None:
    tokens, count = tokens_of([f"w{'x' * k}" for k in range(100)])
    small = np.zeros(16, np.uint64), np.zeros(16, np.int32)
    found = np.zeros(3, np.int64)
    assert not repetition._top_ngrams(tokens.hash, tokens.chars, count, 1, *small, tokens.start, tokens.flags, found)
    repetition._sum_up(tokens.hash, tokens.size, count, repetition.base_powers())
    again, (keys, _) = np.zeros(16, np.bool_), small
    rest = repetition.base_powers(), 1, keys, again, tokens.start, tokens.flags
    assert repetition._mark_repeated(tokens.hash, tokens.size, count, 5, *rest) == -1


def test_a_text_has_more_parts_the_longer_it_is() -> None:
    sizes = [1, repetition.PART_TOKENS, repetition.PART_TOKENS + 1, 5 * repetition.PART_TOKENS, 1 << 30]
    assert [repetition.parts_of(size) for size in sizes] == [1, 1, 2, 8, repetition.MOST_PARTS]
