"""Text and HTML files: one record per file, or a text file split at a separator."""

import re
from collections.abc import Iterator

from pipeline.readers.records import Damaged, Item, Record, too_large
from pipeline.readers.streams import Gap, Limits


def read_whole(
    chunks: Iterator[bytes | Gap], path: str, body_type: str, limits: Limits, encoding: str | None = None
) -> Iterator[Item]:
    """One record with the whole file as its body; a file with a damaged region is damaged as a whole.

    An empty file holds no record.
    """
    data = whole(chunks, path, limits)
    if isinstance(data, bytes):
        if data:
            yield Record(path, 0, body=data, body_type=body_type, charset=encoding, length=len(data))
    else:
        yield from data


def whole(chunks: Iterator[bytes | Gap], path: str, limits: Limits) -> bytes | list[Damaged]:
    """All bytes of a file; or its damaged regions, with which the rest is lost, or that it is too large."""
    pieces: list[bytes] = []
    damaged: list[Damaged] = []
    size = 0
    for chunk in chunks:
        if isinstance(chunk, Gap):
            damaged.append(chunk.damaged(path))
            continue
        size += len(chunk)
        pieces = [*pieces[:1]] if damaged or size > limits.record_bytes else [*pieces, chunk]
    if damaged:
        damaged[0].given = size
        return damaged
    if size > limits.record_bytes:
        return [too_large(path, 0, size, f"a file of {size:,} bytes", limits.record_bytes, b"".join(pieces))]
    return b"".join(pieces)


def read_separated(chunks: Iterator[bytes | Gap], path: str, separator: str, limits: Limits) -> Iterator[Item]:
    """One record between two separators; one of white space alone is none.

    A line feed of the separator also stands for a carriage return and line feed.

    Offsets are bytes in the decompressed file.  A gap takes the unfinished record before it with it.
    """
    parts = separator.encode().split(b"\n")
    mark = re.compile(b"\\r?\\n".join(map(re.escape, parts)))
    longest = len(separator.encode()) + len(parts) - 1
    buffer, offset = b"", 0
    for chunk in chunks:
        if isinstance(chunk, Gap):
            yield chunk.damaged(path)
            offset, buffer = offset + len(buffer), b""
            continue
        searched = max(0, len(buffer) - longest + 1)
        buffer += chunk
        start = 0
        for found in mark.finditer(buffer, searched):
            yield from _piece(buffer[start : found.start()], path, offset + start, limits)
            start = found.end()
        offset, buffer = offset + start, buffer[start:]
        if len(buffer) > limits.record_bytes:
            detail = f"no separator within max_record_bytes = {limits.record_bytes:,}"
            yield Damaged(path, offset, len(buffer), "record_too_large", detail, buffer)
            offset, buffer = offset + len(buffer), b""
    yield from _piece(buffer, path, offset, limits)


def _piece(data: bytes, path: str, offset: int, limits: Limits) -> Iterator[Item]:
    if len(data) > limits.record_bytes:
        yield too_large(path, offset, len(data), f"{len(data):,} bytes", limits.record_bytes, data)
    elif data.strip():
        yield Record(path, offset, body=data, length=len(data))
