import json
import shutil
from pathlib import Path

import pytest

from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run
from tests.pipeline.lineage.conftest import run_stages

RECIPE = """
name = "disclosed"
stages = ["clean", "dedup", "filter", "tokenize"]

[[sources]]
name = "crawl"
paths = ["raw/*.warc"]

[[sources]]
name = "essays"
paths = ["raw/essays.jsonl"]
licence = "CC-BY-4.0"

[filter]
rules = []

[tokenize]
vocabulary_size = 300
validation_share = 0.1
exclude_near_validation = false

[model]
context_length = 16

[train]
steps = 30
global_batch_tokens = 64
"""
STEPS = 30
HOSTS = ("www.news.co.uk", "blog.news.co.uk", "small.example.org", "tiny.example.net")
NOUNS = ("river", "stone", "market", "letter", "window", "garden", "copper", "winter", "bridge", "harbour", "candle")
VERBS = ("crosses", "holds", "carries", "mends", "follows", "finds", "paints", "sells")


def prose(number: int, sentences: int) -> str:
    """Sentences that no two numbers share."""
    words = []
    for n in range(sentences):
        seed = number * 31 + n * 7
        words.append(f"The {NOUNS[seed % 11]} {VERBS[(seed // 3) % 8]} the {NOUNS[(seed // 5 + 4) % 11]} in {seed}.")
    return " ".join(words)


def record(kind: str, body: bytes, headers: str) -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body + b"\r\n\r\n"


def page(url: str, text: str, date: str, meta: str = "") -> bytes:
    html = f"<html><head><title>{text[:20]}</title>{meta}</head><body><article><p>{text}</p></article></body></html>"
    response = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{html}".encode()
    return record("response", response, f"WARC-Target-URI: {url}\r\nWARC-Date: {date}T10:00:00Z\r\n")


def write_inputs(folder: Path) -> Path:
    (folder / "raw").mkdir(parents=True)
    about = b"operator: Example Ltd\r\nsoftware: spider/1.2\r\nhttp-header-user-agent: ExampleBot/1.0\r\n"
    records = [record("warcinfo", about, "WARC-Date: 2026-01-01T00:00:00Z\r\n")]
    for n in range(40):
        host = HOSTS[0] if n < 20 else HOSTS[n % 4]
        date = "2026-02-11" if n < 30 else "2026-05-30"
        published = '<meta name="date" content="2019-03-04">' if n % 5 == 0 else ""
        records.append(page(f"https://{host}/{n}", prose(n, 12 if n < 20 else 6), date, published))
    refused = '<meta name="robots" content="noai">'
    records += [page(f"https://no.example.com/{n}", prose(900 + n, 9), "2026-02-11", refused) for n in range(3)]
    (folder / "raw/crawl.warc").write_bytes(b"".join(records))
    essays = [
        {"text": prose(500 + n, 9), "title": f"Essay [{n}]", "author": "Ada | Lovelace", "url": f"https://e.org/{n}"}
        for n in range(12)
    ]
    essays.append({"text": prose(700, 9), "licence": "CC0-1.0", "title": "Free"})
    lines = "".join(json.dumps(essay) + "\n" for essay in essays)
    (folder / "raw/essays.jsonl").write_text(lines, encoding="utf-8")
    (folder / "recipe.toml").write_text(RECIPE)
    return folder / "recipe.toml"


@pytest.fixture(scope="session")
def disclosed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a crawl and of essays, with the traces that a training leaves: checkpoints and metrics."""
    from pipeline.order.corpus import open_train
    from pipeline.order.windows import WindowOrder

    folder = tmp_path_factory.mktemp("disclosed")
    root = folder / "run"
    run_stages(Run(str(root), load_recipe(write_inputs(folder))))
    tokenizer = open_train(Run.open(root), 16, WindowOrder).data.format.tokenizer
    for step in (10, STEPS):
        checkpoint = root / f"checkpoints/step-{step:07d}"
        checkpoint.mkdir(parents=True)
        (checkpoint / "state.json").write_text(json.dumps({"format": 1, "step": step, "tokenizer": tokenizer}))
    (root / "metrics").mkdir()
    (root / "metrics/train.jsonl").write_text(json.dumps({"step": STEPS, "loss": 4.0, "skipped_steps": 0}) + "\n")
    return root


@pytest.fixture
def run(disclosed: Path, tmp_path: Path) -> Run:
    """A copy of it, to be changed."""
    shutil.copytree(disclosed, tmp_path / "run")
    return Run.open(tmp_path / "run")
