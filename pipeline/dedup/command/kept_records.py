"""Last pass: the kept records of a file, in input order, as they were.

How is told by ``way_of``:

- ``bytes``      they have bytes of their own in the file, which the kernel copies: plain JSON Lines, WARC, mailboxes
- ``spans``      they have bytes of their own in the decompressed file, which are compressed again
- ``rows``       CSV and JSON: the same rows or values, with the header or the brackets around them
- ``columns``    Parquet and Arrow (``kept_columns``)
- ``file``       the file is the record
- ``documents``  archives, books, WARC compressed as one stream: records as JSON Lines, at the path and ``.jsonl``
"""

import base64
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.base.errors import RunError, in_a_sentence
from pipeline.dedup.command.kept_columns import write_columns
from pipeline.dedup.files.fields import FullFields, FullRecord, WantedFields
from pipeline.dedup.files.input_files import COLUMNAR, File, Part
from pipeline.dedup.files.items import TABLES_OF_TEXT, Items
from pipeline.dedup.files.packed import compressor
from pipeline.readers.encodings import as_utf8
from pipeline.readers.ranges import RangeReader
from pipeline.readers.records import Damaged, Fields, Record
from pipeline.readers.streams import Gap, Limits, chunks

BOM = b"\xef\xbb\xbf"
SINGLE = frozenset({"text", "html", "docx", "odt", "eml", "ipynb", "pdf"})  # formats whose file is a record
_COPY_BYTES = 1 << 30


@dataclass(frozen=True)
class Kept:
    """What is kept of a file.

    Attributes:
        file: The input.
        rows: Rows kept, ascending, shape (n,).
        ranges: Their bytes, as ``PartBatch`` has them, shape (n, 2).
        way: How they are written.
        target: The new file.
        wanted: Fields that were read.
        codecs: Of a Parquet file's columns.
    """

    file: File
    rows: NDArray[np.int64]
    ranges: NDArray[np.int64]
    way: str
    target: Path
    wanted: WantedFields
    codecs: Mapping[str, str] = field(default_factory=dict)


def way_of(file: File, ends: NDArray[np.int64]) -> str:
    """How the kept records of a file are written.

    Args:
        file: The input.
        ends: Where each of its records ends, 0 for one without bytes of its own.
    """
    kind, own = file.format, bool((ends > 0).all())
    if kind in COLUMNAR:
        return "columns"
    if kind in SINGLE:
        return "file"
    if kind == "warc":
        return "bytes" if own else "documents"
    if kind in ("jsonl", "mbox") or (kind == "json" and own and len(ends)):
        return "bytes" if file.is_plain else "spans"
    return "rows" if kind in (*TABLES_OF_TEXT, "json") else "documents"


def copy_ranges(kept: Kept) -> None:
    """Copies what is kept byte for byte: ranges of the file, or all of it."""
    file, ranges = kept.file, kept.ranges
    file.check()
    if kept.way == "file":
        ranges = np.array([[0, file.size]] if len(kept.rows) else [], np.int64).reshape(-1, 2)
    of_lines = file.format in ("jsonl", "json")
    kept.target.parent.mkdir(parents=True, exist_ok=True)
    with open(file.local, "rb", buffering=0) as source, open(kept.target, "wb", buffering=0) as sink:
        for start, end in _joined(ranges):
            while start < end:
                copied = os.sendfile(sink.fileno(), source.fileno(), start, min(end - start, _COPY_BYTES))
                if not copied:
                    break  # the file has become shorter, which check() below finds
                start += copied
            if of_lines and end < file.size and os.pread(source.fileno(), 1, end - 1) != b"\n":
                sink.write(b"\n")  # a share of a line that holds several records
    file.check()


def _joined(ranges: NDArray[np.int64]) -> list[tuple[int, int]]:
    """The ranges, those that follow on each other as one."""
    firsts = np.flatnonzero(np.append(True, ranges[1:, 0] != ranges[:-1, 1])) if len(ranges) else np.zeros(0, int)
    ends = np.append(ranges[firsts[1:] - 1, 1], ranges[-1:, 1])
    return list(zip(ranges[firsts, 0].tolist(), ends.tolist(), strict=True))


def write_kept(kept: Kept) -> list[Damaged]:
    """Writes what is kept of a file that cannot be copied; returns what is lost of it only here."""
    file, lost = kept.file, list[Damaged]()
    file.check()
    kept.target.parent.mkdir(parents=True, exist_ok=True)
    if kept.way == "columns":
        lost = write_columns(file, kept.rows, kept.target, kept.codecs, kept.wanted)
    elif kept.way == "spans":
        _write_spans(kept)
    elif kept.way == "documents":
        _write_documents(kept)
    elif file.format == "json":
        _write_values(kept)
    else:
        _write_rows(kept)
    file.check()
    return lost


def _open_range(file: File) -> RangeReader:
    try:
        return RangeReader(file.local, 0, file.size, digests=False)
    except OSError as error:
        raise RunError(f"cannot be read: {in_a_sentence(error, file.path)}") from error


def _write_spans(kept: Kept) -> None:
    """Writes spans of the decompressed file, and a line feed after one that ends within a line."""
    of_lines = kept.file.format in ("jsonl", "json")
    spans = iter([*_joined(kept.ranges), None])
    span = next(spans)
    with _open_range(kept.file) as reader, compressor(kept.target, kept.file.compression) as sink:
        data: Iterator[bytes | Gap] = chunks(reader, Limits())
        data = as_utf8(data) if of_lines else data
        offset, last = 0, b"\n"
        for chunk in data:
            if isinstance(chunk, Gap):
                continue
            end = offset + len(chunk)
            while span is not None and span[0] < end:
                if span[0] >= offset and of_lines and last != b"\n":
                    sink.write(b"\n")
                piece = chunk[max(0, span[0] - offset) : span[1] - offset]
                sink.write(piece)
                last = piece[-1:] or last
                if span[1] > end:
                    break
                span = next(spans)
            if span is None and of_lines and last != b"\n":
                sink.write(b"\n")
                last = b"\n"
            offset = end


def _kept_records(kept: Kept, fields: Fields) -> Iterator[Record]:
    """The kept records of a file, read once more."""
    wanted = iter([*kept.rows.tolist(), -1])
    following = next(wanted)
    for row, item in Items(Part.whole(kept.file), fields):
        if isinstance(item, Record) and row == following:
            yield item
            following = next(wanted)
    if following != -1:
        kept.file.check()
        raise RunError(f"{kept.file.path}: row {following:,} was read and cannot be read any more; run again")


def _write_rows(kept: Kept) -> None:
    """The kept rows of a table, below what stands above its first row."""
    fields = FullFields(kept.wanted)
    with compressor(kept.target, kept.file.compression) as sink:
        with _open_range(kept.file) as reader:
            first = next(chunks(reader, Limits()), b"")
        sink.write(BOM if isinstance(first, bytes) and first.startswith(BOM) else b"")
        written = 0
        for record in _kept_records(kept, fields):
            sink.write(b"".join(fields.head[written:]) + _raw(record))  # joined files have several headers
            written = len(fields.head)
        sink.write(b"" if written else b"".join(fields.head))


def _write_values(kept: Kept) -> None:
    """The kept values of a JSON file: in a list, where it begins with one."""
    with _open_range(kept.file) as reader:
        first = next(as_utf8(chunks(reader, Limits())), b"")
    in_list = isinstance(first, bytes) and first.removeprefix(BOM).lstrip()[:1] == b"["
    between = b",\n" if in_list else b"\n"
    with compressor(kept.target, kept.file.compression) as sink:
        before = b"[\n" if in_list else b""
        for record in _kept_records(kept, FullFields(kept.wanted)):
            sink.write(before + _raw(record))
            before = between
        end = b"\n" if before == between else b""
        sink.write(end + b"]\n" if in_list and end else before + b"]\n" if in_list else end)


def _raw(record: Record) -> bytes:
    assert isinstance(record, FullRecord), "the record was read without its bytes"
    return record.raw


def _write_documents(kept: Kept) -> None:
    """The kept records of a file that cannot be written again record by record, as JSON Lines."""
    with open(kept.target, "wb") as sink:
        for record in _kept_records(kept, FullFields(kept.wanted)):
            sink.write(json_line(record))


def json_line(record: Record) -> bytes:
    """A record as a line of JSON: with its own fields, or of one without fields what its reader tells."""
    value = record.value if isinstance(record, FullRecord) else _told(record)
    try:
        return orjson.dumps(value, default=_plain) + b"\n"
    except TypeError:  # whole numbers of more than 64 bits
        return json.dumps(value, ensure_ascii=False, default=_plain).encode("utf-8", "replace") + b"\n"


def _told(record: Record) -> dict[str, Any]:
    named = {name: getattr(record, name) for name in ("id", "text", "url", "date", "licence", "path")}
    return {name: value for name, value in {**named, **(record.metadata or {})}.items() if value is not None}


def _plain(value: Any) -> str:
    """What JSON has no form for: bytes in base64, anything else as it is printed."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
