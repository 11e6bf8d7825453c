"""[sources.csv]: the dialect of a source's CSV and TSV files, where it is not to be told from their first lines."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from pipeline.base.errors import UserError
from pipeline.base.words import nearest
from pipeline.recipe.section import Section

AUTO: Literal["auto"] = "auto"


class Csv(Section):
    """How delimited files (csv, tsv) are read; what is left out is told from each file's first lines."""

    delimiter: str = Field(
        AUTO,
        min_length=1,
        max_length=16,
        description='auto | what stands between two fields, such as ";", "\\t" or "||"',
    )
    quote: str = Field(AUTO, description='auto | the character around a field; "" where quotes are plain characters')
    escape: str = Field(
        AUTO, description='auto | the character before a quote within a field; "" where quotes are doubled'
    )
    header: bool | Literal["auto"] = Field(
        AUTO, description="auto | true: the first line names the columns | false: it is data"
    )
    skip_lines: int = Field(0, ge=0, le=1_000_000, description="lines above the table that are passed over")
    comment: str = Field("", max_length=16, description="what a line begins with that is passed over; empty: none")
    columns: list[str] = Field(
        default_factory=list, description="names of the columns from left to right, in the place of a header's"
    )

    @model_validator(mode="after")
    def _marks_differ(self) -> "Csv":
        problems = [
            f"{key} = {value!r}: expected one character, or an empty string for none"
            for key in ("quote", "escape")
            if (value := getattr(self, key)) != AUTO and len(value) > 1
        ]
        if any(mark in self.delimiter for mark in "\r\n"):
            problems.append(f"delimiter = {self.delimiter!r}: a line end separates rows, not fields")
        taken = [self.quote, self.escape] if self.quote != self.escape else [self.quote]
        problems += [
            f"{mark!r} is the delimiter and a quote or escape, too"
            for mark in taken
            if mark and mark != AUTO and mark in self.delimiter and self.delimiter != AUTO
        ]
        problems += [f"{mark!r}: a line end cannot be a quote or escape" for mark in taken if mark in ("\r", "\n")]
        repeated = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if repeated:
            problems.append(f"columns: named twice: {', '.join(repeated)}; each column needs a name of its own")
        if problems:
            raise ValueError("\n".join(problems))
        return self


def csv_of(flag: str, pairs: Sequence[str]) -> Csv:
    r"""The options as a command line gives them: ``key=value``, where a tab may be written ``\t``.

    Args:
        flag: That they are given with, for what is wrong with them.
        pairs: Each one key; a list is separated by commas.

    Raises:
        UserError: With every key that is unknown or cannot have its value.

    Example:
        >>> csv_of("--csv", ["delimiter=\\t", "columns=id,text", "header=false"]).columns
        ['id', 'text']
    """
    given: dict[str, Any] = {}
    problems: list[str] = []
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            problems.append(f"{flag} {pair}: expected KEY=VALUE, such as {flag} delimiter=;")
        elif key not in Csv.model_fields:
            known = list(Csv.model_fields)
            problems.append(f"{flag} {key}: unknown key{nearest(key, known)}; there are {', '.join(known)}")
        else:
            given[key] = value.split(",") if key == "columns" else value.replace("\\t", "\t")
    try:
        csv = Csv(**given)
    except ValidationError as error:
        for problem in error.errors():
            name = f"{problem['loc'][0]}={problem['input']}: " if problem["loc"] else ""
            problems.append(f"{flag} {name}{problem['msg'].removeprefix('Value error, ')}")
    if problems:
        raise UserError("\n".join(dict.fromkeys(problems)))
    return csv
