"""Writes docs/recipes.md: every key of a recipe with what it may be, its default and its meaning.

What a key may be is read from its own type and bounds, by way of the JSON schema that pydantic makes of them; a test
tries it on the recipe itself.
"""

from collections.abc import Iterator, Mapping
from typing import Any, get_origin

from pydantic import BaseModel

from pipeline.recipe.filter_options import NO_LIMIT
from pipeline.recipe.options import Recipe
from pipeline.recipe.rule_sets import RULE_SETS
from pipeline.recipe.section import section_of, toml_value

HEAD = """# Recipes

Every key of a recipe, with what it may be and its default. Generated from the options in `pipeline/recipe/` by
`python -m pipeline.recipe.load`; a test keeps it so.

A recipe is a TOML file. Every key has a default but `sources`. An unknown key is an error that names the
nearest valid one; every error is reported at once. `--set section.key=value` overrides the file. Whole recipes to
begin with, commented, are in [configs/](../configs/README.md).
"""
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
KINDS = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "`true`, `false`"}
PATTERNS = {
    r"^\d+(\.\d+)?\s*(B|[KMGT]i?B)$": "a size, such as `500MB` or `2GiB`",
    r"^[a-z][a-z0-9_]*$": "small letters, digits, `_`",
    r"^[A-Za-z0-9][A-Za-z0-9_.-]*$": "letters, digits, `_`, `.`, `-`",
}


def recipes_page() -> str:
    """The text of docs/recipes.md."""
    return "\n".join([HEAD.rstrip(), *_section_lines("", Recipe), *_rule_set_lines()]) + "\n"


def _section_lines(name: str, model: type[BaseModel], title: str = "top level") -> Iterator[str]:
    """A table of a section's keys, and those of the sections in it."""
    yield from ("", f"## {title}", "", "| key | allowed | default | meaning |", "|---|---|---|---|")
    properties = model.model_json_schema()["properties"]
    for key, field in model.model_fields.items():
        shown = "must be given" if field.is_required() else _shown(field.get_default(call_default_factory=True))
        nested = section_of(field.annotation)
        description = field.description or ((nested.__doc__ or "").splitlines()[0] if nested else "")
        yield _row(f"`{key}`", allowed_values(properties[key]), shown, description)
    for key, field in model.model_fields.items():
        if nested := section_of(field.annotation):
            inner = f"{name}.{key}".lstrip(".")
            kind = get_origin(field.annotation)
            titles: dict[Any, str] = {list: f"[[{inner}]]", dict: f"[{inner}.NAME]"}
            yield from _section_lines(inner, nested, titles.get(kind, f"[{inner}]"))


def _rule_set_lines() -> Iterator[str]:
    """A table for each rule set: its thresholds and the signals that they are compared with."""
    for name, rules in RULE_SETS.items():
        yield from ("", f"## [filter.{name}]", "", "| key | allowed | default | meaning |", "|---|---|---|---|")
        for rule in rules:
            side = "below" if rule.bound == "min" else "above"
            yield _row(
                f"`{rule.name}`",
                "a number",
                f"`{rule.default:g}`",
                f"a document whose `{rule.signal}` is {side} it is dropped",
            )


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def allowed_values(schema: Mapping[str, Any]) -> str:
    """What a key may be, in words.

    Args:
        schema: Of the key, as JSON schema: type, bounds, choices.

    Example:
        >>> allowed_values({"type": "integer", "minimum": 1, "maximum": 9})
        'a whole number, 1 to 9'
        >>> allowed_values({"type": "array", "items": {"enum": ["noai", "noimageai"], "type": "string"}})
        'a list of `noai`, `noimageai`'
    """
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:  # a key that may also be left out, which its default says
        return ", or ".join(allowed_values(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "$ref" in schema or schema.get("type") == "object":
        return _table(schema)
    if schema.get("type") == "array":
        items = {**schema["items"], **({"allowed": schema["allowed"]} if "allowed" in schema else {})}
        return "tables" if "$ref" in items else f"a list of {_plural(allowed_values(items))}"
    if names := schema.get("allowed") or schema.get("enum"):
        return ", ".join(name if " " in name else f"`{name}`" for name in names)
    if "pattern" in schema:
        return PATTERNS[schema["pattern"]]
    return f"{KINDS[schema['type']]}{_bounds(schema)}"


def _table(schema: Mapping[str, Any]) -> str:
    """What a table may hold."""
    if keys := schema.get("propertyNames", {}).get("enum"):
        listed = "in a table below" if len(keys) > 6 else ", ".join(f"`{key}`" for key in keys)
        return f"a table; keys: {listed}"
    values = schema.get("additionalProperties")
    return (
        f"a table of {_plural(allowed_values(values))}" if isinstance(values, dict) and "type" in values else "a table"
    )


def _plural(words: str) -> str:
    return words.replace("a whole number", "whole numbers").replace("a number", "numbers").replace("a table", "tables")


def _bounds(schema: Mapping[str, Any]) -> str:
    found = {words: schema[key] for key, words in BOUNDS.items() if key in schema}
    if found.keys() == {"at least", "at most"}:
        return f", {_number(found['at least'])} to {_number(found['at most'])}"
    return "".join(f", {words} {_number(value)}" for words, value in found.items())


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _shown(default: Any) -> str:
    """A default as a recipe writes it, or in words where it cannot be written."""
    if isinstance(default, BaseModel):
        return "a section of its own"
    if default is None or default == NO_LIMIT:
        return "none" if default is None else "no limit"
    return f"`{toml_value(default)}`"
