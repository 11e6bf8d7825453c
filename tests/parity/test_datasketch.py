"""Signatures are those of datasketch's MinHash, bit for bit, and its LSH takes them."""

import datasketch
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dedup import shingle_hash, shingles, signatures

ENGLISH = "It was a bright cold day in April, and the clocks were striking thirteen. Winston slipped quickly through."
TEXTS = [
    ENGLISH,
    "",
    "  \n ...",
    "word",
    "three little words",
    "Zażółć gęślą jaźń — ŁÓDŹ, 1999 r.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю",
    "いろはにほへと ちりぬるを ABC 123 東京タワー",
    "นายสังฆภัณฑ์ เฮงพิทักษ์ฝั่ง ผู้เฒ่า",
    "यह हिन्दी का एक छोटा सा वाक्य है",
    "נקבה של חתול היא חתולה, ושל כלב היא כלבה",
    "İSTANBUL ıspanak e\u0301 e\u0301 👩‍👩‍👧 _under_score x²",
    " ".join(f"word{number}" for number in range(9000)),
]


def reference(text: str, ngram: int, permutations: int, seed: int) -> np.ndarray:
    sketch = datasketch.MinHash(num_perm=permutations, seed=seed, hashfunc=shingle_hash)
    sketch.update_batch([shingle.encode() for shingle in shingles(text, ngram)])
    return sketch.hashvalues


@pytest.mark.parametrize(("ngram", "permutations", "seed"), [(5, 112, 1), (1, 16, 0), (3, 1, 7), (13, 250, 2**32 - 1)])
def test_signature_equals_datasketch_minhash(ngram: int, permutations: int, seed: int) -> None:
    found = signatures(TEXTS, ngram=ngram, permutations=permutations, seed=seed)
    expected = np.stack([reference(text, ngram, permutations, seed) for text in TEXTS])
    assert found.dtype == np.uint32
    np.testing.assert_array_equal(found, expected)


@given(st.text(max_size=200), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_signature_of_any_text_equals_datasketch(text: str, ngram: int, seed: int) -> None:
    np.testing.assert_array_equal(signatures([text], ngram, 9, seed)[0], reference(text, ngram, 9, seed))


def test_text_without_words_keeps_the_empty_signature() -> None:
    assert (signatures(["", "?!", None], permutations=4) == 2**32 - 1).all()


def test_arrow_arrays_and_lists_give_the_same_signatures() -> None:
    expected = signatures(TEXTS)
    chunks = pa.chunked_array([TEXTS[:4], TEXTS[4:]], pa.string())
    for array in (pa.array(TEXTS, pa.large_string()), pa.array(TEXTS, pa.string()), chunks):
        np.testing.assert_array_equal(signatures(array), expected)
    np.testing.assert_array_equal(signatures(iter(TEXTS)), expected)
    np.testing.assert_array_equal(signatures(pa.array(TEXTS).slice(5)), expected[5:])
    assert signatures([]).shape == (0, 112)


def test_signatures_load_into_datasketch_lsh() -> None:
    lsh = datasketch.MinHashLSH(params=(14, 8), num_perm=112)
    texts = {"a": ENGLISH * 4, "b": ENGLISH * 4 + " The end.", "c": " ".join(f"other{n}" for n in range(60))}
    rows = signatures(list(texts.values()))
    sketches = {
        name: datasketch.LeanMinHash(seed=1, hashvalues=row, scheme="affine32")
        for name, row in zip(texts, rows, strict=True)
    }
    for name, sketch in sketches.items():
        lsh.insert(name, sketch)
    assert set(lsh.query(sketches["a"])) == {"a", "b"}
    assert lsh.query(sketches["c"]) == ["c"]


def test_estimate_is_within_four_standard_errors_of_the_exact_similarity() -> None:
    left = " ".join(f"w{number}" for number in range(4000))
    right = " ".join(f"w{number}" for number in range(1000, 5000))
    a, b = set(shingles(left)), set(shingles(right))
    exact = len(a & b) / len(a | b)
    rows = signatures([left, right], permutations=4096)
    assert abs((rows[0] == rows[1]).mean() - exact) < 4 * (exact * (1 - exact) / 4096) ** 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [({"ngram": 0}, "ngram"), ({"permutations": 0}, "permutations"), ({"seed": -1}, "seed"), ({"seed": 2**32}, "seed")],
)
def test_option_out_of_range_is_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        signatures(["a"], **options)


def test_one_string_instead_of_a_list_is_refused() -> None:
    with pytest.raises(ValueError, match="list"):
        signatures("one text")
    with pytest.raises(ValueError, match="strings"):
        signatures(pa.array([1, 2]))
