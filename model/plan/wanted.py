"""What is to be planned: a recipe, with or without sources, or only a number of parameters and of tokens.  No torch."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from model.export.hf_config import read_config
from model.network.config import ModelConfig
from model.plan.flops import parameter_counts
from pipeline.base.errors import UserError
from pipeline.recipe.load import Recipe, load_training

UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
AMOUNT = re.compile(r"([\d,]+(?:\.\d+)?(?:e\d+)?)\s*([KMBT]?)", re.IGNORECASE)
DEEPEST = 400
WITHOUT_A_RECIPE = ("tokenize.vocabulary_size=32768", "model.context_length=2048")  # what models of that size have


def amount(text: str, option: str) -> int:
    """A number as people say it: ``1.3B``, ``124M``, ``30,000``.

    Raises:
        UserError: If it is none, with the option.
    """
    found = AMOUNT.fullmatch(text.strip())
    value = float(found[1].replace(",", "")) * UNITS[found[2].upper()] if found else 0.0
    if value < 1:
        raise UserError(f"{option} {text}: expected a number, such as 124M, 1.3B or 2T")
    return round(value)


def wanted(
    path: str | None, overrides: Sequence[str], parameters: str | None = None, tokens: str | None = None
) -> tuple[Recipe, ModelConfig]:
    """The recipe and the shape to plan for.

    Args:
        path: A recipe; None: all defaults.
        overrides: ``KEY=VALUE``, over it.
        parameters: So many, by ``model.depth``.
        tokens: To train on, by ``train.steps``.

    Raises:
        UserError: If the recipe is none, or its numbers do not fit together.
    """
    given = list(overrides)
    if path is None:
        given = [*WITHOUT_A_RECIPE, *given]
    if parameters is not None:
        given.append(f"model.depth={_depth(path, given, amount(parameters, '--parameters'))}")
    recipe = load_training(path, given)
    if tokens is not None:
        steps = math.ceil(amount(tokens, "--tokens") / recipe.train.global_batch_tokens)
        recipe = load_training(path, [*given, f"train.steps={steps}"])
    return recipe, shape(recipe)


def shape(recipe: Recipe) -> ModelConfig:
    """The model that a recipe trains: its own, or that of ``model.init`` with the recipe's context."""
    if recipe.model.init is not None:
        return read_config(Path(recipe.model.init), recipe.model.context_length)
    return ModelConfig.from_recipe(recipe.model, recipe.tokenize.vocabulary_size)


def _depth(path: str | None, overrides: list[str], parameters: int) -> int:
    """The depth whose model is nearest to so many parameters."""
    model = load_training(path, overrides).model
    if model.init is not None:
        raise UserError("--parameters with model.init: the folder of init defines the shape; leave one of them out")

    def off(depth: int) -> float:
        recipe = load_training(path, [*overrides, f"model.depth={depth}"])
        return abs(sum(parameter_counts(shape(recipe)).values()) - parameters)

    low, high = 1, DEEPEST
    while high - low > 2:  # parameters grow with the depth, so that what is off has one valley
        first, second = low + (high - low) // 3, high - (high - low) // 3
        low, high = (low, second) if off(first) <= off(second) else (first, high)
    return min(range(low, high + 1), key=off)
