"""``dedup run`` through standard input and output, and into one file instead of a folder.

The whole job runs in a folder of its own, as ever; then what it kept becomes lines of JSON, or is the file that was
asked for where input and output are one file of the same format.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from pipeline.base import storage
from pipeline.base.errors import RunError, UserError, in_a_sentence
from pipeline.dedup.command.kept_records import json_line
from pipeline.dedup.command.request import Request
from pipeline.dedup.command.run import run
from pipeline.dedup.files.fields import FullFields
from pipeline.dedup.files.input_files import Part, file_at
from pipeline.dedup.files.items import Items
from pipeline.dedup.files.own_outputs import KEPT, REMOVED_FILE
from pipeline.dedup.files.packed import compression_of_name, compressor
from pipeline.dedup.files.table_file import TableFile
from pipeline.readers.delimited.dialect import dialect_of, line_that_names
from pipeline.readers.encodings import utf16_of
from pipeline.readers.parts.formats import BINARY, HEAD_BYTES, format_of_bytes, format_of_name
from pipeline.readers.ranges import RangeReader
from pipeline.readers.raw.compression import Inflater, compression_of, decompression_errors
from pipeline.readers.records import Record
from pipeline.readers.streams import Limits, chunks
from pipeline.recipe.csv_options import Csv
from pipeline.run.table_files import batches
from pipeline.run.tables import REMOVED

STANDARD = "-"  # input or output
_INPUT_NAME = "stdin"
_FORMATS = ("warc", "parquet", "arrow", "zip", "tar", "docx", "odt", "epub", "pdf", "html")  # told by their first bytes
_SAMPLE_LINES = 20
_COPY_BYTES = 1 << 20


def run_anywhere(request: Request, removed: TableFile | None = None) -> dict[str, Any]:
    """Runs the command, whatever its input and output are.

    Args:
        request: What is asked for; ``-`` stands for standard input and output.
        removed: The table of removed records to write beside.

    Raises:
        UserError: If input and output do not go together.
        RunError: If something cannot be written.
    """
    to_folder = not request.one_file and str(request.output) != STANDARD
    if not to_folder:
        _check_format(request)
    beside = request.output.parent if request.one_file else None
    if beside is not None:
        beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tokenmill-dedup-", dir=beside) as place:
        if STANDARD in request.inputs:
            request = replace(request, inputs=(str(_spooled(request, Path(place))),))
        made = request.output if to_folder else Path(place) / "out"
        leaving_out = None if to_folder else request.output.absolute()
        summary = run(replace(request, output=made), leaving_out)
        if request.dry_run:
            return summary
        if removed is not None:
            removed.publish(pa.Table.from_batches([batch]) for batch in batches(made / REMOVED_FILE, REMOVED))
        if not to_folder:
            _deliver(request, made / KEPT, Path(place))
    return summary


def _check_format(request: Request) -> None:
    if str(request.output) == STANDARD:
        return
    kind = format_of_name(request.output.name)
    same = [name for name in request.inputs if _ending(name) == _ending(request.output.name)]
    if kind != "jsonl" and not (len(request.inputs) == len(same) == 1 and os.path.isfile(request.inputs[0])):
        raise UserError(
            f"--output {request.output}: one file is written as JSON Lines (.jsonl, also .gz, .zst), or in the format "
            "of the one file that is read; for anything else name a folder"
        )


def _ending(name: str) -> tuple[str | None, str | None]:
    return format_of_name(name), compression_of_name(name)


def _spooled(request: Request, folder: Path) -> Path:
    """Standard input as a file."""
    if len(request.inputs) > 1:
        raise UserError(f"INPUT {STANDARD}: standard input is read alone, and other inputs were named beside it")
    path = folder / _INPUT_NAME
    with open(path, "wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, _COPY_BYTES)
    with open(path, "rb") as file:
        kind = _format_of(file.read(HEAD_BYTES), request)
    named = path.with_suffix(f".{kind}")
    os.rename(path, named)
    return named


def _format_of(head: bytes, request: Request) -> str:
    """The format of what begins so, as the suffix of a name: CSV where its first lines name the text, or it is stated.

    JSON Lines and JSON are read alike, but for a list.
    """
    kind = format_of_bytes(head)
    if kind in _FORMATS:
        return kind
    compression = compression_of(head)
    try:
        plain = Inflater(compression).decompress(head, HEAD_BYTES) if compression else head
    except decompression_errors():
        return "jsonl"  # its reader says what is wrong with it
    wide = utf16_of(plain)
    text = (plain.decode(wide, "replace") if wide else plain.decode(errors="surrogateescape")).removeprefix("\ufeff")
    start = text.lstrip()
    if start.startswith("["):
        return "json"
    if start.startswith("{") or kind == BINARY:
        return "jsonl"
    lines = text.splitlines(keepends=True)[:_SAMPLE_LINES]
    wanted = list(request.wanted.names["text"])
    dialect = dialect_of(lines, ",", request.csv or Csv(), wanted)
    is_table = request.csv is not None or line_that_names(dialect, lines, wanted) is not None
    return "csv" if is_table else "jsonl"


def _deliver(request: Request, kept: Path, scratch: Path) -> None:
    """Makes what was kept appear where it was asked for."""
    names = sorted((path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file()), key=os.fsencode)
    if str(request.output) == STANDARD:
        _write_lines(request, kept, names, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    target = scratch / "one"
    try:
        if len(names) == 1 and _ending(names[0]) == _ending(request.output.name):
            os.rename(kept / names[0], target)
        else:
            with compressor(target, compression_of_name(request.output.name)) as sink:
                _write_lines(request, kept, names, sink)
        storage.publish(target, str(request.output))
    except OSError as error:
        raise RunError(f"cannot be written: {in_a_sentence(error, str(request.output))}") from error


def _write_lines(request: Request, kept: Path, names: Sequence[str], sink: BinaryIO) -> None:
    for name in names:
        file = file_at(name, str(kept / name))
        for data in _bytes_of_lines(Part.whole(file)) if file.format == "jsonl" else _lines(request, Part.whole(file)):
            sink.write(data)


def _bytes_of_lines(part: Part) -> Iterator[bytes]:
    """The decompressed bytes of JSON Lines, with a line feed at the end."""
    last = b"\n"
    with RangeReader(part.file.local, 0, part.file.size, digests=False) as reader:
        for chunk in chunks(reader, Limits()):
            assert isinstance(chunk, bytes), "what was written a moment ago is damaged"
            last = chunk[-1:]
            yield chunk
    if last != b"\n":
        yield b"\n"


def _lines(request: Request, part: Part) -> Iterator[bytes]:
    """The records of a kept file in another format, as lines."""
    for _, item in Items(part, FullFields(request.wanted)):
        if not isinstance(item, Record):
            raise RunError(f"{part.file.path}: what was kept cannot be read again as lines; name a folder as --output")
        yield json_line(item)
