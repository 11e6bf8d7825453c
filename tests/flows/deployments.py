"""A short recipe and the parameters of each deployment of prefect.yaml for it."""

import json
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import REPOSITORY
from tests.flows.served import Served

RECIPE = """
name = "served"
stages = ["clean", "dedup", "tokenize", "train"]
[[sources]]
name = "s"
paths = ["in/x.jsonl"]
[tokenize]
vocabulary_size = 300
validation_share = 0.05
[model]
layers = 1
heads = 1
width = 32
context_length = 32
[train]
steps = 3
global_batch_tokens = 256
"""
NOUNS = [
    "river",
    "stone",
    "market",
    "letter",
    "window",
    "garden",
    "copper",
    "winter",
    "bridge",
    "harbour",
    "candle",
    "mead",
]


def write_texts(file: Path, first: int, last: int) -> None:
    """Texts number ``first`` to ``last`` of one fixed series, a record each."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8") as out:
        for n in range(first, last):
            sentences = (
                f"The {NOUNS[(n + k) % 12]} number {n * 31 + k} near the {NOUNS[(n * 5 + k * 7 + 1) % 12]} was seen "
                f"{n * 7 + k} times."
                for k in range(12)
            )
            out.write(json.dumps({"id": str(n), "text": " ".join(sentences)}) + "\n")


def write_recipe(folder: Path, more: str = "") -> Path:
    """The recipe and its input in ``folder``."""
    write_texts(folder / "in" / "x.jsonl", 0, 60)
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE + more, encoding="utf-8")
    return recipe


def deployments() -> list[str]:
    """FLOW/DEPLOYMENT of each one in prefect.yaml."""
    listed = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text("utf-8"))["deployments"]
    return [f"{entry['entrypoint'].rpartition(':')[2]}/{entry['name']}" for entry in listed]


def parameters(deployment: str, recipe: Path, root: Path) -> dict[str, Any]:
    """What a run of a deployment is given: the recipe, and ``root`` as its folder."""
    if deployment == "dedup/dedup":
        return {"inputs": [str(recipe.parent / "in" / "x.jsonl")], "output": str(root), "workers": 1}
    if deployment == "evaluate/evaluate":
        return {"root": str(root)}
    if deployment == "nightly/nightly":
        return {"recipe": str(recipe), "runs": str(root), "workers": 1}
    given: dict[str, Any] = {"recipe": str(recipe), "root": str(root), "workers": 1}
    if deployment == "ablate/ablate":
        given |= {"vary": ["train.learning_rate=[0.001, 0.002]"], "seeds": 2}
    return given


def run(served: Served, deployment: str, recipe: Path, root: Path, **more: Any) -> str:
    """Starts a run; its id."""
    return served.run(deployment, parameters(deployment, recipe, root) | more)
