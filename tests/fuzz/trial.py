"""Reads one file as the clean stage would, and says what is wrong with how it went."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.clean.decode import NotText, decode
from pipeline.readers.parts.inputs import InputFile
from pipeline.readers.parts.part_reader import PartReader, ReadOptions
from pipeline.readers.parts.partition import split
from pipeline.readers.raw.ledger import DOCUMENTS, EXCLUDED, QUARANTINED, Tally
from pipeline.readers.records import INT64_MAX, Damaged, Excluded, Fields, Item, Record
from pipeline.readers.streams import Limits

LIMITS = Limits(record_bytes=4 << 20, decompressed_bytes=64 << 20)
MAX_ITEMS = 100_000
FAULTS = ("reader_failed", "unread_bytes")  # reasons that say that a reader is wrong, not the file


def complaints(folder: Path, name: str, data: bytes) -> Iterator[str]:
    """What a file shows to be wrong, in words; nothing where all is well."""
    path = folder / name
    path.write_bytes(data)
    options = ReadOptions(Fields({}, None), LIMITS)
    reader = PartReader(str(folder), options)
    tally = Tally()
    for part in split(InputFile(name, str(path), len(data)), "auto", 4096):
        for number, item in enumerate(reader.read(part)):
            tally.add(*_weighed(item))
            yield from _of_item(item, name)
            if number > MAX_ITEMS:
                yield f"more than {MAX_ITEMS:,} items of {len(data):,} bytes"
                break
        tally.settle(reader.ledger)
    counts = tally.counts()
    if min(counts.values()) < 0:
        yield f"bytes below zero: {counts}"
    os.unlink(path)


def _weighed(item: Item) -> tuple[str, int | None, int | None, int]:
    if isinstance(item, Damaged):
        return QUARANTINED, item.length, item.lost, item.given
    return (EXCLUDED if isinstance(item, Excluded) else DOCUMENTS), item.length, None, 0


def _of_item(item: Item, name: str) -> Iterator[str]:
    if not 0 <= item.offset <= INT64_MAX:
        yield f"offset {item.offset}"
    try:
        f"{item.path}{getattr(item, 'detail', '')}{getattr(item, 'text', '')}".encode()
    except UnicodeEncodeError as error:
        yield f"no UTF-8: {error}"
    detail = (item.detail or "") if isinstance(item, Damaged) else ""
    if isinstance(item, Damaged) and item.reason in FAULTS and not detail.startswith("zip:"):
        yield f"{item.reason}: {detail}"
    if isinstance(item, Record) and item.body is not None:
        with contextlib.suppress(NotText):
            decode(item.body, item.charset, html=item.body_type == "html")
