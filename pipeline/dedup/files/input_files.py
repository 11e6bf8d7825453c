"""The user's own files for ``tokenmill dedup run``: which there are, how they are split, that they stay as they are.

JSON Lines (plain or compressed), Parquet, and Arrow (IPC file, stream, Feather).  Files are named by their path below
the deepest folder that all inputs share, and sorted by it in byte order.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base import storage
from pipeline.base.console import say
from pipeline.base.errors import RunError, UserError
from pipeline.readers.columns.footers import Footers
from pipeline.readers.encodings import utf16_of
from pipeline.readers.parts.formats import format_of
from pipeline.readers.parts.inputs import InputFile, list_inputs
from pipeline.readers.parts.partition import partition_bytes, split
from pipeline.readers.raw.compression import compression_of
from pipeline.readers.streams import CHUNK_BYTES, RangeReader

FORMATS = ("jsonl", "parquet", "arrow")
PROBE_BYTES = 4096


@dataclass(frozen=True)
class File:
    """One input file.

    ``path`` is its name below the shared folder, ``local`` opens it; ``size`` and ``changed`` (nanoseconds) tell
    whether it is still the file that was listed.
    """

    path: str
    local: Path
    format: str
    compression: str | None
    size: int
    changed: int

    def check(self) -> None:
        """Raises ``RunError`` where the file is not what it was when the command started."""
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
        return self.file.format == "jsonl" and self.file.compression is None


@dataclass(frozen=True)
class Listing:
    """The input files below their shared folder, and those of folders that are in no format that can be read."""

    root: str
    files: tuple[File, ...]
    passed_over: tuple[str, ...]


def list_files(inputs: Sequence[str]) -> Listing:
    """The files of the command's INPUT arguments; says which ones of a folder are passed over.

    Raises:
        UserError: If an input names no file, or a file named by itself cannot be read or is in another format.
    """
    paths = [path if "://" in path else os.path.abspath(os.path.expanduser(path)) for path in inputs]
    named = {path for path in paths if "://" in path or not storage.is_folder(path)}
    files: list[File] = []
    passed_over: list[str] = []
    found = list_inputs("INPUT", paths)
    for item in found.files:
        if item.excluded is not None:
            passed_over.append(item.path)
            continue
        if item.error is not None:
            raise UserError(f"{item.path}: {item.error}")
        file = _file(item)
        if file.format in FORMATS:
            files.append(file)
        elif item.url in named:
            raise UserError(f"{item.path}: expected JSON Lines, Parquet or Arrow, found {file.format}")
        else:
            passed_over.append(item.path)
    if not files:
        there = ", ".join(passed_over[:5]) or "nothing"
        raise UserError(f"no JSON Lines, Parquet or Arrow file in {', '.join(inputs)}; found {there}")
    for path in passed_over:
        say(f"passed over, neither JSON Lines, Parquet nor Arrow: {path}")
    return Listing(found.root, tuple(files), tuple(passed_over))


def _file(found: InputFile) -> File:
    try:
        local = storage.open_local(found.url)
        status = os.stat(local)
        with open(local, "rb") as opened:
            head = opened.read(PROBE_BYTES)
    except OSError as error:
        raise UserError(f"{found.path}: cannot be read: {error.strerror or error}") from error
    kind = format_of(found, "auto")
    compression = compression_of(head) if kind in ("json", "jsonl") else None
    if kind == "json":
        kind = "jsonl" if _holds_lines(local, compression) else "JSON that is not one object per line"
    if kind == "jsonl" and utf16_of(head) and compression is None:
        raise UserError(f"{found.path}: UTF-16 or UTF-32; convert it to UTF-8 first, as with iconv")
    return File(found.path, local, kind, compression, status.st_size, status.st_mtime_ns)


def file_at(path: str, local: str) -> File:
    """A file that was an input once, as it is now."""
    return _file(InputFile(path, local, os.path.getsize(local)))


def _holds_lines(local: Path, compression: str | None) -> bool:
    """True where the first line of a ``.json`` file is an object by itself."""
    import orjson

    from pipeline.readers.streams import Limits, chunks

    with RangeReader(local, 0, local.stat().st_size) as reader:
        first = next(chunks(reader, Limits()), b"")
    line = first.lstrip().partition(b"\n")[0] if isinstance(first, bytes) else b""
    if len(line) >= CHUNK_BYTES:
        return True
    try:
        return type(orjson.loads(line)) is dict
    except ValueError:
        return False


def parts_of(files: Sequence[File]) -> Iterator[list[Part]]:
    """The jobs of a pass over the files, in order: parts of about equal size, small files together."""
    target = partition_bytes(sum(file.size for file in files))
    job: list[Part] = []
    with Footers() as footers:
        for file in files:
            listed = InputFile(file.path, str(file.local), file.size)
            for piece in split(listed, file.format, target, footers):
                part = Part(file, piece.start, piece.end, piece.unit, piece.size)
                if job and sum(other.size for other in job) + part.size > target:
                    yield job
                    job = []
                job.append(part)
    if job:
        yield job
