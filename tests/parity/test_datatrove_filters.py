"""Our rule sets decide as datatrove's filters do, on the committed sample (docs/filter.md has 5,000 documents)."""

import gzip
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.filter import RULES
from tests.tools.compare_filters import OurTokenizer, disagreements

ODD = [
    "a",
    "\n",
    "\n\nsame line here\nsame line here\n",
    " \tx\n\n\n x\u2028y\x0cz\r\n",
    "1 11 1 1 1 11 1 1 1 11 1 1 1 11 1 1 1 11" * 3,
    "One two three.[1] Four five six.[edit] [12]\nuse cookies now and then.\n" * 4,
    "It is JavaScript {here}. Is it? It is so. Yes. No. Well.\nthe curly { is seen here. A. B c. D e. F g. H i.\n",
    ("word " * 60 + "…\n") * 4,
    "- the be to of and\n• the be to of and\n" * 30,
    "x" * 1200 + " lorem ipsum the end\nLorem Ipsum is here now.",
]


@pytest.fixture(scope="module")
def texts(sample: Path) -> list[str]:
    articles = pq.read_table(sample / "wikipedia-en.parquet").to_pylist()
    articles = [max((v for v in row.values() if isinstance(v, str)), key=len) for row in articles]
    found = [text for text in articles if len(text) < 8000][:15]
    with gzip.open(sample / "wikipedia-leads.jsonl.gz", "rt") as lines:
        found += [record["extract"] for record, _ in zip(map(json.loads, lines), range(120), strict=False)]
    return [text for text in found if text] + ODD


def test_decisions_equal_those_of_datatrove_with_our_tokens(texts: list[str]) -> None:
    found = list(disagreements(texts, OurTokenizer()))
    assert [difference for difference in found if difference[1] >= 0] == []
    assert {name: dropped > 5 for name, _, dropped, _, _ in found} == dict.fromkeys(RULES, True)


def test_decisions_equal_those_of_datatrove_on_spacy(texts: list[str]) -> None:
    from datatrove.utils.word_tokenizers import load_word_tokenizer

    found = list(disagreements(texts, load_word_tokenizer("eng")))
    assert len(texts) > 100
    for name in RULES:
        assert sum(n == name and row >= 0 for n, row, *_ in found) <= 0.01 * len(texts)
