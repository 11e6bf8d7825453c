"""The user's own files for ``tokenmill dedup run``: which there are, how they are split, that they stay as they are.

Which format a file is in, and where it is split, is told by the code that ``tokenmill run`` reads with.  Files are
named by their path below the deepest folder that all inputs share, and sorted by it in byte order.
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base import storage
from pipeline.base.console import say
from pipeline.base.errors import RunError, UserError
from pipeline.base.words import counted
from pipeline.dedup.files.own_outputs import own_outputs
from pipeline.readers.columns.footers import Footers
from pipeline.readers.encodings import utf16_of
from pipeline.readers.parts import partition
from pipeline.readers.parts.formats import BINARY, HEAD_BYTES, binary_kind, format_of
from pipeline.readers.parts.inputs import InputFile, list_inputs
from pipeline.readers.raw.compression import compression_of
from pipeline.readers.records import unsupported
from pipeline.screen.kind_words import reason_named

COLUMNAR = ("parquet", "arrow")
READABLE = "text, HTML, JSON, CSV, Parquet, Arrow, WARC, Office and mail files, and archives of these"


@dataclass(frozen=True)
class File:
    """One input file.

    Attributes:
        path: Its name below the shared folder.
        local: Opens it.
        format: The reader's name for it.
        compression: Of the whole file, where its format is read from front to back.
        size: Bytes; with ``changed`` (nanoseconds) it tells whether this is still the file that was listed.
        changed: When it was last changed.
        wide: It is text in UTF-16 or UTF-32.
        error: Why it cannot be read, where that is known.
    """

    path: str
    local: Path
    format: str
    compression: str | None
    size: int
    changed: int
    wide: bool = False
    error: str | None = None

    @property
    def is_plain(self) -> bool:
        """True where the bytes on disk are those that its reader is given."""
        return self.compression is None and not self.wide

    def check(self) -> None:
        """Raises ``RunError`` where the file is not what it was when the command started."""
        if self.error is not None:
            return
        try:
            status = os.stat(self.local)
        except OSError as error:
            raise RunError(f"{self.path}: the file was there at the start and is gone: {error.strerror}") from error
        if (status.st_size, status.st_mtime_ns) != (self.size, self.changed):
            raise RunError(f"{self.path}: the file was changed while it was read; nothing was written, run again")


@dataclass(frozen=True)
class Part:
    """A range of one file: bytes, or row groups of a Parquet file (``unit``); ``size`` is its bytes."""

    file: File
    start: int
    end: int
    unit: str
    size: int

    @classmethod
    def whole(cls, file: File) -> "Part":
        """All of a file."""
        return cls(file, 0, file.size, "bytes", file.size)

    @property
    def splittable(self) -> bool:
        """True where a record's bytes can be read and copied alone: plain JSON Lines."""
        return self.file.format == "jsonl" and self.file.is_plain

    def to_read(self) -> partition.Part:
        """The part as the readers take it."""
        file = self.file
        return partition.Part(file.path, file.format, self.start, self.end, self.unit, self.size, file.error)


@dataclass(frozen=True)
class Listing:
    """The input files below their shared folder; ``passed_over`` are those that are not read, each with the reason."""

    root: str
    files: tuple[File, ...]
    passed_over: Mapping[str, str]


def list_files(inputs: Sequence[str], leaving_out: Path | None = None) -> Listing:
    """The files of the command's INPUT arguments; says which ones are passed over, one line a reason.

    Args:
        inputs: Files, globs and folders.
        leaving_out: A file that is to be written, and not read where a folder holds it.

    Raises:
        UserError: If an input names no file, or a file named by itself cannot be read or is of a kind without text.
    """
    paths = [path if "://" in path else os.path.abspath(os.path.expanduser(path)) for path in inputs]
    named = {path for path in paths if "://" in path or not storage.is_folder(path)}
    found = list_inputs("INPUT", paths)
    own = own_outputs(paths, found.files)
    own |= {} if leaving_out is None or str(leaving_out) in named else {str(leaving_out): "the output of this command"}
    files: list[File] = []
    passed_over: dict[str, str] = {}
    for item in found.files:
        reason = item.excluded or own.get(item.url)
        file = None if reason is not None else _file(item, named=item.url in named)
        if file is not None and file.format == BINARY:
            reason = unsupported(_binary_kind(file.local))
            if item.url in named:
                raise UserError(f"{item.path}: not read ({reason_named(reason, 1)}); expected {READABLE}")
        if file is None or reason is not None:
            passed_over[item.path] = str(reason)
        else:
            files.append(file)
    _say_passed_over(passed_over)
    if not files:
        there = ", ".join(list(passed_over)[:5]) or "nothing"
        raise UserError(f"nothing to read in {', '.join(inputs)}: expected {READABLE}; found {there}")
    return Listing(found.root, tuple(files), passed_over)


def _say_passed_over(passed_over: Mapping[str, str]) -> None:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for path, reason in passed_over.items():
        by_reason[reason].append(path)
    for reason, names in sorted(by_reason.items()):
        such = names[0] if len(names) == 1 else f"{counted(len(names), 'file')}, such as {names[0]}"
        say(f"passed over ({reason_named(reason, len(names))}): {such}")


def _binary_kind(local: Path) -> str:
    with open(local, "rb") as opened:
        return binary_kind(opened.read(HEAD_BYTES))


def _file(found: InputFile, *, named: bool) -> File:
    try:
        if found.error is not None:
            raise UserError(f"{found.path}: {found.error}")
        return _readable_file(found)
    except UserError as error:
        if named:
            raise
        why = str(error).removeprefix(f"{found.path}: ")
        return File(found.path, Path(found.url), "text", None, 0, 0, error=why)


def _readable_file(found: InputFile) -> File:
    try:
        local = storage.open_local(found.url)
        status = os.stat(local)
        with open(local, "rb") as opened:
            head = opened.read(HEAD_BYTES)
        kind = format_of(found, "auto")
    except OSError as error:
        raise UserError(
            f"{found.path}: cannot be read: {error.strerror or error}; make it readable, or leave it out"
        ) from error
    compression = compression_of(head) if kind not in COLUMNAR else None
    wide = compression is None and utf16_of(head) is not None
    return File(found.path, local, kind, compression, status.st_size, status.st_mtime_ns, wide)


def file_at(path: str, local: str) -> File:
    """A file that was an input once, as it is now."""
    return _readable_file(InputFile(path, local, os.path.getsize(local)))


def parts_of(files: Sequence[File]) -> Iterator[list[Part]]:
    """The jobs of a pass over the files, in order: parts of about equal size, small files together."""
    target = partition.partition_bytes(sum(file.size for file in files))
    job: list[Part] = []
    size = 0
    with Footers() as footers:
        for file in files:
            for part in _parts_of(file, target, footers):
                if job and size + part.size > target:
                    yield job
                    job, size = [], 0
                job.append(part)
                size += part.size
    if job:
        yield job


def _parts_of(file: File, target: int, footers: Footers) -> Iterator[Part]:
    if file.error is not None:
        yield Part.whole(file)
        return
    listed = InputFile(file.path, str(file.local), file.size)
    for piece in partition.split(listed, file.format, target, footers):
        yield Part(file, piece.start, piece.end, piece.unit, piece.size)
