"""What ``tokenmill dedup run`` is asked for; its options are checked by the model of the recipe's ``[dedup]``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.base.errors import UserError
from pipeline.dedup.files.fields import WantedFields
from pipeline.dedup.rule.policy import FIRST, LONGEST
from pipeline.recipe.csv_options import Csv
from pipeline.recipe.options import Dedup

_FLAGS = {"prefer_sources": "--prefer-source", "prefer_licences": "--prefer-licence"}


@dataclass(frozen=True, kw_only=True)
class Request:
    """Files to deduplicate, and how.

    Attributes:
        inputs: Files, globs and folders.
        output: Folder to write to.
        options: Definition of similarity, survivor policy, memory, earlier documents.
        text_field: Field or column with the text.
        id_field: Field or column with the record's id.
        csv: Dialect of CSV and TSV files, where it is not to be told from them.
        url_field: Field with the URL, for ``options.same_url``.
        licence_field: Field with the licence, for ``options.prefer_licences``.
        exact_only: Remove equal texts only.
        verify: Compare the shingle sets of candidates; else go by the estimated similarity.
        workers: Worker processes.
        overwrite: Replace an earlier output at ``output``.
        one_file: ``output`` is a file of all kept records.
        dry_run: Only say what would be read, and what it takes.
    """

    inputs: tuple[str, ...]
    output: Path
    options: Dedup
    text_field: str = "text"
    id_field: str = "id"
    csv: Csv | None = None
    url_field: str = "url"
    licence_field: str = "licence"
    exact_only: bool = False
    verify: bool = True
    workers: int = 1
    overwrite: bool = False
    one_file: bool = False
    dry_run: bool = False

    @property
    def policy_fields(self) -> tuple[str, ...]:
        """Fields that the survivor policy looks at, beside the text."""
        keep = [self.options.keep] if self.options.keep not in (FIRST, LONGEST) else []
        return (*keep, *([self.licence_field] if self.options.prefer_licences else []))

    @property
    def wanted(self) -> WantedFields:
        """The fields of a record that are read."""
        url = [self.url_field] if self.options.same_url else []
        return WantedFields(self.text_field, self.id_field, tuple(dict.fromkeys([*url, *self.policy_fields])), self.csv)


def checked_options(**given: Any) -> Dedup:
    """The options as the recipe's section.

    Raises:
        UserError: With every option that is out of its range, by its name on the command line.
    """
    try:
        return Dedup(**given)
    except ValidationError as error:
        problems = []
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else ""
            message = problem["msg"].removeprefix("Value error, ")
            if name == "memory":
                message = "expected a number and its unit, such as 500MB or 2GB"
            flag = _FLAGS.get(name, f"--{name.replace('_', '-')}") if name else ""
            problems.append(f"{flag} {problem['input']}: {message}" if flag else message)
        raise UserError("\n".join(problems)) from error


def positive(flag: str, value: int) -> int:
    """``value``, which must be at least 1.

    Raises:
        UserError: If it is not.
    """
    if value < 1:
        raise UserError(f"{flag} {value:,}: must be at least 1")
    return value
