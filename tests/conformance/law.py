"""The law of bytes, file by file: bytes on disk = documents + excluded + quarantined + framing.

The sums are the product's own.  Beside them, where offsets are bytes of the file as it lies on disk, what stands
between the items is looked at: it must be framing.
"""

from collections.abc import Iterator
from pathlib import Path

from pipeline.clean import settings as clean_settings
from pipeline.readers.parts.inputs import InputFile
from pipeline.readers.parts.part_reader import PartReader
from pipeline.readers.parts.partition import split
from pipeline.readers.raw.compression import compression_of
from pipeline.readers.raw.ledger import DOCUMENTS, EXCLUDED, QUARANTINED, Tally
from pipeline.readers.records import Damaged, Excluded, Item
from pipeline.recipe.options import Clean
from tests.conformance.cases import Settings

PART_BYTES = 4 << 20
FRAMING = b" \t\r\n\v\f,[]\x1e\0\xef\xbb\xbf"  # between values; marks of files that were joined
FAULTS = ("reader_failed", "record_failed", "unread_bytes")  # reasons that say that the product is wrong
BY_BYTE = ("jsonl", "json")


def complaints(path: str, settings: Settings) -> list[str]:
    """What a file shows to be wrong with where its bytes go; none where all is well."""
    return list(_complaints(Path(path), settings))


def _complaints(path: Path, settings: Settings) -> Iterator[str]:
    source = clean_settings.SourceSettings(name="law", **{"format": "auto", **settings.recipe()})
    options = clean_settings.Settings(Clean(), source).read_options()
    reader, tally, size = PartReader(str(path.parent), options), Tally(), path.stat().st_size
    parts, items = [], []
    for part in split(InputFile(path.name, str(path), size), settings.format, PART_BYTES):
        parts.append(part)
        for item in reader.read(part):
            tally.add(*_weighed(item))
            items.append((item.offset, item.length))
            if isinstance(item, Damaged) and item.reason in FAULTS:
                yield f"{item.reason}: {item.detail}"
        tally.settle(reader.ledger)
    counts = tally.counts()
    if counts["bytes_in"] != size or min(counts.values()) < 0:
        yield f"{size:,} bytes on disk: {counts}"
    if parts and all(part.format in BY_BYTE for part in parts):
        yield from _between(path.read_bytes(), items)


def _weighed(item: Item) -> tuple[str, int | None, int | None, int]:
    if isinstance(item, Damaged):
        return QUARANTINED, item.length, item.lost, item.given
    return (EXCLUDED if isinstance(item, Excluded) else DOCUMENTS), item.length, None, 0


def _between(data: bytes, items: list[tuple[int, int | None]]) -> Iterator[str]:
    """What no item of a file stands for, and is no framing."""
    if compression_of(data[:64]) or data[:2] in (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb") or b"\0" in data[:4]:
        return  # offsets are those of other bytes
    at = 0
    for offset, length in sorted((offset, length or 0) for offset, length in items):
        left = data[at:offset].strip(FRAMING)
        if left:
            yield f"{len(left)} bytes at {at} belong to nothing: {left[:60]!r}"
        at = max(at, offset + length)
    if items and data[at:].strip(FRAMING):
        yield f"{len(data[at:])} bytes at {at} belong to nothing: {data[at : at + 60]!r}"
