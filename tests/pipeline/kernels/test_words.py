from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.arrow import text_buffers
from pipeline.dedup.rule.definition import shingle_hash64, shingles, word_hash, words
from pipeline.dedup.rule.signing import Signer
from pipeline.kernels.words import hash_words, word_tables

# one alphabet for each way a character can be handled, mixed so that they meet within a text
SCRIPTS = (
    "abcXYZ019_"
    " .,-'\n\t\x00\x7f"
    "éÀßİıſKÅΣς"  # lower case changes the length in bytes, or is one of the odd ones
    "ЖщΩωשלא한글"
    "ȺȾⱥ"  # two bytes upper, three bytes lower, and back
    "हिन्दीதமிழ்"
    "東京あアー々〇กำລາວខ្មែរမြန်"
    "𝐀𝟘𐐀𐐨😀𠀀\U0010ffff"
    "\u0301\u0308\u200d\ufeff\u00a0"
)
texts_strategy = st.text(alphabet=st.one_of(st.sampled_from(SCRIPTS), st.characters()), max_size=60)
long_words = st.text(alphabet="abcdefghéЖ", min_size=7, max_size=40)


def kernel_words(texts: list[str]) -> list[list[int]]:
    offsets, data = text_buffers(texts)
    hashes = np.empty(int(offsets[-1]) // 2 + len(texts) + 2, np.uint64)
    word_offsets = np.empty(len(texts) + 1, np.int64)
    total = hash_words(data, offsets, word_tables(), hashes, word_offsets)
    assert total == word_offsets[-1]
    return [hashes[start:end].tolist() for start, end in pairwise(word_offsets)]


def defined_words(texts: list[str]) -> list[list[int]]:
    return [[word_hash(word.encode()) for word in words(text)] for text in texts]


@given(st.lists(texts_strategy, max_size=6))
def test_kernel_finds_the_words_of_the_definition(texts: list[str]) -> None:
    assert kernel_words(texts) == defined_words(texts)


@given(st.lists(long_words, max_size=4))
def test_words_longer_than_a_group_of_eight_bytes_hash_as_defined(parts: list[str]) -> None:
    text = " ".join(parts)
    assert kernel_words([text]) == defined_words([text])


@pytest.mark.parametrize("length", range(0, 26))
def test_word_of_every_length_hashes_as_defined(length: int) -> None:
    for letter in ("a", "é", "ก", "𐐀", "हि"):
        assert kernel_words([letter * length]) == defined_words([letter * length])


@pytest.mark.parametrize("character", [chr(c) for c in range(0x250)])
def test_every_latin_character_is_handled_as_defined(character: str) -> None:
    text = f"a{character}b {character}"
    assert kernel_words([text]) == defined_words([text])


@given(texts_strategy, st.integers(1, 7))
def test_shingle_sets_equal_the_definition(text: str, ngram: int) -> None:
    sets = Signer(ngram, 1).hash([text])
    expected = {shingle_hash64(shingle.encode()) for shingle in shingles(text, ngram)}
    assert len(sets.hashes) == len(expected)
    assert set(sets.hashes.tolist()) == expected


def test_text_longer_than_a_piece_has_every_shingle_once() -> None:
    text = " ".join(f"w{number % 5000}" for number in range(12_000)) + " tail one two three"
    sets = Signer(5, 1).hash([text])
    expected = {shingle_hash64(shingle.encode()) for shingle in shingles(text, 5)}
    assert len(expected) > 5000
    assert set(sets.hashes.tolist()) == expected
    assert len(sets.hashes) == len(expected)


def test_repeats_are_found_by_sorting_where_a_text_is_too_long_for_the_table() -> None:
    signer = Signer(5, 1)
    signer._scratch = np.empty(64, np.uint64)
    text = " ".join(f"w{number % 700}" for number in range(3000))
    assert sorted(signer.hash([text]).hashes.tolist()) == sorted(Signer(5, 1).hash([text]).hashes.tolist())


def test_bytes_that_are_no_utf8_are_separators_and_never_read_past_the_text() -> None:
    data = np.frombuffer(b"ab\xe6\x9d" + b"\xb1cd \xff\xfe xy\xf0\x9f", np.uint8)
    offsets = np.array([0, 4, len(data)])
    hashes, word_offsets = np.empty(40, np.uint64), np.empty(3, np.int64)
    hash_words(data, offsets, word_tables(), hashes, word_offsets)
    assert hashes[: word_offsets[1]].tolist() == [word_hash(b"ab")]
    assert hashes[word_offsets[1] : word_offsets[2]].tolist() == [word_hash(word) for word in (b"cd", b"xy")]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_sliced_arrow_array_is_read_in_place(kind: pa.DataType) -> None:
    array = pa.array(["zero", "One fine day", None, "東京"], kind).slice(1)
    offsets, data = text_buffers(array)
    hashes, word_offsets = np.empty(40, np.uint64), np.empty(4, np.int64)
    hash_words(data, offsets, word_tables(), hashes, word_offsets)
    assert word_offsets.tolist() == [0, 3, 3, 5]
    assert hashes[0] == word_hash(b"one")


def test_lone_surrogates_are_separators() -> None:
    assert words("ab\ud800cd") == ["ab", "cd"]
    assert kernel_words(["ab\ud800cd", "x"]) == defined_words(["ab\ud800cd", "x"])
