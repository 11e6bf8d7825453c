"""Loads a recipe: a TOML file plus ``--set key=value`` overrides, validated once, every error at once.

Defaults (``options``) < ``model.depth`` (``depth``) < the file < ``--set``.  Source paths become
absolute, so that the resolved recipe written to RUN/recipe.toml finds the same files from anywhere.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.recipe import depth
from pipeline.recipe.options import Filter, Recipe

__all__ = ["Recipe", "RecipeError", "load_recipe", "recipe_toml"]


class RecipeError(UserError):
    """A recipe with one problem or more; ``problems`` has a line for each."""

    def __init__(self, path: str, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        super().__init__("\n".join([f"{path}: {count} in the recipe", *(f"  {line}" for line in self.problems)]))


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Loads and validates a recipe.

    Args:
        path: The TOML file.
        overrides: ``section.key=value`` strings; the value is TOML, or taken as a string where it is not.

    Raises:
        RecipeError: With every problem: key, value, what is allowed, and the nearest valid key.
    """
    path = str(path)
    try:
        data = tomllib.loads(storage.read_bytes(path).decode("utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(path, ["no such file"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, IsADirectoryError) as error:
        raise RecipeError(path, [f"not a TOML file: {error}"]) from error
    problems: list[str] = []
    if any(override.partition("=")[0].strip() == "model.depth" for override in overrides):
        _set_aside_dialled_keys(data)
    for override in overrides:
        try:
            apply_override(data, override)
        except ValueError as error:
            problems.append(str(error))
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        raise RecipeError(path, problems + list(_explain(error))) from error
    if problems:
        raise RecipeError(path, problems)
    return _with_absolute_paths(recipe, path)


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


def _set_aside_dialled_keys(data: dict[str, Any]) -> None:
    """``--set model.depth`` stands for every key that the dial sets, so it wins over what the file says of them."""
    for section, keys in (("model", depth.SHAPE_KEYS), ("train", depth.TRAIN_KEYS)):
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
            yield _unknown_key(problem["loc"])
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
    near = difflib.get_close_matches(str(problem["input"]), choices, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _unknown_key(location: tuple[int | str, ...]) -> str:
    keys = _keys_at(location[:-1])
    name, place = str(location[-1]), ".".join(str(part) for part in location)
    near = difflib.get_close_matches(name, keys, n=1, cutoff=0.5)
    return f"{place}: unknown key{f'; did you mean {near[0]}?' if near else ''}; allowed: {', '.join(sorted(keys))}"


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    model: Any = Recipe
    for part in location:
        if isinstance(part, int) or part not in model.model_fields:  # a list's number, or a name that the user chose
            continue
        annotation = model.model_fields[part].annotation
        arguments = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type) and issubclass(a, BaseModel)]
        model = arguments[0] if arguments else annotation
    return list(model.model_fields)


def _with_absolute_paths(recipe: Recipe, path: str) -> Recipe:
    """Paths relative to the recipe's folder become absolute; URLs stay."""
    if not storage.is_local(path):
        return recipe
    folder = storage.local_path(path).resolve().parent

    def absolute(given: str) -> str:
        return given if "://" in given else os.path.normpath(folder / os.path.expanduser(given))

    sources = [s.model_copy(update={"paths": [absolute(p) for p in s.paths]}) for s in recipe.sources]
    tokenizer = recipe.tokenize.tokenizer
    held_out = recipe.tokenize.held_out
    update_tokenize = {
        "tokenizer": absolute(tokenizer) if tokenizer else None,
        "held_out": absolute(held_out) if held_out else None,
    }
    tokenize = recipe.tokenize.model_copy(update=update_tokenize)
    train = recipe.train.model_copy(update={"runs": [absolute(run) for run in recipe.train.runs]})
    dedup = recipe.dedup.model_copy(update={"against": [absolute(place) for place in recipe.dedup.against]})
    lists = {"url_block": recipe.clean.url_block, "url_allow": recipe.clean.url_allow}
    files = {k: [f"@{absolute(e[1:])}" if e.startswith("@") else e for e in v] for k, v in lists.items()}
    clean = recipe.clean.model_copy(update=files)
    init = recipe.model.init
    model = recipe.model.model_copy(update={"init": absolute(init) if init else None})
    update = {"sources": sources, "clean": clean, "dedup": dedup, "tokenize": tokenize, "model": model, "train": train}
    return recipe.model_copy(update={**update, "filter": _filter_with_absolute_paths(recipe.filter, absolute)})


def _filter_with_absolute_paths(section: Filter, absolute: Callable[[str], str]) -> Filter:
    """The filter section's classifiers, evaluation sets and blocklist."""
    classifiers = {
        n: c.model_copy(update={"path": absolute(c.path)}) if c.path else c for n, c in section.classifiers.items()
    }
    sets = [e.model_copy(update={"path": absolute(e.path)}) for e in section.decontamination.sets]
    blocklist = section.url.blocklist
    url = section.url.model_copy(update={"blocklist": absolute(blocklist) if blocklist else None})
    decontamination = section.decontamination.model_copy(update={"sets": sets})
    return section.model_copy(update={"classifiers": classifiers, "decontamination": decontamination, "url": url})


def recipe_toml(recipe: Recipe) -> str:
    """The resolved recipe as TOML, every key written out (None is left out: TOML has no null)."""
    import tomli_w

    return tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True))


def recipes_page() -> str:
    """The text of docs/recipes.md: every key of a recipe with its type, default and meaning."""
    lines = [
        "# Recipes",
        "",
        "Generated from `pipeline/recipe/options.py` by `python -m pipeline.recipe.load`; a test keeps it so.",
        "",
        "A recipe is a TOML file. Every key has a default but `sources`. An unknown key is an error that names the",
        "nearest valid one; every error is reported at once. `--set section.key=value` overrides the file.",
    ]
    lines += _section_rows("top level", Recipe)
    for name, field in Recipe.model_fields.items():
        model = _keys_model(field.annotation)
        if model is not None:
            lines += _section_rows(f"[[{name}]]" if name == "sources" else f"[{name}]", model)
            for key, inner in model.model_fields.items():
                nested = _keys_model(inner.annotation)
                if nested is not None:
                    lines += _section_rows(f"[{name}.{key}]", nested)
    return "\n".join(lines) + "\n"


def _keys_model(annotation: Any) -> type[BaseModel] | None:
    candidates = (annotation, *getattr(annotation, "__args__", ()))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _section_rows(title: str, model: type[BaseModel]) -> list[str]:
    lines = ["", f"## {title}", "", "| key | default | meaning |", "|---|---|---|"]
    for key, field in model.model_fields.items():
        nested = _keys_model(field.annotation)
        default = "none: it must be given" if field.is_required() else field.get_default(call_default_factory=True)
        shown = "a section of its own" if isinstance(default, BaseModel) else f"`{default!r}`"
        shown = "none: it must be given" if field.is_required() else shown
        description = (field.description or (nested.__doc__ or "").split("\n")[0]).replace("|", "\\|")
        lines.append(f"| `{key}` | {shown} | {description} |")
    return lines


if __name__ == "__main__":
    import sys

    sys.stdout.write(recipes_page())
