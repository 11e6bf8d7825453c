"""A part of a partition -> the items of its format's reader."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pipeline.base import storage
from pipeline.base.errors import NO_FILE_S_FAULT, NO_RECORD_S_FAULT, in_words, out_of_memory
from pipeline.readers.columnar_rows import read_arrow, read_parquet
from pipeline.readers.delimited.read import read_delimited
from pipeline.readers.encodings import AsUtf8
from pipeline.readers.jsonl import read_json, read_jsonl
from pipeline.readers.papers import read_paper
from pipeline.readers.parts.archives import MemberReader, read_zip
from pipeline.readers.parts.formats import BINARY, HEAD_BYTES, PAPERS, SNIFF_BYTES, binary_kind, format_of_bytes
from pipeline.readers.parts.inputs import BROKEN_LINK, OUTSIDE_LINK
from pipeline.readers.parts.partition import FIRST_ROWS, Part
from pipeline.readers.parts.saved_datasets import CACHED_COPY, LIBRARY_FILE
from pipeline.readers.parts.tar_archives import read_tar
from pipeline.readers.ranges import RangeReader
from pipeline.readers.raw.kinds import PDF, kind_of
from pipeline.readers.raw.ledger import Ledger
from pipeline.readers.records import Damaged, Excluded, Fields, Item, Record, unsupported
from pipeline.readers.streams import Gap, Limits, Watched, chunks, counted
from pipeline.readers.text import read_separated, read_whole
from pipeline.readers.warc import read_warc
from pipeline.recipe.csv_options import Csv
from pipeline.recipe.globs import Members

DETAILS = {
    BROKEN_LINK: "a symbolic link to nothing",
    OUTSIDE_LINK: "a symbolic link out of the source's folder: name what it leads to in paths, or set follow_links",
    LIBRARY_FILE: "what the library datasets says of the data beside it",
    CACHED_COPY: "rows that the library datasets made of the data beside it; name the file itself to read it",
}


@dataclass(frozen=True)
class ReadOptions:
    """How a source is read, as the recipe says."""

    fields: Fields
    limits: Limits = field(default_factory=Limits)
    http_statuses: frozenset[int] = frozenset({200})
    separator: str | None = None
    encoding: str | None = None
    csv: Csv | None = None
    named_format: str = "auto"
    members: Members | None = None  # which of an archive; None: all
    reader_options: Mapping[str, Any] = field(default_factory=dict)  # of a datatrove reader


@dataclass
class PartReader:
    """Reads the parts of one partition; ``digests`` then holds what was read.

    Args:
        root: Folder or URL below which the parts lie.
        options: How to read.
        names: True names of files whose name is not valid Unicode, hex of their bytes.
        deadly: Keys of parts that end the process which reads them.
        digesting: Whether ``digests`` are wanted.
        planned: Size and version of each file when the parts were planned, as ``InputFile`` has them: what has become
            of a file since is told. Empty: nobody asks.

    Attributes:
        ledger: The bytes of the part that is read, or was read last.
    """

    root: str
    options: ReadOptions
    names: Mapping[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    deadly: frozenset[str] = frozenset()
    digesting: bool = True
    planned: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)

    def read(self, part: Part) -> Iterator[Item]:
        """Every item of a part; what reading it raises is its last one."""
        path, self.ledger = part.path, Ledger(part.size)
        if part.error is not None and part.unit == "excluded":
            yield Excluded(path, 0, part.error, DETAILS[part.error])
            return
        if part.error is not None:
            yield Damaged(path, 0, None, "unreadable", part.error)
            return
        if part.key in self.deadly:
            detail = "reading it ends the process: out of memory, or a fault of a library"
            yield Damaged(path, part.start, part.size, "process_died", detail)
            return
        url = part.url(self.root, self.names)
        if part.unit == "dataset":
            yield from guarded(self._dataset(part, url), path, lambda: (0, None))
            return
        try:
            local = storage.open_local(url)
            opened = local.stat()
            reader = part.open(local, digests=self.digesting)
        except OSError as error:
            yield Damaged(path, part.start, None, "unreadable", why_unread(error))
            return
        with reader:
            try:
                items = self._items(reader, local, part)
                some = islice(items, part.end) if part.unit == FIRST_ROWS else items
                for item in guarded(some, path, lambda: _left(reader)):
                    yield item if isinstance(item, Record) else _with_hint(item, reader, part.format)
                if self.digesting and part.unit != FIRST_ROWS:
                    self.digests[part.key] = reader.digest()
                if path in self.planned and not reader.shrank and storage.is_local(url):
                    yield from changes_since(self.planned[path], opened, local, part)
            except OSError as error:
                yield Damaged(path, reader.position, reader.end - reader.position, "unreadable", why_unread(error))

    def _dataset(self, part: Part, url: str) -> Iterator[Item]:
        from pipeline.readers.datatrove import dataset_digest, read_dataset

        options = self.options
        yield from read_dataset(part.format, options.reader_options, url, part.path, options.fields)
        self.digests[part.key] = dataset_digest(url)

    def _items(self, reader: RangeReader, local: Path, part: Part) -> Iterator[Item]:
        path, kind, options = part.path, part.format, self.options
        if kind == BINARY:
            yield Excluded(path, 0, unsupported(binary_kind(reader.peek(0, HEAD_BYTES))))
        elif kind == "warc":
            yield from read_warc(reader, path, options.limits, options.http_statuses, self.ledger)
        elif kind == "parquet":
            groups = (part.start, part.end, part.size) if part.unit == "row_groups" else (0, None, None)
            yield from read_parquet(local, path, options.fields, options.limits, *groups)
        elif kind == "arrow":
            yield from read_arrow(local, path, options.fields, options.limits)
        elif kind == "zip":
            yield from read_zip(local, path, self._members(path))
        elif kind == "tar":
            yield from read_tar(reader, path, options.limits, self._members(path))
        elif "." in kind:
            from pipeline.readers.datatrove import read_file

            yield from read_file(kind, options.reader_options, local, path, options.fields)
        else:
            yield from self._stream(chunks(reader, options.limits), path, kind, part.start)

    def _stream(self, data: Iterator[bytes | Gap], path: str, kind: str, start: int = 0) -> Iterator[Item]:
        """Items of a format that is read from front to back, and one for what its reader leaves, which none should."""
        watched = Watched(data)
        yield from read_stream(watched, path, kind, self.options, start, self.ledger)
        offset = start + watched.given
        if left := watched.rest():
            detail = f"the reader of {kind} stopped before the end; this is a fault of tokenmill"
            self.ledger.given += left
            yield Damaged(path, offset, left, "unread_bytes", detail)

    def _members(self, path: str) -> MemberReader:
        def stream(data: Iterator[bytes | Gap], member: str, kind: str) -> Iterator[Item]:
            return guarded(self._stream(data, member, kind), member, lambda: (0, None))

        def file(local: Path, member: str, kind: str) -> Iterator[Item]:
            size = local.stat().st_size
            with RangeReader(local, 0, size) as reader:
                items = self._items(reader, local, Part(member, kind, 0, size))
                yield from guarded(items, member, lambda: (0, None))

        options = self.options
        return MemberReader(path, options.named_format, options.limits, stream, file, options.members)


def why_unread(error: OSError) -> str:
    """What the system said of a file.

    Raises:
        OSError: If it is no fault of the file: of a full disk for members of archives, of a process out of files.
    """
    if error.errno in NO_FILE_S_FAULT:
        raise error
    return f"file cannot be read: {error.strerror or error}"


def changes_since(planned: tuple[int, str], opened: os.stat_result, local: Path, part: Part) -> Iterator[Damaged]:
    """What has become of a file since it was planned, and is in no other item: it grew, or others were written.

    A file of one part that was only touched, or written anew before it was opened, was read as it stands: nothing is
    told.  Of several parts some may have been read before.

    Args:
        planned: Its size and version then.
        opened: What the system said of it when it was opened.
        local: The file.
        part: What was read of it: what was added to a file is told by its last part.
    """
    size, version = planned
    try:
        now = local.stat()
    except FileNotFoundError:
        yield Damaged(part.path, part.start, None, "file_changed", "the file is gone since it was read", lost=0)
        return
    is_last = part.unit != "bytes" or part.end == size
    if now.st_size > size and is_last:
        detail = f"{now.st_size - size:,} bytes were added since the run was planned; the next run reads them"
        yield Damaged(part.path, size, now.st_size - size, "file_grew", detail, lost=0)
    elif version and str(now.st_mtime_ns) != version and not (part.is_whole(size) and _same(opened, now)):
        detail = (
            "the file was written to since the run was planned; if that shows in what was read, the next run reads anew"
        )
        yield Damaged(part.path, part.start, None, "file_changed", detail, lost=0)


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_ino, one.st_size, one.st_mtime_ns) == (other.st_ino, other.st_size, other.st_mtime_ns)


def guarded(items: Iterator[Item], path: str, place: Callable[[], tuple[int, int | None]]) -> Iterator[Item]:
    """The items; what reading them raises becomes the last one.

    Args:
        items: From a reader.
        path: Of the file or member that is read.
        place: Says, once reading has failed, where what was not read begins, and its length where it is known.

    Raises:
        TokenmillError, OSError, ImportError: As they are.
        RunError: If memory ran out.
    """
    try:
        yield from items
    except NO_RECORD_S_FAULT:
        raise
    except MemoryError as error:
        raise out_of_memory(path) from error
    except Exception as error:  # noqa: BLE001  whatever it is, it costs this part
        start, length = place()
        yield Damaged(path, start, length, "reader_failed", in_words(error))


def _left(reader: RangeReader) -> tuple[int, int]:
    """Where what was not read begins, and its bytes."""
    return reader.position, reader.end - reader.position


def _with_hint(item: Item, reader: RangeReader, kind: str) -> Item:
    """Adds to the damage of a file that is not in its format which format it looks like."""
    if isinstance(item, Damaged) and item.reason == "corrupt_file":
        seems = format_of_bytes(reader.peek(0, SNIFF_BYTES))
        if seems not in (kind, "text", BINARY):
            item.detail = f"{item.detail}; it begins like {seems}: state its format in the recipe"
    return item


def read_stream(
    data: Iterator[bytes | Gap], path: str, kind: str, options: ReadOptions, start: int, ledger: Ledger
) -> Iterator[Item]:
    """Items of a format that is read from front to back; what its reader is given is counted in the ledger."""
    first = next(data, b"")
    looked_at = isinstance(first, bytes) and start == 0 and kind not in PAPERS
    binary = kind_of(first) if isinstance(first, bytes) and looked_at else None
    if binary == PDF and kind in ("text", "html"):
        kind = "pdf"
    elif isinstance(first, bytes) and binary is not None:  # whatever its name says
        rest = sum(len(chunk) for chunk in data if isinstance(chunk, bytes))
        yield _of_another_kind(path, first, kind, binary, len(first) + rest)
        return
    data = chain([first], data)
    if kind not in ("jsonl", "json", "csv", "tsv") and not (kind == "text" and options.separator):
        yield from _records(counted(data, ledger), path, kind, options, start, ledger)
        return
    text = AsUtf8(data, options.encoding, detect=kind in ("csv", "tsv"))
    for item in _records(counted(iter(text), ledger), path, kind, options, start, ledger):
        if text.encoding is not None and isinstance(item, Record):
            item.columns = {**(item.columns or {}), "decoded_as": text.encoding}
        yield item


def _records(
    data: Iterator[bytes | Gap], path: str, kind: str, options: ReadOptions, start: int, ledger: Ledger
) -> Iterator[Item]:
    """What the format's reader gives."""
    if kind in PAPERS:
        yield from read_paper(data, path, kind, options.limits)
    elif kind == "jsonl":
        yield from read_jsonl(data, path, options.fields, options.limits, start, ledger)
    elif kind == "json":
        yield from read_json(data, path, options.fields, options.limits, ledger)
    elif kind in ("csv", "tsv"):
        mark = "," if kind == "csv" else "\t"
        yield from read_delimited(data, path, mark, options.fields, options.limits, options.csv)
    elif kind == "text" and options.separator:
        yield from read_separated(data, path, options.separator, options.limits)
    elif kind in ("text", "html"):
        yield from read_whole(data, path, kind, options.limits, options.encoding)
    else:
        raise ValueError(f"{path}: no reader for the format {kind}")


def _of_another_kind(path: str, first: bytes, kind: str, binary: str, length: int) -> Item:
    """The item for a file whose first bytes are of a kind that its format's reader does not read."""
    if format_of_bytes(first) not in (BINARY, "pdf"):
        return Damaged(path, 0, length, "corrupt_file", f"no {kind}")
    return Excluded(path, 0, unsupported(binary), length=length)
