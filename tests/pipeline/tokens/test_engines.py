"""The two engines: equal ids, special-token text as text, pieces of long texts, and the choice."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.errors import RunError
from pipeline.tokens.tokenizer import engines
from pipeline.tokens.tokenizer.definition import vocabulary_size
from pipeline.tokens.tokenizer.engines import (
    GigatokenEncoder,
    TokenizersEncoder,
    check_no_special,
    choose,
    cut,
    make_encoder,
)
from pipeline.tokens.tokenizer.training import train
from tests.pipeline.tokens.runs import sentence

TEXTS = [
    *(sentence(n) for n in range(60)),
    "",
    "<|endoftext|>",
    "a<|endoftext|>b <|pad|>",
    "naïve café — 東京は首都 🎉👩‍👩‍👧 مرحبا שלום नमस्ते",
    "12345 67890\r\n\r\n\tx\u00a0y\u2003z\x00",
    "it's IT'S we'LL",
    "\n\n\n   \n",
    "x" * 500,
]
PRETOKENIZERS = ("gpt2", "cl100k", "qwen2")


@pytest.fixture(scope="module")
def definitions() -> dict[str, str]:
    config = {"vocabulary_size": 400, "end_of_text": "<|endoftext|>", "special_tokens": ["<|pad|>"]}
    return {name: train([TEXTS], {**config, "pretokenizer": name}) for name in PRETOKENIZERS}


def arrow(texts: list[str]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


@pytest.mark.parametrize("pretokenizer", PRETOKENIZERS)
def test_engines_give_the_same_ids_and_no_special_one(definitions: dict[str, str], pretokenizer: str) -> None:
    definition = definitions[pretokenizer]
    ours, ends = GigatokenEncoder(definition)(arrow(TEXTS))
    theirs, other_ends = TokenizersEncoder(definition, cut_long_texts=True)(arrow(TEXTS))
    np.testing.assert_array_equal(ends, other_ends)
    np.testing.assert_array_equal(ours, theirs)
    special = [token["id"] for token in json.loads(definition)["added_tokens"]]
    assert special == [0, 1]
    assert not np.isin(ours, special).any()
    assert ends[62] - ends[61] > 2, "the end-of-text string is several tokens"


def test_slice_of_an_arrow_array_is_encoded_alone(definitions: dict[str, str]) -> None:
    whole = arrow(TEXTS)
    for engine in ("gigatoken", "tokenizers"):
        encode = make_encoder(engine, definitions["gpt2"], cut_long_texts=True)
        ids, ends = encode(whole)
        part, part_ends = encode(whole.slice(58, 6))
        np.testing.assert_array_equal(part, ids[ends[58] : ends[64]])
        np.testing.assert_array_equal(part_ends, ends[58:65] - ends[58])
        empty, no_ends = encode(whole.slice(3, 0))
        assert len(empty) == 0
        assert no_ends.tolist() == [0]


ALPHABET = "ab \n.A1'\r\té東の。，😀"


@given(st.text(alphabet=ALPHABET, max_size=200), st.integers(1, 20))
@settings(max_examples=150, deadline=None)
def test_pieces_of_a_text_join_to_it(text: str, length: int) -> None:
    assert "".join(cut(text, length)) == text


@given(st.text(alphabet=ALPHABET, max_size=120), st.integers(1, 20), st.sampled_from(PRETOKENIZERS))
@settings(max_examples=100, deadline=None)
def test_pieces_have_the_tokens_of_the_whole_text(
    definitions: dict[str, str], text: str, length: int, pretokenizer: str
) -> None:
    encode = TokenizersEncoder(definitions[pretokenizer], cut_long_texts=True)
    whole = encode(arrow([text]))[0]
    pieces = [encode(arrow([piece]))[0] for piece in cut(text, length)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_gigatoken_is_chosen_where_it_is_equal(definitions: dict[str, str]) -> None:
    choice = choose(definitions["gpt2"], TEXTS, "auto", cut_long_texts=True)
    assert choice.engine == "gigatoken"
    assert f"on {len(TEXTS)} documents of this corpus" in choice.reason
    assert choose(definitions["gpt2"], TEXTS, "tokenizers", cut_long_texts=True).reason == (
        "asked for by tokenize.engine"
    )


def test_one_other_id_sends_the_run_to_tokenizers_and_names_the_document(
    definitions: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong(GigatokenEncoder):
        def __call__(self, texts: pa.LargeStringArray) -> Any:
            ids, ends = super().__call__(texts)
            ids = ids.copy()
            ids[ends[7]] += 1
            return ids, ends

    monkeypatch.setattr(engines, "GigatokenEncoder", Wrong)
    choice = choose(definitions["gpt2"], TEXTS, "auto", cut_long_texts=True)
    assert choice.engine == "tokenizers"
    assert f"other ids on document 8 of {len(TEXTS)} samples" in choice.reason


def test_tokenizer_that_gigatoken_refuses_is_run_by_tokenizers_which_is_said(definitions: dict[str, str]) -> None:
    parsed = json.loads(definitions["gpt2"])
    parsed["model"] = {"type": "WordLevel", "vocab": {"a": 0, "<|endoftext|>": 1, "?": 2}, "unk_token": "?"}
    parsed["added_tokens"] = []
    choice = choose(json.dumps(parsed), ["a b"], "auto", cut_long_texts=False)
    assert choice.engine == "tokenizers"
    assert "gigatoken cannot load this tokenizer" in choice.reason


def test_text_that_gives_a_special_token_is_an_error_that_names_it() -> None:
    check_no_special(np.array([3, 4], np.uint32), {"<|endoftext|>": 0})
    check_no_special(np.array([], np.uint32), {"<|endoftext|>": 0})
    with pytest.raises(RunError, match=r"encoded as the special token '<\|pad\|>'"):
        check_no_special(np.array([3, 1], np.uint32), {"<|endoftext|>": 0, "<|pad|>": 1})


def test_document_with_an_added_token_that_is_not_special_is_encoded_by_tokenizers(definitions: dict[str, str]) -> None:
    parsed = json.loads(definitions["gpt2"])
    added = {"single_word": False, "lstrip": False, "rstrip": True, "normalized": False, "special": False}
    number = vocabulary_size(parsed)
    parsed["added_tokens"].append({"id": number, "content": "<tool>", **added})
    texts = arrow(["plain", "a <tool>  b <|pad|>", "", "<tool>", "plain again"])
    ours, ends = GigatokenEncoder(json.dumps(parsed))(texts)
    theirs, other_ends = TokenizersEncoder(json.dumps(parsed), cut_long_texts=True)(texts)
    np.testing.assert_array_equal(ends, other_ends)
    np.testing.assert_array_equal(ours, theirs)
    assert (ours == number).sum() == 2
