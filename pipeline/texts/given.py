"""What a caller in Python gives: texts of several kinds, and a recipe or the keys of one of its sections."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from pipeline.base.errors import UserError
from pipeline.recipe.load import Recipe, load_recipe, section_from

Texts: TypeAlias = list[str] | Iterable[str] | pa.Array  # or a column that exports one
Values: TypeAlias = str | Iterable[str | None] | pa.Array | None  # one for all texts, or one each


def text_column(texts: Texts) -> pa.Array:
    """The texts as one large_string array.

    Args:
        texts: Strings; an Arrow array, or whatever exports one (a column of polars or pandas), without a copy where
            its type allows.

    Raises:
        UserError: If there is one text only, or something else among them, with its row.
    """
    if isinstance(texts, str):
        raise UserError("texts: expected several, got one; put it into a list")
    if isinstance(texts, bytes | bytearray):
        raise UserError("texts: expected strings, got bytes; texts.decode() makes a string of UTF-8")
    if isinstance(texts, pa.Array | pa.ChunkedArray):
        return _of_arrow(texts)
    if hasattr(texts, "__arrow_c_stream__"):
        return _of_arrow(pa.chunked_array(texts))
    if hasattr(texts, "__arrow_c_array__"):
        return _of_arrow(pa.array(texts))
    if not isinstance(texts, Iterable):
        raise UserError(f"texts: expected a string or several, got {type(texts).__name__}")
    return _of_strings(texts if isinstance(texts, list) else list(texts))


def _of_arrow(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    known = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    if not any(check(column.type) for check in known):
        raise UserError(f"texts: expected strings, got a column of {column.type}")
    if column.null_count:
        row = column.is_null().index(True).as_py()
        raise UserError(f"texts: none at row {row:,}; leave out such rows, or fill them with an empty text")
    found = column.cast(pa.large_string())
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _of_strings(texts: list[Any]) -> pa.Array:
    try:
        array = pa.array(texts, pa.large_string())
    except (UnicodeEncodeError, pa.ArrowInvalid, pa.ArrowTypeError):
        array = None
    if array is None or array.null_count or any(type(text) is bytes for text in texts):
        raise UserError(next(filter(None, (_wrong(row, text) for row, text in enumerate(texts))), "texts: no strings"))
    return array


def _wrong(row: int, text: Any) -> str | None:
    if not isinstance(text, str):
        return f"texts: expected a string at row {row:,}, got {type(text).__name__}"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return (
            f"texts: row {row:,} is no Unicode at character {error.start:,} (a lone surrogate); "
            'text.encode("utf-8", "replace").decode() puts a question mark there'
        )
    return None


def section_given(name: str, recipe: str | Path | Recipe | None, keys: Mapping[str, Any]) -> Any:
    """A section of a recipe: of a recipe file or one that is loaded, else of its keys.

    Raises:
        UserError: If the recipe or a key is wrong, or both are given.
    """
    if recipe is None:
        return section_from(name, keys)
    if keys:
        raise UserError(f"a recipe and {', '.join(keys)}: give the one or the other")
    return getattr(recipe if isinstance(recipe, Recipe) else load_recipe(recipe), name)


def one_each(name: str, given: Values, count: int) -> Sequence[Any]:
    """A value for each of ``count`` texts, where one for all or a list of them is given.

    Raises:
        UserError: If it is a list of another length.
    """
    if given is None or isinstance(given, str):
        return [given] * count
    values = given.to_pylist() if hasattr(given, "to_pylist") else list(given)
    if len(values) != count:
        raise UserError(f"{name}: {len(values):,} values for {count:,} texts; give one for all, or one each")
    return values
