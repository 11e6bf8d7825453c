"""``python -m model.bench.loader``: the loader beside nanoGPT's way of reading, and what the demo model consumes.

1. Speed: batches of the demo's shape from token shards (``TokenDataset.batch``), from the same tokens in a flat file as
   nanoGPT reads them (mapped anew for each batch, random crops, collated with torch), and training steps of the demo
   model.  The loaders run on one thread, training on all; each is timed in turn, several times, and the best counts.
2. Memory: windows of a token set of 10 GB (sparse files) in random order, and the anonymous memory that the process
   has then: what is its own, and cannot be dropped as the pages of a mapped file can.
"""

import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.data.batches import TokenDataset
from model.network.config import ModelConfig
from model.network.transformer import Transformer
from model.updates.optimizers import Optimizers
from pipeline.base.digests import digest
from pipeline.base.errors import RunError, parse_json
from pipeline.base.processes import environment
from pipeline.bench.token_runs import write_tokens
from pipeline.recipe.load import load_recipe
from pipeline.run import layout
from pipeline.tokens.shards.token_shard import TokenFormat, write_token_shard

DEMO = Path(__file__).resolve().parents[2] / "configs" / "demo.toml"
TOKENS, VOCABULARY, SHARDS = 40_000_000, 4096, 4
LARGE_DOCUMENTS, LARGE_SHARDS = 5_000_000, 40  # of 1,000 tokens of two bytes each: 10 GB
LARGE_WINDOWS, LARGE_CONTEXT = 20_000, 2_048
REPEATS = 5


def run() -> list[dict[str, Any]]:
    """The rows of ``tokenmill bench loader``, made in a process of its own: its memory is what is measured.

    Raises:
        RunError: If it fails; what it said stands on standard error.
    """
    command = [sys.executable, "-m", "model.bench.loader"]
    finished = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, text=True, check=False)
    if finished.returncode:
        raise RunError(f"the loader benchmark failed with exit code {finished.returncode}")
    rows: list[dict[str, Any]] = parse_json(finished.stdout)["rows"]
    return rows


def main() -> None:
    """Prints the rows as JSON."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="tokenmill-loader-") as name:
        rows = [memory_row(Path(name) / "large")]
        rows += speed_rows(Path(name) / "small", threads)
    json.dump({"rows": rows}, sys.stdout)


# --- memory


def memory_row(folder: Path) -> dict[str, Any]:
    """Reads windows in random order from 10 GB; sizes and memory."""
    ids = np.random.default_rng(1).integers(0, 256, (LARGE_DOCUMENTS, 16), np.uint8)
    for number, part in enumerate(np.array_split(ids, LARGE_SHARDS)):
        write_tokens(folder / layout.tokens("train", f"{number:05d}"), part)
    del ids, part
    gc.collect()
    before = _memory("RssAnon")
    started = time.perf_counter()
    dataset = TokenDataset(folder / layout.TRAIN_TOKENS, LARGE_CONTEXT, seed=1)
    opened = time.perf_counter()
    windows = np.random.default_rng(2).integers(0, len(dataset), LARGE_WINDOWS).tolist()
    total = sum(int(dataset.window(i)[0]) for i in windows[: LARGE_WINDOWS // 2])
    for first in windows[LARGE_WINDOWS // 2 :: 32]:
        dataset.sequences(min(first, len(dataset) - 32), 32)
    assert total == 0, "the set is made of zeros"
    return {
        "name": "random access over a large token set",
        "bytes": sum(path.stat().st_size for path in folder.rglob("*.arrow")),
        "windows": LARGE_WINDOWS,
        "open_seconds": round(opened - started, 3),
        "read_seconds": round(time.perf_counter() - opened, 3),
        "private_bytes_before": before,
        "private_bytes": _memory("RssAnon"),
        "mapped_bytes": _memory("RssFile"),
    }


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


# --- speed


def speed_rows(folder: Path, threads: int) -> list[dict[str, Any]]:
    """Tokens per second of both loaders and of the demo model."""
    tokens = write_corpus(folder)
    tokens.tofile(folder / "train.bin")
    recipe = load_recipe(DEMO)
    length = recipe.model.context_length
    sequences = recipe.train.global_batch_tokens // length
    dataset = TokenDataset(folder / layout.TRAIN_TOKENS, length, seed=1)
    sides: dict[str, Callable[[int], Any]] = {
        "TokenDataset.batch": lambda step: dataset.batch(step, sequences),
        "TokenDataset.masked_batch": lambda step: dataset.masked_batch(step, sequences),
        "nanoGPT: memmap, random crops, torch collation": lambda _: crops(folder / "train.bin", sequences, length),
    }
    rates = dict.fromkeys(sides, 0.0)
    for _ in range(REPEATS):
        for name, read in sides.items():
            rates[name] = max(rates[name], sequences * length / _seconds(read, 400))
    torch.set_num_threads(threads)
    step = demo_step(dataset, sequences)
    rates["demo model, training"] = max(sequences * length / _seconds(step, 4) for _ in range(REPEATS))
    ours = rates["TokenDataset.batch"]
    return [
        {
            "name": name,
            "sequences": sequences,
            "context_length": length,
            "tokens_per_second": round(rate),
            "ours_over_this": round(ours / rate, 2),
        }
        for name, rate in rates.items()
    ]


def _seconds(work: Callable[[int], Any], count: int) -> float:
    """Seconds of one call, the mean of ``count`` after some that are not timed."""
    for number in range(max(1, count // 10)):
        work(number)
    started = time.perf_counter()
    for number in range(count):
        work(number)
    return (time.perf_counter() - started) / count


def write_corpus(folder: Path) -> NDArray[np.uint16]:
    """Token shards of documents of a few to some thousand random tokens; returns the tokens in their order."""
    rng = np.random.default_rng(1)
    lengths = rng.lognormal(6, 1, TOKENS // 600).astype(int) + 2
    tokens = rng.integers(1, VOCABULARY, int(lengths.sum())).astype(np.uint16)
    ends = np.cumsum(lengths)
    tokens[ends - 1] = 0
    (folder / layout.TRAIN_TOKENS).mkdir(parents=True)
    for shard, rows in enumerate(np.array_split(np.arange(len(lengths)), SHARDS)):
        documents = [(digest(str(row)), tokens[ends[row] - lengths[row] : ends[row]]) for row in rows.tolist()]
        path = folder / layout.tokens("train", f"{shard:05d}")
        write_token_shard(path, TokenFormat("0" * 32, VOCABULARY, 0), "bench", documents)
    return tokens


def crops(path: Path, sequences: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch as nanoGPT makes it: random places of a flat file, mapped for this batch alone."""
    data = np.memmap(path, np.uint16, "r")
    places = torch.randint(len(data) - length, (sequences,)).tolist()
    inputs = [torch.from_numpy(data[place : place + length].astype(np.int64)) for place in places]
    targets = [torch.from_numpy(data[place + 1 : place + 1 + length].astype(np.int64)) for place in places]
    return torch.stack(inputs), torch.stack(targets)


def demo_step(dataset: TokenDataset, sequences: int) -> Callable[[int], None]:
    """A function that trains the demo model for one step: forward, backward, update."""
    recipe = load_recipe(DEMO)
    model = Transformer(ModelConfig.from_recipe(recipe.model, VOCABULARY), seed=1)
    optimizers = Optimizers(model, recipe.train)
    micro = recipe.train.micro_batch_sequences

    def step(number: int) -> None:
        inputs, targets = dataset.batch(number, sequences)
        for first in range(0, sequences, micro):
            part = slice(first, first + micro)
            torch.autograd.backward(model.loss(inputs[part], targets[part]).total)
        optimizers.step(0.1)
        optimizers.zero_grad()

    return step


if __name__ == "__main__":
    main()
