"""Real prose of data/sample mixed with real noise: mails marked spam, navigation lines of pages, shuffled text.

``python -m tests.pipeline.ablation.noise FOLDER`` writes it with a recipe, to try ``tokenmill ablate`` by hand.
"""

import gzip
import html
import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

PAGES = ("apache-manual.warc.gz", "postgresql-manual.warc.gz", "debian-handbook.warc.gz")
LINKS = re.compile(rb"<a\s[^>]*>([^<]{2,60})</a>")
RECIPE = """
name = "noise"

[[sources]]
name = "prose"
paths = ["prose.jsonl"]

[[sources]]
name = "spam"
paths = ["spam.jsonl"]

[[sources]]
name = "navigation"
paths = ["navigation.jsonl"]

[[sources]]
name = "shuffled"
paths = ["shuffled.jsonl"]

[filter]
languages = ["en"]
min_language_score = 0.5
rules = []

[tokenize]
vocabulary_size = 1024
validation_share = 0.05

[model]
layers = 2
heads = 4
width = 64
context_length = 64

[train]
steps = 100
global_batch_tokens = 4096
micro_batch_sequences = 64
optimizer = "muon"
learning_rate = 2e-3
"""


def write(folder: Path, sample: Path, documents: int = 1200) -> Path:
    """Writes the corpus, ``documents`` of prose and half as many of each kind of noise; returns the recipe."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(7)
    texts = pq.read_table(sample / "wikipedia-en.parquet")["text"].to_pylist()
    prose = [text for text in texts if len(text) >= 400][: documents * 2]
    prose = [text[:4000] for text in prose]
    _write(folder / "prose.jsonl", prose[:documents])
    half = documents // 2
    lines = [
        line
        for record in (sample / "mail/spam.jsonl").read_text(encoding="utf-8").splitlines()
        for line in json.loads(record)["body"].splitlines()
        if line.strip()
    ]
    _write(folder / "spam.jsonl", ["\n".join(draw.sample(lines, 20)) for _ in range(half)])
    links = sorted({link for name in PAGES for link in _links(sample / name)})
    _write(folder / "navigation.jsonl", ["\n".join(draw.sample(links, 40)) for _ in range(half)])
    _write(folder / "shuffled.jsonl", [_shuffled(text, draw) for text in prose[-half:]])
    recipe = folder / "noise.toml"
    recipe.write_text(RECIPE)
    return recipe


def _links(path: Path) -> Iterator[str]:
    """What stands in the links of web pages."""
    with gzip.open(path) as pages:
        yield from (html.unescape(found.decode("utf-8", "ignore")).strip() for found in LINKS.findall(pages.read()))


def _shuffled(text: str, draw: random.Random) -> str:
    words = text.split()
    draw.shuffle(words)
    return " ".join(words)


def _write(path: Path, texts: list[str]) -> None:
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), encoding="utf-8")


if __name__ == "__main__":
    sys.stdout.write(f"{write(Path(sys.argv[1]), Path('data/sample'))}\n")
