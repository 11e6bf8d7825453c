"""The variants of an ablation: every combination of the values given, the first of each being the reference."""

import hashlib
import itertools
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.base.errors import UserError
from pipeline.recipe.load import Recipe, RecipeError, load_recipe, toml_value
from pipeline.recipe.stage_names import CURATION
from pipeline.run.manifest import canonical_json

MAX_VARIANTS = 64
EXPECTED = 'expected KEY=[VALUE, VALUE, ...], such as --vary "train.learning_rate=[1e-3, 2e-3]"'
FIXED = {
    "name": "it decides nothing",
    "train.seed": "--seeds varies it",
    "tokenize.validation_share": "every variant is scored on the text that the base run holds out",
    "tokenize.held_out": "every variant is scored on the text that the base run holds out",
    "train.runs": "a variant trains on its own tokens",
}


@dataclass(frozen=True)
class Variant:
    """One variant: the values that it differs by, and its whole recipe."""

    number: int
    settings: dict[str, Any]
    recipe: Recipe

    @property
    def name(self) -> str:
        """What a reader tells it by."""
        return ", ".join(f"{key}={toml_value(value)}" for key, value in self.settings.items())

    def data_key(self) -> str:
        """Hash of what decides this variant's tokens; equal for variants that share them."""
        recipe = self.recipe.model_dump(mode="json", include={"sources", *CURATION})
        stages = [stage for stage in self.recipe.stages if stage in CURATION]
        return _short_hash([stages, recipe])

    def trial_key(self, seed: int) -> str:
        """Hash of what decides a trial of this variant."""
        return _short_hash([self.recipe.model_dump(mode="json", exclude={"name", "report"}), seed])


def _short_hash(value: Any) -> str:
    return hashlib.blake2b(canonical_json(value).encode(), digest_size=6).hexdigest()


def read_variants(recipe: str, overrides: Sequence[str], vary: Sequence[str]) -> list[Variant]:
    """Every combination of the values of ``vary``, validated; the first of each key comes first.

    Args:
        recipe: The recipe, a TOML file.
        overrides: ``KEY=VALUE`` strings that hold for every variant.
        vary: ``KEY=[VALUE, ...]`` strings.

    Raises:
        UserError: If one is not of that form or names a key that an ablation fixes; RecipeError where a variant is no
            valid recipe, naming it.
    """
    axes = dict(_axis(text) for text in vary)
    if len(axes) != len(vary):
        raise UserError(f"--vary names a key twice: {', '.join(sorted(axes))}")
    combinations = list(itertools.product(*axes.values()))
    if not 2 <= len(combinations) <= MAX_VARIANTS:
        raise UserError(f"--vary gives {len(combinations)} variants; an ablation compares 2 to {MAX_VARIANTS}")
    variants = []
    for number, values in enumerate(combinations):
        settings = dict(zip(axes, values, strict=True))
        chosen = [f"{key}={toml_value(value)}" for key, value in settings.items()]
        try:
            made = load_recipe(recipe, [*overrides, *chosen])
        except RecipeError as error:
            hint = 'each item of a --vary list is one whole value: of a list of rules write [["a", "b"], ["a"]]'
            raise RecipeError(f"{recipe} with {', '.join(chosen)}", [*error.problems, hint]) from error
        variants.append(Variant(number, settings, made))
    return variants


def _axis(text: str) -> tuple[str, list[Any]]:
    key, separator, written = text.partition("=")
    key = key.strip()
    if not separator or not key:
        raise UserError(f"--vary {text!r}: {EXPECTED}")
    if key in FIXED:
        raise UserError(f"--vary {key}: cannot be varied, since {FIXED[key]}")
    try:
        values = tomllib.loads(f"values = {written}")["values"]
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"--vary {text!r}: not a TOML list ({error}); {EXPECTED}") from error
    if not isinstance(values, list) or not values:
        raise UserError(f"--vary {text!r}: {EXPECTED}")
    return key, values
