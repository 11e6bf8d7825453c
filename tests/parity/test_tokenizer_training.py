"""A tokenizer that is trained here is, byte for byte, what the trainer of ``tokenizers`` makes of the same text."""

import gzip
import json
from collections import Counter
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pipeline.bench.corpus import ARTICLES, SAMPLE
from pipeline.tokens.tokenizer.definition import further_special, pre_tokenizer
from pipeline.tokens.tokenizer.pretokens import RULES, PretokenCounts, library_pre_tokenizer
from pipeline.tokens.tokenizer.training import train

CONFIG: dict[str, Any] = {
    "vocabulary_size": 400,
    "pretokenizer": "gpt2",
    "end_of_text": "<|endoftext|>",
    "special_tokens": [],
}
# what the regular expressions take apart: apostrophes and what follows them, kinds of space, digits, marks, scripts
CHARACTERS = "'sStTmMdDrReEvVlLſŉxé  \t\n\r\x85\u00a0\u2028\u3000012२²Ⅷ!?.-_\u0301\u200d漢字👩\x00\x1c\ufb05K"
WHOLE = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]


def theirs(texts: list[str], config: dict[str, Any]) -> str:
    """The content of the ``tokenizer.json`` that the library trains."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.decoder = decoders.ByteLevel()
    definition = json.loads(tokenizer.to_str())
    definition["pre_tokenizer"] = pre_tokenizer(config["pretokenizer"])
    tokenizer = Tokenizer.from_str(json.dumps(definition))
    trainer = trainers.BpeTrainer(
        vocab_size=config["vocabulary_size"],
        min_frequency=2,
        special_tokens=[config["end_of_text"], *further_special(config)],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return str(tokenizer.to_str(pretty=True)) + "\n"


def merges_of(definition: str) -> list[list[str]]:
    merges: list[list[str]] = json.loads(definition)["model"]["merges"]
    return merges


def counted(pretokenizer: str, texts: list[str]) -> dict[str, int]:
    words = PretokenCounts(pretokenizer)
    for text in texts:
        words.add([text])
    raw, found, start = words.contents.tobytes(), {}, 0
    for end, count in zip(words.ends.tolist(), words.counts.tolist(), strict=True):
        found[raw[start:end].decode()] = count
        start = end
    assert len(found) == len(words.counts), "none is counted twice"
    return found


def cut_by_library(pretokenizer: str, texts: list[str]) -> Counter[str]:
    cut, found = library_pre_tokenizer(pretokenizer).pre_tokenize_str, Counter[str]()
    for text in texts:
        found.update(text[start:end] for _, (start, end) in cut(text))
    return found


@pytest.mark.parametrize("pretokenizer", RULES)
@given(texts=st.lists(st.text(CHARACTERS, min_size=1, max_size=40), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
@example(texts=["'s'S'ſ 're'RE'll'Ll 'tis ' s", " \n a\r\n\r\n  b \t\n", "12345 1234 \u00a01", "!!\n\n!a '"])
def test_pretokens_are_those_of_the_library(pretokenizer: str, texts: list[str]) -> None:
    assert counted(pretokenizer, texts) == cut_by_library(pretokenizer, texts)


@pytest.mark.slow
@pytest.mark.parametrize("pretokenizer", RULES)
def test_every_code_point_is_cut_as_the_library_cuts_it(pretokenizer: str) -> None:
    texts = [f"'{c}a!{c} {c}\t{c}{c}1{c}a" for c in WHOLE]
    words = PretokenCounts(pretokenizer)
    words.add(pa.array(texts, pa.large_string()))
    found = cut_by_library(pretokenizer, texts)
    assert int(words.counts.sum()) == found.total()
    assert len(words.counts) == len(found)


@pytest.mark.parametrize("pretokenizer", RULES)
@given(
    texts=st.lists(st.text("abcd '1\né", max_size=60), max_size=6),
    size=st.integers(250, 420),
    special=st.lists(st.sampled_from(["<|pad|>", "ab", "a", "Ġ", "é ", "aaaa", "<|endoftext|>"]), max_size=3),
)
@settings(max_examples=150, deadline=None)
@example(texts=["aaaa aaaaa aaaaaaaa aaaaaaaaaaaaaaaaa " * 3], size=420, special=[])
@example(texts=["abcabd abdabc aabb bbaa abab cbcb " * 4], size=420, special=["ab", "a"])
def test_vocabulary_and_merges_are_those_of_the_library(
    pretokenizer: str, texts: list[str], size: int, special: list[str]
) -> None:
    config = {**CONFIG, "pretokenizer": pretokenizer, "vocabulary_size": size, "special_tokens": special}
    assert train([texts], config) == theirs(texts, config)


def sample_texts() -> list[str]:
    texts: list[str] = pq.read_table(ARTICLES, columns=["text"])["text"].to_pylist()
    for line in gzip.decompress((SAMPLE / "wikipedia-leads.jsonl.gz").read_bytes()).splitlines():
        texts.append(orjson.loads(line).get("extract") or "")
    return texts


@pytest.mark.parametrize(("pretokenizer", "size"), [("gpt2", 32_768), ("cl100k", 8_192), ("qwen2", 8_192)])
def test_tokenizer_of_the_sample_is_that_of_the_library(pretokenizer: str, size: int) -> None:
    """Four languages, two ways of writing; merges that make a token again, and pairs that are merged twice, occur."""
    texts = sample_texts()
    config = {**CONFIG, "pretokenizer": pretokenizer, "vocabulary_size": size, "begin_of_text": "<|begin|>"}
    ours = train([pa.array(texts, pa.large_string())], config)
    assert len(merges_of(ours)) > size - 300
    assert ours == theirs(texts, config)
