"""Compiles every kernel before the first real run, by running a tiny job: ``tokenmill doctor --warm``.

Numba compiles a kernel when it is first called and keeps it in the user's cache (pipeline/kernels/__init__.py), so
without this the first run on a machine, or after an update, spends a minute or two compiling, and says so
(pipeline/screen/cold.py).
"""

import json
import tempfile
import time
from pathlib import Path

import numpy as np

from pipeline.base.console import say
from pipeline.base.pool import Pool
from pipeline.dedup.rule.signing import Signer
from pipeline.extraction.extractor import extract_page
from pipeline.recipe.options import Recipe, Source
from pipeline.run.context import Context, Workers
from pipeline.run.folder import Run
from pipeline.run.stages import run_stage
from pipeline.tokens.leakage import Nearest
from pipeline.tokens.tokenizer.training import train

SENTENCE = "The mill grinds what it is given; write to miller@mill.example or call +1 202 555 0143, at 10.0.0.1. "
PAGE = "<html><head><title>Mill</title></head><body><main><p>{}</p></main></body></html>"
STAGES = {
    "clean": "pipeline.clean.stage:run",
    "dedup": "pipeline.dedup.stage.plan:run",
    "filter": "pipeline.filter.stage:run",
}


def warm(folder: Path, workers: Workers | None = None) -> None:
    """Runs clean, dedup and filter over a handful of texts and one page below ``folder``, and trains a tokenizer.

    Args:
        folder: A folder to work in.
        workers: Who does it; by default a pool of processes.
    """
    texts = [SENTENCE * 8 + f"Number {number // 2} of them.\n- a line\n- {number % 2}\n" for number in range(16)]
    texts += [
        f"{word} {number} turns the wheel. " * 40 for number, word in enumerate(("Wasser", "l'eau", "вода", "水"))
    ]
    lines = [json.dumps({"id": str(number), "text": text}) for number, text in enumerate(texts)]
    (folder / "texts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "page.html").write_text(PAGE.format(SENTENCE * 20), encoding="utf-8")
    sources = [Source(name=n, paths=[str(folder / f)]) for n, f in (("texts", "texts.jsonl"), ("page", "page.html"))]
    recipe = Recipe(name="warm", stages=list(STAGES), sources=sources)
    run = Run(str(folder / "run"), recipe)
    extract_page(PAGE.format(SENTENCE * 20), markdown=True)  # no stage of this recipe does
    sets = Signer().hash(texts)
    Nearest(sets).add(sets, np.zeros((len(texts), 16), np.uint8))  # as the tokenize stage does
    train([texts], {"vocabulary_size": 300, "pretokenizer": "gpt2", "end_of_text": "<|end|>", "special_tokens": []})
    with run.lock(), workers or Pool() as pool:
        for stage in STAGES:
            run_stage(stage, STAGES[stage], Context(run, pool))


def compile_all() -> None:
    """Compiles, and says how long it took."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="tokenmill-warm-") as folder:
        warm(Path(folder))
    say(f"kernels compiled in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    compile_all()
