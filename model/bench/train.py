"""``python -m model.bench.train``: training beside a nanoGPT checkout, as rows of figures and ratios.

All train a 4-layer, 256-wide model with a vocabulary of 4,096 on the same tokens, 4,096 per step in a context of 256,
each in processes of its own, in turn.  nanoGPT runs as its README has it for a CPU (float32, no compile, its AdamW,
a twentieth of the steps as warm-up, a cosine to a tenth of the rate), with its schedule run to the end.  Models are
scored on the same validation windows, all of them, by their own code; the times are those of the training steps,
without validation, checkpoints and start.

1. nanoGPT, once for each learning rate, to the end of its schedule.
2. Our best recipe, given a sixth (``--times``) of the time that nanoGPT took.
3. Speed and memory over 30 steps, in rounds, so that all meet the same state of the machine: nanoGPT, transformers'
   GPT2LMHeadModel in a plain loop with fused AdamW (float32 and bfloat16), ours with the same architecture and
   optimizer, ours at its best.  A row is the round of median speed, its ratio the median of the rounds' ratios.

``--steps 0`` leaves 1 and 2 out.  Of ``tokenmill bench train`` these variables are the options: ``TOKENMILL_NANOGPT``
(without a checkout only our own figures appear), ``TOKENMILL_BENCH_RUN``, ``TOKENMILL_BENCH_TEXT`` (default: the
sample), ``TOKENMILL_BENCH_STEPS``, ``TOKENMILL_BENCH_RATES``, ``TOKENMILL_BENCH_TIMES``.
"""

import argparse
import gzip
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from model.training.metrics import read_lines
from pipeline.base.console import say
from pipeline.base.digests import digest
from pipeline.base.errors import UserError, parse_json
from pipeline.bench.program import measured
from pipeline.run import layout
from pipeline.run.manifest import digest_file
from pipeline.tokens.shards.exchange import export_nanogpt
from pipeline.tokens.shards.token_shard import TokenFormat, common_format, open_folder, write_token_shard

VOCABULARY, CONTEXT, BATCH = 4096, 256, 16
VALIDATION_DOCUMENTS = 50  # of a thousand
RECIPE = """
name = "bench"
sources = [{ name = "text", paths = ["unused"] }]
tokenize.vocabulary_size = 4096
model = { layers = 4, heads = 4, width = 256, context_length = 256 }
[train]
global_batch_tokens = 4096
micro_batch_sequences = 8
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
SPEED_STEPS, ROUNDS = 30, 3
VARIABLES = ("run", "text", "steps", "rates", "times")
PROGRAMS = Path(__file__).parent / "programs"


def read_texts(files: list[Path]) -> Iterator[str]:
    """Texts of JSONL files (``text`` or ``extract``), gzipped or not."""
    for path in files:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("{"):
                    record = parse_json(line)
                    yield str(record.get("text") or record.get("extract") or "")


def prepare(files: list[Path], folder: Path) -> Path:
    """Tokens of the texts as a run folder; returns it."""
    root = folder / "run"
    for path in (root / layout.TOKENIZER_FOLDER, root / layout.TRAIN_TOKENS, root / layout.VALIDATION_TOKENS):
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
    path = root / layout.TOKENIZER
    tokenizer.save(str(path))
    token_format = TokenFormat(digest_file(path), VOCABULARY, 0)
    documents: dict[str, list[tuple[bytes, list[int]]]] = {"train": [], "validation": []}
    for text, encoded in zip(texts, tokenizer.encode_batch(texts), strict=True):
        doc_id = digest(text)
        split = "validation" if int.from_bytes(doc_id[:4]) % 1000 < VALIDATION_DOCUMENTS else "train"
        documents[split].append((doc_id, [*encoded.ids, 0]))
    for split, rows in documents.items():
        write_token_shard(root / layout.tokens(split, "00000"), token_format, "text", rows)
    return root


def flatten(root: Path, folder: Path) -> None:
    """The same tokens as nanoGPT's flat files below ``folder``.

    Raises:
        UserError: If the run's vocabulary is not that of the benchmark.
    """
    flat = folder / "data" / "bench"
    flat.mkdir(parents=True)
    for split, name in (("train", "train"), ("validation", "val")):
        counts = export_nanogpt(root / layout.tokens_folder(split), flat / f"{name}.bin")
        say(f"{split}: {counts['tokens']:,} tokens, {counts['documents']:,} documents")
    if (found := common_format(open_folder(root / layout.TRAIN_TOKENS)).vocabulary_size) != VOCABULARY:
        raise UserError(f"{root}: a vocabulary of {found:,}; the benchmark's model has {VOCABULARY:,}")
    write_vocabulary_size(flat, VOCABULARY)


def write_vocabulary_size(folder: Path, size: int) -> None:
    """Tells nanoGPT how large the vocabulary of its flat files is."""
    import pickle  # its own format

    (folder / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": size}))


def run_transformers(folder: Path, dtype: str) -> dict[str, Any]:
    """Speed and memory of transformers' GPT2LMHeadModel in a plain training loop."""
    program = str(PROGRAMS / "transformers_loop.py")
    said, memory, wall = measured_process([sys.executable, program, str(SPEED_STEPS), dtype], folder)
    found = parse_json(said.splitlines()[-1])
    name = f"transformers GPT2LMHeadModel, fused AdamW, {dtype}"
    return _row(name, found["parameters"], SPEED_STEPS, found["times"], None, memory, wall)


def run_nanogpt(checkout: Path, folder: Path, steps: int, learning_rate: float) -> dict[str, Any]:
    """Trains with a nanoGPT checkout; seconds of its steps, its loss on all validation windows, its peak memory."""
    row = train_nanogpt(checkout, folder, steps, learning_rate)
    shutil.copy(PROGRAMS / "score_nanogpt.py", folder)  # its folder comes first where Python looks for model.py
    scored, _, _ = measured_process([sys.executable, "score_nanogpt.py"], folder)
    score = parse_json(scored.splitlines()[-1])
    return {**row, "parameters": score["parameters"], "validation_loss": round(score["loss"], 4)}


def train_nanogpt(checkout: Path, folder: Path, steps: int, learning_rate: float) -> dict[str, Any]:
    """Trains with a nanoGPT checkout; seconds of its steps and its peak memory."""
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
    times, memory, wall = run_nanogpt_program(checkout, folder, options)
    times = times[1:-1]  # the first and the last step's time hold an evaluation
    name = f"nanoGPT, AdamW {learning_rate:g}, warm-up {options['warmup_iters']} steps"
    return _row(name, None, steps, times, None, memory, wall)


def run_nanogpt_program(checkout: Path, folder: Path, options: dict[str, Any]) -> tuple[list[float], float, float]:
    """Seconds of each step, peak memory (MB) and seconds of nanoGPT's train.py, copied to where its data lie."""
    for name in ("train.py", "model.py", "configurator.py"):
        shutil.copy(checkout / name, folder / name)
    command = [sys.executable, "train.py", *(f"--{name}={value}" for name, value in options.items())]
    said, memory, wall = measured_process(command, folder)
    return [float(value) / 1000 for value in re.findall(r"time ([\d.]+)ms", said)], memory, wall


def _row(
    name: str, parameters: int | None, steps: int, times: list[float], loss: float | None, memory: float, wall: float
) -> dict[str, Any]:
    return {
        "what": name,
        "parameters": parameters,
        "steps": steps,
        "train_seconds": round(float(np.mean(times)) * steps, 1),
        "process_seconds": round(wall, 1),
        "tokens_per_second": round(BATCH * CONTEXT / float(np.median(times))),
        "validation_loss": loss if loss is None else round(loss, 4),
        "peak_megabytes": round(memory),
    }


def run_ours(root: Path, name: str, steps: int, overrides: list[str]) -> dict[str, Any]:
    """Trains a copy of the run folder with our own trainer."""
    copy = root.parent / f"run-{len(list(root.parent.iterdir()))}"
    shutil.copytree(root, copy)
    recipe = copy.with_suffix(".toml")
    recipe.write_text(RECIPE, encoding="utf-8")
    options = [f"--set={item}" for item in (f"train.steps={steps}", *overrides)]
    command = [sys.executable, "-m", "model.train", "--recipe", str(recipe), "--root", str(copy), "--json", *options]
    said, memory, wall = measured_process(command, copy)
    result = parse_json(said.splitlines()[-1])
    lines = [line for line in read_lines(str(copy)) if "loss" in line]
    times = [BATCH * CONTEXT / line["tokens_per_second"] for line in lines]
    row = _row(name, result["parameters"], steps, times, result["validation_loss"], memory, wall)
    loader = sum(line["loader_seconds"] for line in lines[1:]) / max(1e-9, sum(times[1:]) * 5)
    return {**row, "loader_share": round(loader, 5), "bits_per_byte": result["bits_per_byte"]}


def measured_process(command: list[str], folder: Path) -> tuple[str, float, float]:
    """Standard output, peak memory (MB) and seconds of a process.

    Raises:
        UserError: If it fails.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        used = measured(command, cwd=folder, env=environment, stdout=said)
        seconds = time.perf_counter() - started
        if used.exit_code:
            raise UserError(f"{' '.join(command[:4])} … failed with exit code {used.exit_code}")
        said.seek(0)
        return said.read(), used.peak_bytes / 1e6, seconds


def compare(root: Path | None, files: list[Path], options: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows, each shown as soon as it is there."""
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as name:
        folder = Path(name)
        copied = folder / "run"
        if root is None:
            prepare(files, folder)
        else:
            for part in (layout.TOKENIZER_FOLDER, layout.TOKENS):
                shutil.copytree(root / part, copied / part)
        peer = folder / "nanogpt"
        flatten(copied, peer)
        best = [*BEST, *(options.best.split() if options.best else [])]
        rows = whole_runs(copied, peer, best, options) if options.steps else []
        return rows + speed_rows(copied, peer, best, options.nanogpt)


def whole_runs(root: Path, peer: Path, best: list[str], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Runs nanoGPT to the end of its schedule at every rate, and ours in a part of the first one's time."""
    rates = options.rates.split(",") if options.nanogpt else []
    rows = [shown(run_nanogpt(options.nanogpt, peer, options.steps, float(rate))) for rate in rates]
    probe = run_ours(root, "ours, qwen3, Muon, WSD, bfloat16: speed", SPEED_STEPS, best)
    whole = rows[0]["train_seconds"] if rows else options.steps * probe["train_seconds"] / SPEED_STEPS
    for times in map(float, options.times.split(",")):
        steps = max(20, int(whole / times * SPEED_STEPS / probe["train_seconds"]))
        rows.append(shown(run_ours(root, f"ours, qwen3, Muon, WSD, bfloat16, 1/{times:g} of the time", steps, best)))
    return [*rows[:1], *(_compared(row, rows[0]) for row in rows[1:])] if rates else rows


def speed_rows(root: Path, peer: Path, best: list[str], nanogpt: Path | None) -> list[dict[str, Any]]:
    """Speed and memory of all, each in every round; the first is the reference of the ratios."""
    short = f"train.max_validation_tokens={BATCH * CONTEXT}"
    who: list[Callable[[], dict[str, Any]]] = []
    if nanogpt:
        who.append(lambda: train_nanogpt(nanogpt, peer, SPEED_STEPS, 1e-3))
    who += [
        lambda: run_transformers(peer, "float32"),
        lambda: run_transformers(peer, "bfloat16"),
        lambda: run_ours(root, "ours, gpt2, fused AdamW, bfloat16", SPEED_STEPS, [*SAME_ARCHITECTURE, short]),
        lambda: run_ours(root, "ours, qwen3, Muon, WSD, bfloat16", SPEED_STEPS, [*best, short]),
    ]
    rounds = [[shown(run()) for run in who] for _ in range(ROUNDS)]
    return [_median_row(rows, [each[0] for each in rounds]) for rows in zip(*rounds, strict=True)]


def _median_row(rows: tuple[dict[str, Any], ...], references: list[dict[str, Any]]) -> dict[str, Any]:
    """The row of median speed, with the median of the ratios to the reference of the same round."""
    row = sorted(rows, key=lambda row: row["tokens_per_second"])[len(rows) // 2]
    pairs = list(zip(rows, references, strict=True))
    ratios = {
        f"{name}_ratio": round(statistics.median(row[figure] / reference[figure] for row, reference in pairs), 2)
        for name, figure in (("tokens_per_second", "tokens_per_second"), ("memory", "peak_megabytes"))
    }
    # so short a run's loss says nothing
    return {**row, "validation_loss": None, "rounds": len(rows), **ratios}


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """The row, once a person has seen it."""
    say(json.dumps(row))
    return row


def _compared(row: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    """The row with its ratios to the first of nanoGPT."""
    loss = row["validation_loss"]
    return {
        **row,
        "tokens_per_second_ratio": round(row["tokens_per_second"] / reference["tokens_per_second"], 2),
        "memory_ratio": round(row["peak_megabytes"] / reference["peak_megabytes"], 2),
        "train_seconds_ratio": round(reference["train_seconds"] / row["train_seconds"], 2),
        "reaches_reference_loss": None if loss is None else loss <= reference["validation_loss"],
    }


def run() -> list[dict[str, Any]]:
    """The rows of ``tokenmill bench train``."""
    variables = {"nanogpt": "NANOGPT", **{name: f"BENCH_{name.upper()}" for name in VARIABLES}}
    given = {option: os.environ.get(f"TOKENMILL_{variable}") for option, variable in variables.items()}
    return _rows([f"--{option}={value}" for option, value in given.items() if value])


def _rows(arguments: list[str] | None) -> list[dict[str, Any]]:
    parser = argparse.ArgumentParser(prog="python -m model.bench.train", description=__doc__)
    parser.add_argument("--nanogpt", type=Path, help="a nanoGPT checkout")
    parser.add_argument("--run", type=Path, help="a run folder with tokens of a vocabulary of 4,096")
    parser.add_argument("--text", help="or JSONL files with a text field, separated by commas")
    parser.add_argument("--steps", type=int, default=600, help="nanoGPT's steps; 0: speed and memory only")
    parser.add_argument("--rates", default="1e-3", help="nanoGPT's learning rates, separated by commas")
    parser.add_argument("--times", default="6", help="parts of nanoGPT's time that our best recipe gets: 6 is a sixth")
    parser.add_argument("--best", help="KEY=VALUE that change our best recipe, separated by spaces")
    options = parser.parse_args(arguments)
    sample = Path(__file__).resolve().parents[2] / "data/sample/wikipedia-leads.jsonl.gz"
    files = [Path(part) for part in options.text.split(",")] if options.text else [sample]
    return compare(options.run, files, options)


def main() -> None:
    """Prints one JSON object with the rows."""
    sys.stdout.write(json.dumps({"rows": _rows(None)}) + "\n")


if __name__ == "__main__":
    main()
