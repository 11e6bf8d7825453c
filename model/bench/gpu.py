"""``tokenmill bench gpu``: tokens per second, share of the peak and memory of a training step on GPUs, beside peers.

All train GPT-2's 124 million weights (12 layers, 768 wide, context 1,024, vocabulary 50,304) on the same random tokens,
since speed does not depend on what they say: 12 sequences at a time, five times per step and GPU, as nanoGPT's
configuration for one GPU has it.  Each runs in processes of its own, in turn.

1. nanoGPT from a checkout (``TOKENMILL_NANOGPT``), as its README has it for a GPU: bfloat16, compiled.
2. Ours: the same architecture and optimizer, without the compiler, with CUDA graphs, activations made again, Qwen3's
   architecture with Muon; and with several GPUs ``ddp`` and ``fsdp`` over all of them (``TOKENMILL_BENCH_GPUS`` says
   how many).
3. A training of torchtitan that somebody ran, from its log (``TOKENMILL_TORCHTITAN_LOG``): its configurations load
   models and data from a hub, and nothing here downloads.

Beside each figure of ours stands what ``tokenmill plan`` expects of the device.  ``TOKENMILL_BENCH_STEPS`` is 40.
Memory is what ``nvidia-smi`` says of the fullest device, less what was there before.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from model.bench.train import measured_process, run_nanogpt_program, shown, write_vocabulary_size
from model.devices.hardware import Device, known_device
from model.network.config import ModelConfig
from model.plan.flops import flops_per_token
from model.plan.memory import memory
from model.plan.plan import ASSUMED_MFU
from model.training.metrics import read_lines
from pipeline.base.errors import RunError, UserError
from pipeline.recipe.load import load_recipe
from pipeline.run import layout
from pipeline.run.manifest import digest_file
from pipeline.tokens.shards.token_shard import TokenFormat, write_token_shard

STEPS, UNTIMED_STEPS = 40, 10  # the first ones compile, and let the clock of the device settle
MICRO_BATCHES = 5  # per step and GPU
LOOK_SECONDS = 0.2
ARCHITECTURES: dict[str, tuple[str, ...]] = {
    "gpt2, AdamW": (),
    "gpt2, AdamW, not compiled": ("train.compile=off",),
    "gpt2, AdamW, CUDA graphs": ("train.compile=graphs",),
    "gpt2, AdamW, activation_checkpointing selective": ("train.activation_checkpointing=selective",),
    "qwen3, Muon": ("model.architecture=qwen3", "train.optimizer=muon"),
}
SEVERAL = {
    "gpt2, AdamW, ddp": ("train.parallel=ddp",),
    "qwen3, Muon, fsdp": ("model.architecture=qwen3", "train.optimizer=muon", "train.parallel=fsdp"),
}


@dataclass(frozen=True)
class Shape:
    """What is trained.

    Attributes:
        sequences: Of a micro-batch.
    """

    layers: int = 12
    heads: int = 12
    width: int = 768
    context: int = 1024
    vocabulary: int = 50_304
    sequences: int = 12

    def step_tokens(self, devices: int) -> int:
        """Tokens of one step."""
        return self.sequences * self.context * MICRO_BATCHES * devices

    def recipe(self, steps: int, devices: int) -> str:
        """A recipe that trains it."""
        return f"""
name = "bench-gpu"
sources = [{{ name = "random", paths = ["unused"] }}]
tokenize.vocabulary_size = {self.vocabulary}
[model]
layers = {self.layers}
heads = {self.heads}
width = {self.width}
context_length = {self.context}
[train]
steps = {steps}
warmup_steps = 5
global_batch_tokens = {self.step_tokens(devices)}
micro_batch_sequences = {self.sequences}
log_every_steps = 1
checkpoint_every_steps = 0
max_validation_tokens = {self.context}
"""


def write_random_tokens(root: Path, shape: Shape, count: int) -> None:
    """A run folder of random tokens, and the same as nanoGPT's flat files below ``root/flat``."""
    for path in (root / layout.TOKENIZER_FOLDER, root / layout.TRAIN_TOKENS, root / layout.VALIDATION_TOKENS):
        path.mkdir(parents=True)
    tokenizer = root / layout.TOKENIZER
    byte_tokenizer(shape.vocabulary).save(str(tokenizer))
    token_format = TokenFormat(digest_file(tokenizer), shape.vocabulary, 0)
    flat = root / "flat" / "data" / "bench"
    flat.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for split, name, tokens in (("train", "train", count), ("validation", "val", 20 * shape.context)):
        ids = draw.integers(1, shape.vocabulary, (-(-tokens // shape.context), shape.context), np.uint16)
        ids[:, -1] = 0
        ids.tofile(flat / f"{name}.bin")
        rows = ((draw.bytes(16), row.tolist()) for row in ids)
        write_token_shard(root / layout.tokens(split, "00000"), token_format, "random", rows)
    write_vocabulary_size(flat, shape.vocabulary)


def byte_tokenizer(vocabulary: int) -> Tokenizer:
    """A tokenizer of bytes, whose other entries no text has."""
    letters = pre_tokenizers.ByteLevel.alphabet()
    entries = ["<|endoftext|>", *sorted(letters), *(f"no{number}" for number in range(len(letters) + 1, vocabulary))]
    tokenizer = Tokenizer(models.BPE({entry: number for number, entry in enumerate(entries)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


class DeviceMemory:
    """The most memory that the fullest GPU holds, as ``nvidia-smi`` tells it from time to time.

    Attributes:
        most: Megabytes; None where there is no such program.
    """

    def __init__(self) -> None:
        self._before = self._now()
        self.most = self._before
        self._done = threading.Event()

    @staticmethod
    def _now() -> int | None:
        command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        if shutil.which(command[0]) is None:
            return None
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return max(int(line) for line in said.split())

    def _look(self) -> None:
        while not self._done.wait(LOOK_SECONDS):
            self.most = max(self.most or 0, self._now() or 0)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """What happens inside is seen."""
        looking = threading.Thread(target=self._look)
        if self._before is not None:
            looking.start()
        try:
            yield
        finally:
            self._done.set()
            if looking.ident is not None:
                looking.join()

    @property
    def megabytes(self) -> int | None:
        """The most, less what was there before."""
        return None if self.most is None or self._before is None else self.most - self._before


@dataclass(frozen=True)
class Bench:
    """One run of the benchmark.

    Attributes:
        folder: For everything that it writes.
        device: Of the table of devices; None for one that is not there, whose peak is not known.
        on: What programs call it: ``cuda`` or ``cpu``.
        devices: That the rows of several train on.
    """

    folder: Path
    shape: Shape
    steps: int
    device: Device | None
    on: str = "cuda"
    devices: int = 1

    def rows(self, nanogpt: Path | None, torchtitan_log: Path | None) -> list[dict[str, Any]]:
        """All rows, each shown as soon as it is there."""
        write_random_tokens(self.folder / "run", self.shape, (self.steps + 2) * self.shape.step_tokens(self.devices))
        rows = [shown(self.nanogpt(nanogpt))] if nanogpt else []
        rows += [shown(self.ours(name, overrides, 1)) for name, overrides in ARCHITECTURES.items()]
        if self.devices > 1:
            rows += [shown(self.ours(name, overrides, self.devices)) for name, overrides in SEVERAL.items()]
        if torchtitan_log:
            rows.append(shown(torchtitan_row(torchtitan_log)))
        return rows

    def ours(self, name: str, overrides: tuple[str, ...], devices: int) -> dict[str, Any]:
        """Our training of the shape with some keys changed."""
        root = self.folder / f"ours-{len(list(self.folder.iterdir()))}"
        for part in (layout.TOKENIZER_FOLDER, layout.TOKENS):
            shutil.copytree(self.folder / "run" / part, root / part)
        recipe = root.with_suffix(".toml")
        recipe.write_text(self.shape.recipe(self.steps, devices), encoding="utf-8")
        changed = [f"train.device={self.on}", *overrides]
        training = ["-m", "model.train", "--recipe", str(recipe), "--root", str(root), "--json"]
        several = ["-m", "model.several", "--standalone", f"--nproc-per-node={devices}"] if devices > 1 else []
        command = [sys.executable, *several, *training, *(f"--set={item}" for item in changed)]
        used = DeviceMemory()
        with used.watched():
            measured_process(command, root)
        rates = [line["tokens_per_second"] for line in read_lines(str(root)) if "loss" in line]
        loaded = load_recipe(str(recipe), changed)
        config = ModelConfig.from_recipe(loaded.model, self.shape.vocabulary)
        expected = memory(config, loaded.train, processes=devices)
        row = self._row(f"ours, {name}", config, devices, rates, used)
        return {**row, "planned_megabytes": round(expected.total / 1e6)}

    def nanogpt(self, checkout: Path) -> dict[str, Any]:
        """A nanoGPT checkout's training of the shape, on one device."""
        folder, shape = self.folder / "run" / "flat", self.shape
        options = {
            "dataset": "bench",
            "device": self.on,
            "compile": self.on == "cuda",
            "n_layer": shape.layers,
            "n_head": shape.heads,
            "n_embd": shape.width,
            "block_size": shape.context,
            "batch_size": shape.sequences,
            "gradient_accumulation_steps": MICRO_BATCHES,
            "max_iters": self.steps,
            "eval_interval": 10 * self.steps,
            "eval_iters": 1,
            "always_save_checkpoint": False,
        }
        used = DeviceMemory()
        with used.watched():
            seconds, _, _ = run_nanogpt_program(checkout, folder, options)
        config = ModelConfig("gpt2", shape.vocabulary, shape.context, shape.layers, shape.heads, shape.width)
        return self._row("nanoGPT", config, 1, [shape.step_tokens(1) / one for one in seconds], used)

    def _row(
        self, what: str, config: ModelConfig, devices: int, rates: list[float], used: DeviceMemory
    ) -> dict[str, Any]:
        timed = rates[min(UNTIMED_STEPS, len(rates) // 2) :]
        if not timed:
            raise RunError(f"{what}: no step was timed; look at what it printed above")
        rate, peak = statistics.median(timed), self.device.peak_flops * devices if self.device else None
        flops = flops_per_token(config)
        return {
            "what": what,
            "devices": devices,
            "tokens_per_second": round(rate),
            "planned_tokens_per_second": round(peak * ASSUMED_MFU / flops) if peak else None,
            "mfu": round(rate * flops / peak, 4) if peak else None,
            "peak_megabytes": used.megabytes,
        }


def torchtitan_row(log: Path) -> dict[str, Any]:
    """The median of the steps in a log of torchtitan.

    Raises:
        UserError: If the file holds no line of a step as torchtitan 0.3 writes it.
    """
    text = re.sub(r"\x1b\[[\d;]*m", "", log.read_text(encoding="utf-8", errors="replace"))
    found = re.findall(r"memory: +([\d.]+)GiB.* tps: ([\d,]+) .*mfu: ([\d.]+|N/A)", text)
    steps = found[min(UNTIMED_STEPS, len(found) // 2) :]
    if not steps:
        raise UserError(f"{log}: no line with 'memory: … tps: … mfu: …', as torchtitan 0.3 logs its steps")
    shares = [float(share) / 100 for _, _, share in steps if share != "N/A"]
    return {
        "what": f"torchtitan, {log.name}: per device, of the model that it trained",
        "devices": None,
        "tokens_per_second": round(statistics.median(int(rate.replace(",", "")) for _, rate, _ in steps)),
        "planned_tokens_per_second": None,
        "mfu": round(statistics.median(shares), 4) if shares else None,
        "peak_megabytes": round(max(float(gibibytes) for gibibytes, _, _ in steps) * 1024**3 / 1e6),
    }


def run() -> list[dict[str, Any]]:
    """The rows of ``tokenmill bench gpu``.

    Raises:
        UserError: If there is no GPU.
    """
    import torch

    if not torch.cuda.is_available():
        raise UserError("bench gpu wants a GPU, and torch sees none (tokenmill doctor); bench train is for a CPU")
    given = {name: os.environ.get(f"TOKENMILL_{name}") for name in ("NANOGPT", "TORCHTITAN_LOG")}
    nanogpt, log = (Path(value) if value else None for value in given.values())
    steps = int(os.environ.get("TOKENMILL_BENCH_STEPS", STEPS))
    devices = int(os.environ.get("TOKENMILL_BENCH_GPUS", torch.cuda.device_count()))
    device = known_device(torch.cuda.get_device_name(0))
    with TemporaryDirectory(prefix="tokenmill-bench-") as folder:
        return Bench(Path(folder), Shape(), steps, device, devices=devices).rows(nanogpt, log)
