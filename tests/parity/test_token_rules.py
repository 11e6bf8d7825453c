"""Our tokens are spaCy's: on the sample's text, on odd words, and on random ones."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels.token_tables import load_tables
from tests.pipeline.filter.helpers import token_texts

WORDS = """
cannot Don't I'm you'll've we're o'clock y'all C++ Ph.D. U.S.A. e.g. 'tis 'Cause John's JOHN'S dogs’ ’s 10km
5% $5.00 US$5 5US$ A$10 1,000.50 10:30a.m. 8pm (re-)use well-known a--b a---b x—y 3-4 3*4 2^10 5-- word...
...word a..b http://www.example.com/path?q=1#x www.example.org example.co.uk:8080/a user@host.com
mailto:a@b.de 8.8.8.8 10.0.0.1 192.168.1.1:80 end.Start one,two a:b <tag> #hash @name :-) :) ;-D ¯\\(ツ)/¯ ಠ_ಠ
(╯°□°）╯︵┻━┻ foo:) °C. 20°C. naïve café. «quoted» “smart” „low‟ …… … -- - – — don't,can't (hello) [1] {x} "a'b"
it's. I.E. USA. Inc. 5+ +5 C+ x+y ½km 12″ ₽5 5₽ Straße. ΩMEGA.alpha привет.Мир МИР. 漢字。 テスト、 ไทย a\u00ad-b
lower.Upper x.y.z. ... .. . a. B. Mr.Smith a/b and/or 1/2 n't 've gonna let's how'd'y _under_ *star* ~tilde~
'quoted' ''double'' `tick` \\") <space> \\n
"""
ODD = WORDS.split()


def spacy_tokens(text: str) -> list[str]:
    from datatrove.utils.word_tokenizers import load_word_tokenizer

    return load_word_tokenizer("eng").word_tokenize(text)


@pytest.mark.parametrize("around", ["{}", "({})", "{}.", "'{}'", "x {}, y", '"{}";', "{0}-{0}", "{0}/{0}", "-{}"])
def test_odd_words_are_cut_as_spacy_does(around: str) -> None:
    wrong = [word for word in ODD if token_texts(around.format(word)) != spacy_tokens(around.format(word))]
    assert wrong == []


def test_text_of_the_sample_is_cut_as_spacy_does(sample: Path) -> None:
    with gzip.open(sample / "wikipedia-leads.jsonl.gz", "rt") as lines:
        texts = [record["extract"] for record, _ in zip(map(json.loads, lines), range(120), strict=False)]
    assert sum(map(len, texts)) > 20_000
    assert [text for text in texts if text and token_texts(text) != spacy_tokens(text)] == []


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("aBcé漢.,:;-–—'\"’()[]/<>=+*$£€%°²0123kmgs@#_~…!?\\|&"), min_size=1, max_size=14))
def test_random_words_are_cut_as_spacy_does(word: str) -> None:
    assert token_texts(word) == spacy_tokens(word)


@pytest.mark.slow
def test_committed_tables_are_those_of_spacy_and_unicode() -> None:
    from tests.tools.make_token_tables import PATH, build

    with np.load(PATH) as committed:
        for name, values in build().items():
            assert np.array_equal(committed[name], values), name
    assert load_tables().classes.shape == (0x110000,)
