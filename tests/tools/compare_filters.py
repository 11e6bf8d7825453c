# ruff: noqa: T201  a script that prints its findings
"""Our rule sets against datatrove's filters, document by document.

``python -m tests.tools.compare_filters FILE.jsonl.gz… --documents 5000`` prints the agreement of each rule set, with
our tokens under datatrove's filters ("ours") and with its own ("spacy"); docs/filter.md has the figures.
"""

import argparse
import gzip
import json
import time
from collections.abc import Iterator

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.utils.word_tokenizers import WordTokenizer, load_word_tokenizer

from pipeline.filter import RULES, judge, signals
from tests.pipeline.filter.helpers import token_texts


class OurTokenizer(WordTokenizer):
    """Our tokens, as datatrove's filters take them."""

    def word_tokenize(self, text):
        return token_texts(text)

    def sent_tokenize(self, text):
        raise NotImplementedError("no filter asks for it")

    def span_tokenize(self, text):
        return [(0, 0)] * signals([text])["sentence_count"][0].as_py()  # C4 only counts them


def datatrove_filters(tokenizer):
    return {
        "gopher_quality": GopherQualityFilter(language=tokenizer),
        "gopher_repetition": GopherRepetitionFilter(language=tokenizer),
        "c4": C4QualityFilter(filter_no_terminal_punct=False, language=tokenizer),
        "fineweb": FineWebQualityFilter(language=tokenizer),
    }


def disagreements(texts, tokenizer) -> Iterator[tuple[str, int, int, object, list[str]]]:
    """Of each difference: rule set, row, documents dropped so far, datatrove's answer, ours; at the end row -1."""
    table = signals(texts)
    for name, step in datatrove_filters(tokenizer).items():
        dropped = 0
        for row, (text, reasons) in enumerate(zip(texts, judge(table, [name]), strict=True)):
            answer = step.filter(Document(text=text, id=""))
            kept = answer[0] if isinstance(answer, tuple) else answer
            dropped += not kept
            if kept == bool(reasons):
                yield name, row, dropped, answer, reasons
        yield name, -1, dropped, None, []


def read_english(paths, count):
    texts = []
    for path in paths:
        with gzip.open(path, "rt") as lines:
            for record in map(json.loads, lines):
                if record["language"] == "en" and len(texts) < count:
                    texts.append(record["text"])
    return texts


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--documents", type=int, default=5000)
    arguments = parser.parse_args()
    texts = read_english(arguments.paths, arguments.documents)
    size = sum(len(text.encode()) for text in texts)
    print(f"{len(texts)} documents, {size / 1e6:.1f} MB")
    for which, tokenizer in (("ours", OurTokenizer()), ("spacy", load_word_tokenizer("eng"))):
        differing = dict.fromkeys(RULES, 0)
        started = time.perf_counter()
        for name, row, dropped, answer, reasons in disagreements(texts, tokenizer):
            if row >= 0:
                differing[name] += 1
                print(f"  {which} {name} document {row}: datatrove {answer}, ours {reasons}")
                continue
            share = 1 - differing[name] / len(texts)
            seconds = time.perf_counter() - started
            print(
                f"{which} {name}: {share:.4%} of decisions equal, datatrove drops {dropped}, {seconds:.0f} s",
                flush=True,
            )
            started = time.perf_counter()


if __name__ == "__main__":
    main()
