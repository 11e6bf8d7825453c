"""What the sources of a recipe hold: files, bytes, formats, columns of the first record, and what nobody will read."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pipeline.base.words import counted, listed
from pipeline.clean.stage import source_inputs
from pipeline.proposal.sources import Found, look_at
from pipeline.readers.parts.first import TABULAR, first_records
from pipeline.readers.parts.inputs import InputFile
from pipeline.recipe.options import Recipe, Source
from pipeline.screen.kind_words import kinds_listed, tally

MOST_NAMED = 3


@dataclass
class Looked:
    """One source as it lies there."""

    name: str
    found: Found
    run: str = ""  # the run folder
    columns: dict[str, list[str]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        found = self.found
        return {
            "files": found.files,
            "bytes": found.bytes,
            "formats": dict(sorted(found.formats.items())),
            "columns": self.columns,
            "unsupported": dict(sorted(found.unsupported.items())),
            "excluded": dict(sorted(found.excluded.items())),
            "unreadable": found.unreadable,
            "naming_nothing": list(found.inputs.naming_nothing),
        }

    def lines(self) -> Iterator[str]:
        """For a person."""
        found = self.found
        size = f"{counted(found.files, 'file')}, {found.bytes / 1e6:,.1f} MB"
        unwanted = found.inputs.unwanted
        more = f"; {counted(unwanted, 'other')} left out by include and exclude" if unwanted else ""
        yield f"source {self.name}: {size}: {tally(found.formats) or 'nothing that is read'}{more}"
        if told := found.inputs.globs_in_vain(self.run):
            yield f"  {told}"
        for path, names in self.columns.items():
            yield f"  columns of {path}: {listed(names)}"
        if found.unsupported or found.excluded:
            yield f"  not read: {kinds_listed(found.unsupported + found.excluded)}"
        if found.unreadable:
            named = ", ".join(found.unreadable[:MOST_NAMED])
            yield f"  cannot be read: {counted(len(found.unreadable), 'file')}, such as {named}"


def look_at_sources(recipe: Recipe, run: str = "") -> list[Looked]:
    """Each source of a recipe; members of archives are not looked into.

    Args:
        recipe: The recipe.
        run: The run folder.

    Raises:
        UserError: If a path names no file.
    """
    return [_look_at(source, run) for source in recipe.sources]


def _look_at(source: Source, run: str) -> Looked:
    inputs = source_inputs(source)
    if "." in source.format:  # a datatrove reader finds its records itself
        found = Found(inputs, len(inputs.files), sum(file.size for file in inputs.files))
        found.formats[source.format] = len(inputs.files)
        return Looked(source.name, found, run)
    looked = Looked(source.name, look_at(inputs, source.format), run)
    for kind in TABULAR:
        for file in looked.found.tables.get(kind, ())[:1]:
            looked.columns[file.path] = _columns(looked.found, file, source)
    return looked


def _columns(found: Found, file: InputFile, source: Source) -> list[str]:
    first = first_records(found.inputs, file, source.format, limit=1)
    return [column.name for column in first.columns]
