"""Our side of ``bench recipe``: ``tokenmill run`` on a recipe, in processes of its own.

``like for like`` does what datatrove's pipeline does: language, four rule sets, near-duplicates, a given tokenizer, one
side.  ``everything on`` is what a recipe has by default: it also replaces personal data, trains the tokenizer, holds
documents out for validation and keeps training text away from them, and measures what is left.
"""

import subprocess
from pathlib import Path
from typing import Any

import orjson
import tomli_w

from pipeline.bench.program import tokenmill

LIKE_FOR_LIKE, EVERYTHING_ON = "like for like", "everything on"
VOCABULARY = 32_768


def write_recipe(path: Path, texts: str, kind: str, tokenizer: Path) -> None:
    """Writes the recipe.

    Args:
        path: Where it goes.
        texts: The input, a pattern of JSONL.gz files.
        kind: ``LIKE_FOR_LIKE`` or ``EVERYTHING_ON``.
        tokenizer: The given tokenizer, for the former.
    """
    recipe: dict[str, Any] = {
        "name": "bench",
        "stages": ["clean", "dedup", "filter", "tokenize"],
        "sources": [{"name": "texts", "paths": [texts], "format": "jsonl"}],
        "filter": {"languages": ["en"], "rules": ["gopher_repetition", "gopher_quality", "c4", "fineweb"]},
        "tokenize": {"vocabulary_size": VOCABULARY},
    }
    if kind == LIKE_FOR_LIKE:
        recipe["clean"] = {"pii": "off"}
        recipe["tokenize"] = {"tokenizer": str(tokenizer), "validation_share": 0.0}
    path.write_text(tomli_w.dumps(recipe), encoding="utf-8")


def run(recipe: Path, root: Path, workers: int) -> dict[str, dict[str, Any]]:
    """Runs the recipe; the summary of each stage."""
    command = tokenmill("run", str(recipe), "--root", str(root), "--json", "--workers", str(workers))
    done = subprocess.run(command, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.decode()[-2000:]}")
    found: dict[str, dict[str, Any]] = orjson.loads(done.stdout)["stages"]
    return found
