"""Two nights of the schedule example on the two halves of data/sample's article leads, as its deployment runs them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.run.folder import Run
from pipeline.run.manifest import load_manifest, load_manifests, total_counts

pytestmark = [
    pytest.mark.slow,
    pytest.mark.flow,
    pytest.mark.xdist_group("prefect"),
    pytest.mark.timeout(1200),
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
AGAIN = 300  # records of the first night that the second crawl brings again
NIGHTS = ("2026-01-30", "2026-01-31")
RECIPE = """
name = "nightly"

[[sources]]
name = "crawl"
paths = ["crawl/first/*.jsonl.gz"]
fields = { text = "extract", id = "title" }
licence = "CC-BY-SA-4.0"

[filter]
languages = ["fr", "es", "en"]
rules = ["gopher_repetition"]

[tokenize]
vocabulary_size = 512
validation_share = 0.05

[model]
layers = 2
heads = 2
width = 32
context_length = 64

[train]
steps = 60
global_batch_tokens = 2048
micro_batch_sequences = 32
optimizer = "muon"
learning_rate = 2e-3
"""


def write_nights(folder: Path, sample: Path) -> tuple[Path, list[dict[str, Any]]]:
    """A recipe, and a crawl for each night: a half of the records, the second with some of the first again."""
    with gzip.open(sample / "wikipedia-leads.jsonl.gz", "rt", encoding="utf-8") as lines:
        records = lines.readlines()
    half = len(records) // 2
    for day, taken in zip(NIGHTS, (records[:half], records[half:] + records[:AGAIN]), strict=True):
        (folder / "crawl" / day).mkdir(parents=True)
        with gzip.open(folder / "crawl" / day / "part.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(taken)
    recipe = folder / "nightly.toml"
    recipe.write_text(RECIPE)
    return recipe, [json.loads(line) for line in records[:AGAIN]]


def losses(run: Run) -> list[float]:
    lines = [json.loads(line) for line in (Path(run.root) / "metrics/train.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def test_second_night_drops_what_the_first_kept_and_its_training_goes_on(tmp_path: Path, sample: Path) -> None:
    from flows.nightly import nightly

    recipe, _ = write_nights(tmp_path, sample)
    crawl = [f'sources.0.paths=["{tmp_path}/crawl/{{day}}/*.jsonl.gz"]']
    for day in NIGHTS:
        nightly(str(recipe), str(tmp_path / "runs"), day, crawl, workers=2)
    first, second = (Run.open(tmp_path / "runs" / day) for day in NIGHTS)

    earlier = total_counts(load_manifests(second.root, "dedup.clusters").values())["removed_earlier"]
    assert earlier >= 0.9 * AGAIN, "but for those that the first night dropped itself"
    assert second.recipe.dedup.against == second.recipe.train.runs == [first.root]
    tokenizers = [(Path(run.root) / "tokenizer/tokenizer.json").read_bytes() for run in (first, second)]
    assert tokenizers[0] == tokenizers[1]

    made = load_manifest(second.root, "train", "all")
    assert made is not None
    assert len(made.counts["trained_on"]) == 2, "the crawls of both nights"
    assert made.config["init"], "it began with the export of the first night's checkpoint"
    begun, gone_on = losses(first), losses(second)
    assert gone_on[0] < begun[0] - 0.3, "its first steps stand near where the first night's training ended"
    assert gone_on[-1] < begun[-1]
    bits = [load_manifest(run.root, "train", "all").counts["bits_per_byte"] for run in (first, second)]  # type: ignore[union-attr]
    assert bits[1] < bits[0]

    # the same night again: nothing to do, and nothing is made anew
    before = {path: path.stat().st_mtime_ns for path in Path(second.root).rglob("*.safetensors")}
    nightly(str(recipe), str(tmp_path / "runs"), NIGHTS[1], crawl, workers=2)
    assert {path: path.stat().st_mtime_ns for path in Path(second.root).rglob("*.safetensors")} == before
