import gzip
import json
import shutil
from pathlib import Path

import pytest

from flows.session.stages import run_stage, working_context
from pipeline.base.pool import InProcess
from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run

RECIPE = """
name = "lineage"
stages = ["clean", "dedup", "filter", "tokenize"]

[[sources]]
name = "prose"
paths = ["raw/prose.jsonl"]
licence = "CC-BY-SA-4.0"

[[sources]]
name = "web"
paths = ["raw/web.jsonl"]

[clean]
pii = "off"

[filter]
rules = ["gopher_repetition"]

[tokenize]
vocabulary_size = 300
validation_share = 0.1
exclude_near_validation = false

[model]
context_length = 32

[train]
steps = 40
global_batch_tokens = 256
"""
STEPS_DONE = 40


def run_stages(run: Run) -> int:
    """Runs every stage; returns how many shards had to be made."""
    made = 0
    with run.lock():
        run.write_recipe()
        for stage in run.recipe.stages:
            context = working_context(run, InProcess())
            run_stage(stage, context)
            made += context.shards_run
    return made


def write_inputs(folder: Path, sample: Path) -> Path:
    """A recipe and two sources: 120 real texts, an exact twin and a near twin of one of them."""
    (folder / "raw").mkdir(parents=True)
    with gzip.open(next(sample.glob("wikipedia-leads*.jsonl.gz")), "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["extract"] for line, _ in zip(lines, range(900), strict=False)]
    texts = sorted({text for text in texts if len(text) > 200}, key=len)[-120:]
    prose = [
        {"text": text, "id": f"record {n}", "url": f"https://www.example.org/page/{n}"}
        for n, text in enumerate(texts[:80])
    ]
    web = [
        {"text": text, "id": f"web {n}", "url": f"https://news.example.net/{n}", "licence": "MIT" if n % 2 else None}
        for n, text in enumerate(texts[80:])
    ]
    longest = max(web, key=lambda record: len(record["text"]))
    web.append({"text": longest["text"], "id": "exact twin", "url": "https://twin.example.com/exact"})
    web.append({"text": longest["text"].rsplit(" ", 1)[0], "id": "near twin", "url": "https://twin.example.com/near"})
    web.append({"text": texts[3], "id": "web 0", "url": "https://news.example.net/0"})
    for name, records in (("prose", prose), ("web", web)):
        lines_out = [json.dumps(record, ensure_ascii=False) for record in records]
        (folder / "raw" / f"{name}.jsonl").write_text("\n".join(lines_out) + "\n", encoding="utf-8")
    (folder / "recipe.toml").write_text(RECIPE)
    return folder / "recipe.toml"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    """A run with tokens, and the traces that a training leaves: a checkpoint and metrics."""
    folder = tmp_path_factory.mktemp("lineage")
    root = folder / "run"
    run_stages(Run(str(root), load_recipe(write_inputs(folder, sample))))
    from pipeline.order.corpus import open_train
    from pipeline.order.windows import WindowOrder

    tokenizer = open_train(Run.open(root), 32, WindowOrder).data.format.tokenizer
    for step in (20, STEPS_DONE):
        checkpoint = root / f"checkpoints/step-{step:07d}"
        checkpoint.mkdir(parents=True)
        (checkpoint / "state.json").write_text(json.dumps({"format": 1, "step": step, "tokenizer": tokenizer}))
    (root / "metrics").mkdir()
    losses = [6.0, 5.5, 5.0, 9.0, 4.6, 4.5, 4.4, 4.3]
    lines = [{"step": 5 * (n + 1), "tokens": 0, "loss": loss, "skipped_steps": 0} for n, loss in enumerate(losses)]
    (root / "metrics/train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (root / "metrics/samples.jsonl").write_text("a sample of text\n")
    return root


@pytest.fixture(scope="session")
def held_out(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    """A run with half of the documents held out, and training documents kept out because they are near those."""
    folder = tmp_path_factory.mktemp("held-out")
    recipe = write_inputs(folder, sample)
    text = recipe.read_text().replace("validation_share = 0.1", "validation_share = 0.5")
    recipe.write_text(text.replace("exclude_near_validation = false", "exclude_near_validation = true"))
    path = folder / "raw/prose.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    shorter = [{"text": r["text"][: len(r["text"]) * 7 // 10], "id": f"shorter {r['id']}"} for r in records]
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records + shorter))
    run_stages(Run(str(folder / "run"), load_recipe(recipe)))
    return folder / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Run:
    """A copy of the finished run, to be changed."""
    shutil.copytree(finished, tmp_path / "run")
    return Run.open(tmp_path / "run")
