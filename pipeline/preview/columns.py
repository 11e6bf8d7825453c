"""Columns that the recipe names and no record has, told from the first records of the files, before the stage reads.

A source is refused only where it holds tables alone and the first records of every one of them lack the text: if some
files have it, what lacks it is quarantined, and the gate ``clean.max_quarantined`` decides.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from pipeline.base.errors import UserError
from pipeline.base.words import counted, listed
from pipeline.clean.settings import Settings, job_config
from pipeline.clean.stage import source_inputs
from pipeline.proposal.text_fields import text_fields
from pipeline.readers.parts.first import FIRST_RECORDS, TABULAR, first_records
from pipeline.readers.parts.formats import format_if_told
from pipeline.readers.parts.inputs import InputFile, SourceInputs, odd_names
from pipeline.readers.parts.part_reader import PartReader, ReadOptions
from pipeline.readers.parts.partition import MAX_PARTITION_BYTES, split
from pipeline.readers.records import Damaged, Item
from pipeline.recipe.load import toml_value
from pipeline.recipe.options import Recipe, Source
from pipeline.run.tables import DOCUMENTS

STATED = frozenset({"parquet", "arrow", "csv", "tsv"})  # a file that says which columns all of its records have


def refused(recipe: Recipe) -> Iterator[str]:
    """Columns that no source has, a sentence each."""
    try:
        tables = [tables_of(source) for source in recipe.sources]
    except UserError:  # a path that names no file: the plan of the stage says so
        return
    for source, (inputs, files) in zip(recipe.sources, tables, strict=True):
        if files and recipe.clean.max_quarantined < 1.0:  # else all of it may be without a text
            yield from _without_text(recipe, source, inputs, files)
        yield from _unknown_fields(source, inputs, files)
    yield from _unknown_keep(recipe, tables)


def tables_of(source: Source) -> tuple[SourceInputs, list[InputFile]]:
    """The files of a source, and its tables where all that can be read are tables; else none."""
    inputs = source_inputs(source)
    readable = [file for file in inputs.files if file.error is None and file.excluded is None]
    if any(file.is_dataset for file in readable) or "." in source.format:
        return inputs, []
    return inputs, readable if all(format_if_told(file, source.format) in TABULAR for file in readable) else []


def _without_text(recipe: Recipe, source: Source, inputs: SourceInputs, files: Sequence[InputFile]) -> Iterator[str]:
    options = Settings.from_config(job_config(recipe.clean, source, [])).read_options()
    if not all(lacks_text(inputs, file, source, options) for file in files):
        return
    first = files[0]
    names = [column.name for column in first_records(inputs, first, source.format).columns]
    wanted = options.fields.html_name or " or ".join(options.fields.names["text"])
    where = f"in {first.path}" if len(files) == 1 else f"in {first.path}, nor in any of {counted(len(files), 'file')}"
    yield (
        f"source {source.name}: no record has a text: there is no {wanted} {where}; columns: {listed(names)}. "
        f"{_cure(source, inputs, first)}"
    )


def lacks_text(inputs: SourceInputs, file: InputFile, source: Source, options: ReadOptions) -> bool:
    """Whether the first records of a table lack the column of the text; false where anything else is the matter."""
    items = first_items_of(inputs, file, source, options)
    if not items or not all(isinstance(item, Damaged) and item.reason == "missing_text" for item in items):
        return False
    wanted = (options.fields.html_name,) if options.fields.html_name else options.fields.names["text"]
    return not any(column.name in wanted for column in first_records(inputs, file, source.format).columns)


def first_items_of(inputs: SourceInputs, file: InputFile, source: Source, options: ReadOptions) -> list[Item]:
    """The first items of a file as the run will read them."""
    part = next(iter(split(file, source.format, MAX_PARTITION_BYTES)), None)
    reader = PartReader(inputs.root, options, odd_names(inputs.root, [file]))
    return list(islice(reader.read(part), FIRST_RECORDS)) if part is not None else []


def _cure(source: Source, inputs: SourceInputs, file: InputFile) -> str:
    """The line that makes the source readable, where one column looks like its text."""
    found, _ = text_fields(inputs, file)
    text = {name: found[name] for name in ("text", "html", "messages") if name in found} or {"text": "COLUMN"}
    others = {name: theirs for name, theirs in source.fields.items() if name not in ("text", "html", "messages")}
    return f"Set in this source: fields = {toml_value({**text, **others})}"


def _unknown_fields(source: Source, inputs: SourceInputs, files: Sequence[InputFile]) -> Iterator[str]:
    """Fields beside the text that no file has, where every file states its columns."""
    wanted = {ours: theirs for ours, theirs in source.fields.items() if ours not in ("text", "html", "messages")}
    if not wanted or not files or any(format_if_told(file, source.format) not in STATED for file in files):
        return
    seen: list[str] = []
    for file in files:
        found = first_records(inputs, file, source.format)
        if not found.values:
            return  # of an empty or damaged file nothing is known
        seen += [column.name for column in found.columns if column.name not in seen]
        wanted = {ours: theirs for ours, theirs in wanted.items() if not _stands(theirs, seen)}
        if not wanted:
            return
    for ours, theirs in wanted.items():
        yield f"source {source.name}: fields.{ours} = {theirs!r}: no record has it; columns: {listed(seen)}"


def _stands(name: str, columns: Sequence[str]) -> bool:
    """Whether a column, or what it lies within, is there; in either case of letters, as a CSV reader takes it."""
    found = {column.casefold() for column in columns}
    return bool({name.casefold(), name.partition(".")[0].casefold()} & found)


def _unknown_keep(recipe: Recipe, tables: Sequence[tuple[SourceInputs, list[InputFile]]]) -> Iterator[str]:
    """``dedup.keep`` that names a column which no document will have, where every source states its columns."""
    keep, earlier = recipe.dedup.keep, recipe.selection_before("dedup")
    known = "dedup" not in recipe.stages or "filter" in earlier  # a signal may have that name
    if known or keep in ("first", "longest", *DOCUMENTS.schema.names):
        return
    seen: list[str] = []
    for source, (inputs, files) in zip(recipe.sources, tables, strict=True):
        if not files or any(format_if_told(file, source.format) not in STATED for file in files):
            return
        for file in files:
            found = first_records(inputs, file, source.format)
            seen += [column.name for column in found.columns if column.name not in seen]
            if not found.values or _stands(keep, seen):
                return
    yield f"dedup.keep = {keep!r}: no record has it; columns: {listed(seen)}; give one of them, first or longest"
