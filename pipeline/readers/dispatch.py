"""A part of a partition -> the items of its format's reader."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline import storage
from pipeline.readers.columnar import read_arrow, read_parquet
from pipeline.readers.fields import Fields
from pipeline.readers.items import Damaged, Item
from pipeline.readers.jsonl import read_jsonl
from pipeline.readers.streams import Gap, Limits, RangeReader, chunks
from pipeline.readers.text import read_separated, read_whole
from pipeline.readers.warc import Wanted, read_warc


@dataclass(frozen=True)
class ReadOptions:
    """What of the recipe says how a source is read."""

    fields: Fields
    limits: Limits = field(default_factory=Limits)
    wanted: Wanted = field(default_factory=Wanted)
    separator: str | None = None


@dataclass
class PartReader:
    """Reads the parts of one partition; ``digests`` then holds what was read.

    Args:
        root: Folder or URL below which the parts lie.
        options: How to read.
        names: True names of files whose name is not valid Unicode, hex of their bytes.
    """

    root: str
    options: ReadOptions
    names: Mapping[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    def read(self, part: Mapping[str, Any]) -> Iterator[Item]:
        """Every item of a part.

        Args:
            part: A ``partition.Part`` as plain values.
        """
        path = part["path"]
        if part["error"] is not None:
            yield Damaged(path, 0, None, "unreadable", part["error"])
            return
        name = os.fsdecode(bytes.fromhex(self.names[path])) if path in self.names else path
        try:
            local = storage.open_local(f"{self.root.rstrip('/')}/{name}")
            start, end = (part["start"], part["end"]) if part["unit"] == "bytes" else (0, local.stat().st_size)
            reader = RangeReader(local, start, end)
        except OSError as error:
            yield Damaged(path, part["start"], None, "unreadable", f"file cannot be read: {error.strerror or error}")
            return
        with reader:
            try:
                yield from self._items(reader, local, part)
                self.digests[f"{path}@{part['start']}-{part['end']}"] = reader.digest()
            except OSError as error:
                detail = f"file cannot be read: {error.strerror or error}"
                yield Damaged(path, reader.position, reader.end - reader.position, "unreadable", detail)

    def _items(self, reader: RangeReader, local: Path, part: Mapping[str, Any]) -> Iterator[Item]:
        path, kind, options = part["path"], part["format"], self.options
        if kind == "warc":
            yield from read_warc(reader, path, options.limits, options.wanted)
        elif kind == "parquet":
            groups = (part["start"], part["end"]) if part["unit"] == "row_groups" else (0, None)
            yield from read_parquet(local, path, options.fields, options.limits, *groups)
        elif kind == "arrow":
            yield from read_arrow(local, path, options.fields, options.limits)
        else:
            yield from read_stream(chunks(reader, options.limits), path, kind, options, start=part["start"])


def read_stream(
    data: Iterator[bytes | Gap], path: str, kind: str, options: ReadOptions, start: int = 0
) -> Iterator[Item]:
    """Items of a format that is read from front to back."""
    if kind in ("jsonl", "json"):
        yield from read_jsonl(data, path, options.fields, options.limits, start)
    elif kind == "text" and options.separator:
        yield from read_separated(data, path, options.separator, options.limits)
    elif kind in ("text", "html"):
        yield from read_whole(data, path, kind, options.limits)
    else:
        raise ValueError(f"{path}: no reader for the format {kind}")
