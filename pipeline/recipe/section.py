"""The base of every section of a recipe, and the types of values that sections share."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo

from pipeline.base.sizes import SIZE_PATTERN
from pipeline.recipe.language_codes import language_label


class Section(BaseModel):
    """Base of every section: frozen, and an unknown key is an error, as is a number that is not finite.

    TOML writes ``inf`` and ``nan``; a size, a share or a rate is neither, and the JSON of a manifest holds neither.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The class of a key's section, or of the items of its list or table; None for a key with a plain value."""
    candidates = (annotation, *get_args(annotation))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def toml_value(value: Any) -> str:
    """A value as TOML on one line.

    Example:
        >>> toml_value({"min_words": [1, 2.5, True, "a"]})
        '{min_words = [1, 2.5, true, "a"]}'
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, str | bool):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def allowed(*values: str) -> dict[str, Any]:
    """``json_schema_extra`` of a key whose type does not say what it may be: the values, or what they are, in words."""
    return {"allowed": list(values)}


def keys_of(names: Iterable[str]) -> dict[str, Any]:
    """``json_schema_extra`` of a table whose type does not say which keys it may have."""
    return {"propertyNames": {"enum": list(names)}}


FOLDER = "folder"  # the key of the validation's context that holds the recipe's own folder


def absolute(path: str, info: ValidationInfo) -> str:
    """A path relative to the recipe's folder becomes absolute; URLs stay, and so does all without a known folder."""
    folder: Path | None = (info.context or {}).get(FOLDER)
    if folder is None or "://" in path:
        return path
    return os.path.normpath(folder / os.path.expanduser(path))


def _absolute_if_given(path: str | None, info: ValidationInfo) -> str | None:
    return absolute(path, info) if path else None


def _absolute_list_file(entry: str, info: ValidationInfo) -> str:
    return f"@{absolute(entry[1:], info)}" if entry.startswith("@") else entry


# Every key that names a file, a folder or a run has one of these types: they are all that makes its path absolute.
RecipePath = Annotated[str, AfterValidator(absolute)]
OptionalRecipePath = Annotated[str | None, AfterValidator(_absolute_if_given)]  # "" stands for none
UrlEntry = Annotated[str, AfterValidator(_absolute_list_file)]  # @FILE is a path, every other entry is none

Share = Annotated[float, Field(ge=0.0, le=1.0)]
SourceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
ColumnName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
LanguageCode = Annotated[str, AfterValidator(language_label)]  # becomes a label that clean gives
MemorySize = Annotated[str, StringConstraints(pattern=SIZE_PATTERN)]
