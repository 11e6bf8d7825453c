"""Edited items of evaluation sets in ordinary documents: how many are found, and in how many documents one is not."""

import gzip
import json
import random
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.bench.corpus import ARTICLES
from pipeline.filter.decontamination.build import build_index
from pipeline.filter.decontamination.index import Index
from tests.conformance.clones import Clone, Repository
from tests.conformance.facts.figures import Figure, measure

FOLDER = "bundled-evals/"
SETS = ("mmlu_test", "gsm8k_test", "agi_eval")
GROUPS = ((8, 12), (13, 24), (25, 49), (50, 10_000))
SAMPLE = 40
AROUND = 200  # words of the document on each side
Edit = Callable[[list[str]], str]


def _at_the_middle(put: Callable[[str], list[str]]) -> Edit:
    def edit(words: list[str]) -> str:
        place = len(words) // 2
        return " ".join([*words[:place], *put(words[place]), *words[place + 1 :]])

    return edit


def _cut(words: list[str]) -> str:
    """Every third long word is cut at the end of a line."""
    long = [place for place, word in enumerate(words) if re.fullmatch(r"[A-Za-z]{6,}", word)]
    return " ".join(f"{word[:3]}-\n{word[3:]}" if place in long[::3] else word for place, word in enumerate(words))


EDITS: dict[str, Edit] = {
    "verbatim": " ".join,
    "in capitals": lambda words: " ".join(words).upper(),
    "a word replaced": _at_the_middle(lambda _word: ["perhaps"]),
    "a word put in": _at_the_middle(lambda word: ["perhaps", word]),
    "a word left out": _at_the_middle(lambda _word: []),
    "a letter doubled": _at_the_middle(lambda word: [word[:1] + word]),
    "words cut at line ends": _cut,
}


@measure("decon", Repository("allenai", "decon"))
def evaluation(clone: Clone) -> Iterator[Figure]:
    """Found of each length and edit; and documents in which nothing is found."""
    files = {path: data for path, data in clone.files(FOLDER) if path.removeprefix(FOLDER).startswith(SETS)}
    index = _index(files)
    rows = pq.read_table(ARTICLES).to_pylist()
    hosts = [max((value for value in row.values() if isinstance(value, str)), key=len).split() for row in rows]
    rng = random.Random(7)
    questions = sorted({question for data in files.values() for question in _questions(data)})
    for low, high in GROUPS:
        fitting = [item for item in questions if low <= len(re.findall(r"\w+", item)) <= high]
        chosen = rng.sample(fitting, SAMPLE)
        for name, edit in EDITS.items():
            edited = [(item, edit(item.split(" "))) for item in chosen]
            texts = [_planted(text, rng.choice(hosts)) for item, text in edited if text != item or name == "verbatim"]
            found = len({hit.row for hit in index.hits(texts)})
            yield Figure(f"{low} {f'to {high}' if high < 1000 else 'or more'} words, {name}: found", found, len(texts))
    flagged = len({hit.row for hit in index.hits([" ".join(host) for host in hosts])})
    yield Figure("articles of the sample: nothing found", len(hosts) - flagged, len(hosts))


def _index(files: dict[str, bytes]) -> Index:
    with tempfile.TemporaryDirectory(prefix="tokenmill-conformance-") as folder:
        for path, data in files.items():
            (Path(folder) / path.removeprefix(FOLDER)).write_bytes(data)
        return build_index([{"name": "sets", "fields": ["question"], "id_field": None}], {"sets": folder}, 13)


def _questions(data: bytes) -> Iterator[str]:
    yield from (json.loads(line)["question"] for line in gzip.decompress(data).splitlines())


def _planted(text: str, host: list[str]) -> str:
    middle = len(host) // 2
    before, after = host[max(0, middle - AROUND) : middle], host[middle : middle + AROUND]
    return f"{' '.join(before)}\n\n{text}\n\n{' '.join(after)}"
