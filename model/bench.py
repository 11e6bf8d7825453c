"""``python -m model.bench``: training beside a nanoGPT checkout, as rows of figures and ratios.

Both train a 4-layer, 256-wide model with a vocabulary of 4,096 on the same tokens, 4,096 a step in a context of 256,
each in processes of its own, in turn.  nanoGPT runs as its README has it for a CPU (float32, no compile, its AdamW),
with its schedule run to the end.  Both are scored on the same validation windows, all of them, by their own model code;
the times are those of the training steps, without validation, checkpoints and start.
"""

import argparse
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from model.metrics import read_lines
from pipeline.console import say
from pipeline.errors import UserError
from pipeline.manifest import digest_file
from pipeline.tokens.shards import TokenFormat, write_token_shard

VOCABULARY, CONTEXT, BATCH = 4096, 256, 16
VALIDATION_DOCUMENTS = 50  # of a thousand
RECIPE = """
name = "bench"
sources = [{ name = "text", paths = ["unused"] }]
tokenize.vocabulary_size = 4096
model = { layers = 4, heads = 4, width = 256, context_length = 256 }
[train]
global_batch_tokens = 4096
micro_batch_sequences = 16
log_every_steps = 5
checkpoint_every_steps = 0
"""
SAME_ARCHITECTURE = ["train.optimizer=adamw", "train.learning_rate=1e-3", "train.beta2=0.99"]
BEST = [
    "model.architecture=qwen3",
    "train.optimizer=muon",
    "train.learning_rate=5e-3",
    "train.muon_learning_rate=0.02",
    "train.schedule=wsd",
    "train.decay_share=0.6",
    "train.final_learning_rate_ratio=0.0",
    "train.warmup_steps=5",
    "train.weight_decay=0.05",
]
SCORER = """
import json, sys
import numpy as np, torch
from model import GPT, GPTConfig
saved = torch.load("out/ckpt.pt", map_location="cpu", weights_only=False)
model = GPT(GPTConfig(**saved["model_args"]))
model.load_state_dict(saved["model"])
tokens = torch.from_numpy(np.fromfile("data/bench/val.bin", dtype=np.uint16).astype(np.int64))
total, count = 0.0, 0
with torch.no_grad():
    for first in range(0, (len(tokens) - 1) // 256, 16):
        rows = range(first, min(first + 16, (len(tokens) - 1) // 256))
        x = torch.stack([tokens[r * 256 : r * 256 + 256] for r in rows])
        y = torch.stack([tokens[r * 256 + 1 : r * 256 + 257] for r in rows])
        total += float(model(x, y)[1]) * y.numel()
        count += y.numel()
print(json.dumps({"loss": total / count, "parameters": sum(p.numel() for p in model.parameters())}))
"""


def read_texts(files: list[Path]) -> Iterator[str]:
    """Texts of JSONL files (``text`` or ``extract``), gzipped or not."""
    for path in files:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("{"):
                    record = json.loads(line)
                    yield str(record.get("text") or record.get("extract") or "")


def prepare(files: list[Path], folder: Path) -> Path:
    """Tokens of the texts as a run folder, and as nanoGPT's flat files; returns the run folder."""
    root, flat = folder / "run", folder / "nanogpt" / "data" / "bench"
    for path in (root / "tokenizer", root / "tokens/train", root / "tokens/validation", flat):
        path.mkdir(parents=True)
    texts = [text for text in read_texts(files) if text]
    if not texts:
        raise UserError(f"no text in {', '.join(map(str, files))}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    path = root / "tokenizer/tokenizer.json"
    tokenizer.save(str(path))
    token_format = TokenFormat(digest_file(path), VOCABULARY, 0)
    documents: dict[str, list[tuple[bytes, list[int]]]] = {"train": [], "validation": []}
    for text, encoded in zip(texts, tokenizer.encode_batch(texts), strict=True):
        doc_id = hashlib.blake2b(text.encode(), digest_size=16).digest()
        split = "validation" if int.from_bytes(doc_id[:4]) % 1000 < VALIDATION_DOCUMENTS else "train"
        documents[split].append((doc_id, [*encoded.ids, 0]))
    for split, name in (("train", "train"), ("validation", "val")):
        write_token_shard(root / "tokens" / split / "00000.arrow", token_format, "text", documents[split])
        np.array([i for _, ids in documents[split] for i in ids], np.uint16).tofile(flat / f"{name}.bin")
    import pickle  # nanoGPT's own format for the size of a vocabulary

    (flat / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": VOCABULARY}))
    say("tokens: " + ", ".join(f"{split} {sum(len(ids) for _, ids in d):,}" for split, d in documents.items()))
    return root


def run_nanogpt(checkout: Path, folder: Path, steps: int, learning_rate: float) -> dict[str, Any]:
    """Trains with a nanoGPT checkout; seconds of its steps, its loss on all validation windows, its peak memory."""
    for name in ("train.py", "model.py", "configurator.py"):
        shutil.copy(checkout / name, folder / name)
    (folder / "score.py").write_text(SCORER)
    options = {
        "dataset": "bench",
        "device": "cpu",
        "compile": False,
        "dropout": 0.0,
        "n_layer": 4,
        "n_head": 4,
        "n_embd": 256,
        "block_size": CONTEXT,
        "batch_size": BATCH,
        "gradient_accumulation_steps": 1,
        "max_iters": steps,
        "lr_decay_iters": steps,
        "learning_rate": learning_rate,
        "min_lr": learning_rate / 10,
        "beta2": 0.99,
        "warmup_iters": max(1, min(100, steps // 20)),
        "eval_interval": steps,
        "eval_iters": 1,
        "log_interval": 1,
    }
    command = [sys.executable, "train.py", *(f"--{name}={value}" for name, value in options.items())]
    said, memory = _run(command, folder)
    times = [float(value) / 1000 for value in re.findall(r"time ([\d.]+)ms", said)]
    times = times[1:-1]  # the first and the last step's time hold an evaluation
    scored, _ = _run([sys.executable, "score.py"], folder)
    score = json.loads(scored.splitlines()[-1])
    return _row(f"nanoGPT, AdamW {learning_rate:g}", score["parameters"], steps, times, score["loss"], memory)


def _row(
    name: str, parameters: int, steps: int, step_seconds: list[float], loss: float, memory: float
) -> dict[str, Any]:
    median = float(np.median(step_seconds))
    return {
        "what": name,
        "parameters": parameters,
        "steps": steps,
        "train_seconds": round(float(np.mean(step_seconds)) * steps, 1),
        "tokens_per_second": round(BATCH * CONTEXT / median),
        "validation_loss": round(loss, 4),
        "peak_megabytes": round(memory),
    }


def run_ours(root: Path, name: str, steps: int, overrides: list[str]) -> dict[str, Any]:
    """Trains a copy of the run folder with our own trainer."""
    copy = root.parent / f"run-{len(list(root.parent.iterdir()))}"
    shutil.copytree(root, copy)
    recipe = copy.with_suffix(".toml")
    recipe.write_text(RECIPE)
    options = [f"--set={item}" for item in (f"train.steps={steps}", *overrides)]
    command = [sys.executable, "-m", "model.train", "--recipe", str(recipe), "--root", str(copy), "--json", *options]
    said, memory = _run(command, copy)
    result = json.loads(said.splitlines()[-1])
    lines = [line for line in read_lines(str(copy)) if "loss" in line]
    times = [BATCH * CONTEXT / line["tokens_per_second"] for line in lines]
    row = _row(name, result["parameters"], steps, times, result["validation_loss"], memory)
    loader = sum(line["loader_seconds"] for line in lines[1:]) / max(1e-9, sum(times[1:]) * 5)
    return {**row, "loader_share": round(loader, 5), "bits_per_byte": result["bits_per_byte"]}


def _run(command: list[str], folder: Path) -> tuple[str, float]:
    """Standard output and peak memory (MB) of a process.

    Raises:
        UserError: If it fails.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # it is a pipe
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise UserError(f"{' '.join(command[:4])} … failed with exit code {process.returncode}")
    return said, usage.ru_maxrss / 1024


def compare(
    files: list[Path], nanogpt: Path | None, steps: int, rates: list[float], share: float
) -> list[dict[str, Any]]:
    """All rows; ``share`` is the part of nanoGPT's steps that the best recipe gets."""
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as name:
        folder = Path(name)
        root = prepare(files, folder)
        rows = [run_nanogpt(nanogpt, folder / "nanogpt", steps, rate) for rate in rates] if nanogpt else []
        few = max(20, steps // 10)
        rows.append(
            run_ours(root, f"gpt2, fused AdamW, bfloat16 ({few} steps: speed and memory)", few, SAME_ARCHITECTURE)
        )
        rows.append(run_ours(root, "qwen3, Muon, WSD, bfloat16", max(20, round(steps * share)), BEST))
    for row in rows:
        say(json.dumps(row))
    if nanogpt:
        reference = rows[0]
        for row in rows[1:]:
            row["tokens_per_second_ratio"] = round(row["tokens_per_second"] / reference["tokens_per_second"], 2)
            row["memory_ratio"] = round(row["peak_megabytes"] / reference["peak_megabytes"], 2)
            row["train_seconds_ratio"] = round(reference["train_seconds"] / row["train_seconds"], 2)
            row["reaches_reference_loss"] = row["validation_loss"] <= reference["validation_loss"]
    return rows


def main() -> None:
    """Prints one JSON object with the rows."""
    parser = argparse.ArgumentParser(prog="python -m model.bench", description=__doc__)
    parser.add_argument("--nanogpt", type=Path, help="a nanoGPT checkout")
    parser.add_argument("--text", help="JSONL files with a text field, separated by commas")
    parser.add_argument("--steps", type=int, default=600, help="nanoGPT's steps")
    parser.add_argument("--share", type=float, default=0.3, help="our best recipe's steps, as a share of nanoGPT's")
    parser.add_argument("--rates", default="1e-3", help="nanoGPT's learning rates, separated by commas")
    options = parser.parse_args()
    sample = Path(__file__).resolve().parent.parent / "data/sample/wikipedia-leads.jsonl.gz"
    files = [Path(part) for part in options.text.split(",")] if options.text else [sample]
    rates = [float(rate) for rate in options.rates.split(",")]
    rows = compare(files, options.nanogpt, options.steps, rates, options.share)
    sys.stdout.write(json.dumps({"rows": rows}) + "\n")


if __name__ == "__main__":
    main()
