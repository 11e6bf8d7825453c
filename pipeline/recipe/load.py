"""Loads a recipe: a TOML file plus ``--set key=value`` overrides, validated once, every error at once.

Defaults (``options``) < ``model.depth`` and ``filter.preset`` < the file < ``--set``.  Paths become absolute
(``section``), so that the resolved recipe written to RUN/recipe.toml finds the same files from anywhere.
"""

import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.base.words import counted, nearest
from pipeline.recipe import depth
from pipeline.recipe.options import Recipe
from pipeline.recipe.rule_sets import RULE_SETS
from pipeline.recipe.section import FOLDER, section_of, toml_value

__all__ = ["Recipe", "RecipeError", "load_recipe", "recipe_from", "recipe_toml", "section_from", "toml_value"]


class RecipeError(UserError):
    """A recipe with problems; ``problems`` has a line for each."""

    def __init__(self, path: str, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        count = counted(len(self.problems), "problem")
        super().__init__("\n".join([f"{path}: {count} in the recipe", *(f"  {line}" for line in self.problems)]))


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Loads and validates a recipe.

    Args:
        path: The TOML file.
        overrides: ``section.key=value`` strings; the value is TOML, or taken as a string where it is not.

    Raises:
        RecipeError: With every problem: key, value, what is allowed, and the nearest valid key.
        UserError: If it is a folder.
    """
    path = str(path)
    try:
        data = tomllib.loads(storage.read_bytes(path).decode("utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(path, ["no such file"]) from error
    except IsADirectoryError as error:
        raise UserError(f"{path}: {_folder_for_a_recipe(path)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        hint = "" if path.endswith(".toml") else f"; if this is text to train on, {_init_of(path)}"
        raise RecipeError(path, [f"not a TOML file: {error}{hint}"]) from error
    problems: list[str] = []
    named = {override.partition("=")[0].strip() for override in overrides}
    if "model.depth" in named:
        _set_aside(data, {"model": depth.SHAPE_KEYS, "train": depth.TRAIN_KEYS})
    if "filter.preset" in named:
        _set_aside(data, {"filter": ("min_language_score", "rules", *RULE_SETS)})
    for override in overrides:
        try:
            apply_override(data, override)
        except ValueError as error:
            problems.append(str(error))
    folder = storage.local_path(path).resolve().parent if storage.is_local(path) else None
    try:
        recipe = Recipe.model_validate(data, context={FOLDER: folder})
    except ValidationError as error:
        raise RecipeError(path, problems + list(_explain(error))) from error
    if problems:
        raise RecipeError(path, problems)
    return recipe


def recipe_from(values: Mapping[str, Any]) -> Recipe:
    """A recipe from its sections as dicts, for Python; relative paths are those of the working directory.

    Raises:
        UserError: With every problem, in the words of a recipe's.
    """
    try:
        return Recipe.model_validate(values, context={FOLDER: Path.cwd()})
    except ValidationError as error:
        raise UserError("\n".join(_explain(error))) from error


def section_from(name: str, keys: Mapping[str, Any]) -> Any:
    """One section of a recipe from its keys, those that are not their defaults; see ``recipe_from``."""
    return getattr(recipe_from({"sources": [{"name": "texts", "paths": ["texts"]}], name: dict(keys)}), name)


def _folder_for_a_recipe(path: str) -> str:
    recipe = storage.join(path, "recipe.toml")
    if storage.exists(recipe):
        return f"a run folder, not a recipe; `tokenmill run {shlex.quote(recipe)} --root {shlex.quote(path)}` goes on"
    return f"a folder, not a recipe; {_init_of(path)}"


def _init_of(path: str) -> str:
    return f"`tokenmill init {shlex.quote(path)}` looks at it and writes a recipe for it"


def apply_override(data: dict[str, Any], override: str) -> None:
    """Sets one ``section.key=value`` in the loaded data; list items are named by number or by their ``name``.

    Raises:
        ValueError: If it is not of that form, or names a part that is not there.
    """
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise ValueError(f"--set {override!r}: expected KEY=VALUE, such as --set dedup.threshold=0.75")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    *parents, last = key.strip().split(".")
    place: Any = data
    for part in parents:
        place = _item(place, part, override) if isinstance(place, list) else place.setdefault(part, {})
        if not isinstance(place, dict | list):
            raise ValueError(f"--set {override!r}: {part} is a value, not a section")
    if isinstance(place, list):
        raise ValueError(f"--set {override!r}: {'.'.join(parents)} is a list; name its item before {last}")
    place[last] = value


def _set_aside(data: dict[str, Any], dialled: dict[str, tuple[str, ...]]) -> None:
    """``--set`` of a dial stands for every key that it sets, so it wins over what the file says of them."""
    for section, keys in dialled.items():
        for key in keys:
            if isinstance(data.get(section), dict):
                data[section].pop(key, None)


def _item(items: list[Any], part: str, override: str) -> Any:
    for number, item in enumerate(items):
        if part == str(number) or (isinstance(item, dict) and item.get("name") == part):
            return item
    names = [item.get("name") for item in items if isinstance(item, dict)]
    raise ValueError(f"--set {override!r}: no item {part!r}; there are {names}")


def _explain(error: ValidationError) -> Iterator[str]:
    for problem in error.errors():
        location = ".".join(str(part) for part in problem["loc"]) or "recipe"
        if problem["type"] == "extra_forbidden":
            yield _unknown_key(problem["loc"], problem["input"])
        elif problem["type"] == "missing":
            yield f"{location}: missing; it has no default"
        else:
            message = problem["msg"].removeprefix("Value error, ")
            if isinstance(problem["input"], dict):  # of a whole section, whose keys the message names
                yield from _section_problems(location, message)
                continue
            shown = "" if problem["loc"] == () else f" = {_short(problem['input'])}"
            yield f"{location}{shown}: {message[0].lower()}{message[1:]}{_nearest_choice(problem)}"


def _section_problems(location: str, message: str) -> Iterator[str]:
    """The problems of a section as its validator joined them: each a line, with the section unless it names a key."""
    for line in message.splitlines():
        yield line if line.startswith(f"{location}.") else f"{location}: {line[0].lower()}{line[1:]}"


def _nearest_choice(problem: ErrorDetails) -> str:
    if problem["type"] not in ("literal_error", "enum"):
        return ""
    choices = re.findall(r"'([^']*)'", problem["ctx"]["expected"])
    return nearest(str(problem["input"]), choices)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _unknown_key(location: tuple[int | str, ...], given: Any) -> str:
    keys = _keys_at(location[:-1])
    name, place = str(location[-1]), ".".join(str(part) for part in location)
    if isinstance(given, dict) and (known := [key for key in given if key in keys]):  # as a rule's name has it
        above = place.rpartition(".")[0]
        return f"{place}: unknown key; did you mean {', '.join(f'{above}.{key}' for key in known)}?"
    return f"{place}: unknown key{nearest(name, keys)}; allowed: {', '.join(sorted(keys))}"


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    model: Any = Recipe
    for part in location:
        if isinstance(part, int) or part not in model.model_fields:  # a list's number, or a name that the user chose
            continue
        annotation = model.model_fields[part].annotation
        model = section_of(annotation) or annotation
    return list(model.model_fields)


def recipe_toml(recipe: Recipe) -> str:
    """The resolved recipe as TOML, every key written out (None is left out: TOML has no null).

    Of the shape of a model that the folder of ``model.init`` defines, nothing but the context is said again.
    """
    values = recipe.model_dump(mode="json", exclude_none=True)
    if recipe.model.init is not None:
        values["model"] = {key: values["model"][key] for key in ("init", "context_length")}
    return toml_text(values)


def toml_text(values: dict[str, Any]) -> str:
    """Sections of a recipe as TOML."""
    import tomli_w

    return tomli_w.dumps(values)


if __name__ == "__main__":
    import sys

    from pipeline.recipe.page import recipes_page

    sys.stdout.write(recipes_page())
