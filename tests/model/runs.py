"""Small run folders with real tokens, ready to train without any stage before it, and their training as a process."""

import hashlib
import subprocess
import sys
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from model.training.metrics import read_lines
from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run
from pipeline.run.manifest import digest_file
from pipeline.tokens.shards.token_shard import TokenFormat, write_token_shard

VOCABULARY = 300
RECIPE = """
name = "small"
[[sources]]
name = "prose"
paths = ["raw/*.txt"]
[[sources]]
name = "facts"
paths = ["facts/*.txt"]
[tokenize]
vocabulary_size = 300
[model]
layers = 2
heads = 2
width = 32
context_length = 32
[train]
steps = 8
global_batch_tokens = 256
micro_batch_sequences = 4
log_every_steps = 1
checkpoint_every_steps = 3
threads = 1
precision = "float32"
"""


def texts(kind: str, count: int) -> list[str]:
    """Sentences with some regularity, so that a small model learns from them."""
    names = ["Ada", "Grace", "Alan", "Emmy", "Carl", "Sofia", "Niels", "Marie"]
    verbs = ["wrote to", "walked with", "argued with", "waited for", "learned from"]
    return [
        " ".join(f"{names[(n * 5 + k) % 8]} {verbs[(n + k * 3) % 5]} {names[(n + k) % 8]}." for k in range(4 + n % 9))
        + (f" In {1800 + n % 90} it rained." if kind == "facts" else "")
        for n in range(count)
    ]


def make_run(folder: Path, recipe: str = RECIPE, overrides: tuple[str, ...] = (), *, begin: int | None = None) -> Run:
    """A run folder with recipe, tokenizer and token shards of two sources; ``begin``: id 1, or None for none."""
    root = folder / "run"
    (root / "tokenizer").mkdir(parents=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|endoftext|>", *(["<|begin|>"] if begin else [])],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts("prose", 50) + texts("facts", 50), trainer)
    path = root / "tokenizer" / "tokenizer.json"
    tokenizer.save(str(path))
    token_format = TokenFormat(digest_file(path), VOCABULARY, 0, begin)
    first = [] if begin is None else [begin]
    for split, count in (("train", 120), ("validation", 12)):
        (root / "tokens" / split).mkdir(parents=True)
        for number, source in enumerate(("prose", "facts")):
            documents = [
                (hashlib.blake2b(f"{split}{source}{n}".encode(), digest_size=16).digest(), [*first, *ids, 0])
                for n, ids in enumerate(item.ids for item in tokenizer.encode_batch(texts(source, count)))
            ]
            write_token_shard(root / "tokens" / split / f"{number:05d}.arrow", token_format, source, documents)
    (folder / "recipe.toml").write_text(recipe)
    run = Run(str(root), load_recipe(folder / "recipe.toml", overrides))
    run.write_recipe()
    return run


def train(run: Run, *options: str, **kwargs: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "model.train", "--recipe", f"{run.root}/recipe.toml", "--root", run.root, *options]
    return subprocess.run(command, capture_output=True, text=True, **kwargs)  # type: ignore[call-overload]


def promised(run: Run) -> dict[str, bytes]:
    root = Path(run.root)
    files = [*root.glob("checkpoints/**/*"), *root.glob("manifests/**/*")]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files if path.is_file()}


def losses(run: Run) -> list[tuple[int, float, float]]:
    return [(line["step"], line["loss"], line["grad_norm"]) for line in read_lines(run.root) if "loss" in line]
