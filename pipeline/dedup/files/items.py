"""The items of a part, as the readers of ``tokenmill run`` give them, each with its row; bodies have become texts."""

import os
from collections.abc import Iterator

from pipeline.clean.settings import Settings, SourceSettings
from pipeline.dedup.files.fields import WantedFields
from pipeline.dedup.files.input_files import Part
from pipeline.readers.parts.formats import ARCHIVES
from pipeline.readers.parts.part_reader import PartReader, ReadOptions
from pipeline.readers.records import Damaged, Excluded, Fields, Item, Record
from pipeline.readers.streams import Limits
from pipeline.recipe.options import Clean

TABLES_OF_TEXT = ("csv", "tsv")


class Items:
    """Reads a part.

    Rows count from 0: lines of JSON Lines (blank ones count, but are no records), rows of CSV below the header, and
    else what is a record or damaged.  After the last item ``rows`` tells how many there were.

    Args:
        part: What to read.
        fields: Make the records of structured values.
        limits: Of a record, and of what the file may become.
    """

    def __init__(self, part: Part, fields: Fields, limits: Limits | None = None) -> None:
        self._part, self.rows = part, 0
        file = part.file
        csv = fields.csv if isinstance(fields, WantedFields) else None
        options = ReadOptions(fields, limits or Limits(), csv=csv)
        names = {file.path: os.fsencode(file.local.name).hex()}  # the path is below the shared folder, not below this
        self._reader = PartReader(str(file.local.parent), options, names, digesting=False)
        self._bodies = Bodies()
        self._in_archive = file.format in ARCHIVES

    def __iter__(self) -> Iterator[tuple[int, Item]]:
        """Every item with its row; an excluded one has the row of what follows."""
        kind, by_line = self._part.file.format, not self._in_archive
        for item in self._with_spans(self._reader.read(self._part.to_read())):
            if isinstance(item, Record) and item.row is not None and by_line:
                self.rows = item.row + 1
                yield item.row, item
            elif isinstance(item, Excluded):
                yield self.rows, item
            else:
                yield from self._numbered(item, kind)
        self.rows = max(self.rows, self._reader.ledger.rows)

    def _numbered(self, item: Record | Damaged, kind: str) -> Iterator[tuple[int, Item]]:
        """An item whose reader counts no lines; its body becomes a text."""
        row = self.rows
        if isinstance(item, Record) and kind in TABLES_OF_TEXT:
            row = max(row, item.offset)
        found: Item = item
        if isinstance(item, Record):
            found = item if item.body is None else self._bodies.read(item)
            if self._in_archive and isinstance(found, Record) and found.id is None:
                found.id = f"{item.path}:{item.offset if item.row is None else item.row}"
        self.rows = row if isinstance(found, Excluded) else row + 1
        yield row, found

    def _with_spans(self, items: Iterator[Item]) -> Iterator[Item]:
        """The items, with the bytes that are a record's own where these are more than one record's file."""
        kind = self._part.file.format
        if kind == "warc":
            return _spans_of_members(items, self._part.end)
        return _spans_of_messages(items) if kind == "mbox" else items


def _spans_of_messages(items: Iterator[Item]) -> Iterator[Item]:
    for item in items:
        if isinstance(item, Record):
            item.span = (item.offset, item.offset + item.length)
        yield item


def _spans_of_members(items: Iterator[Item], end: int) -> Iterator[Item]:
    """Records of a WARC file: from where one begins to where the next item does; none where several share a member."""
    held = next(items, None)
    before = -1
    while held is not None:
        following = next(items, None)
        stop = end if following is None else following.offset
        if isinstance(held, Record) and before != held.offset != stop:
            held.span = (held.offset, stop)
        before = held.offset
        yield held
        held = following


class Bodies:
    """Texts of the records whose readers give bytes: decoded, and of HTML the main text, as clean makes them."""

    def __init__(self) -> None:
        self._cleaner: object = None

    def read(self, record: Record) -> Item:
        """The record with its text, or what stands for it where there is none."""
        from pipeline.clean.worker import Cleaner  # models and tables that other formats do not need

        if not isinstance(self._cleaner, Cleaner):
            self._cleaner = Cleaner(Settings(Clean(opt_outs=[]), SourceSettings("INPUT", "auto")))
        item = self._cleaner.read_body(record)
        if isinstance(item, Record) and item.body_type == "html" and not item.text.strip():
            return Excluded(item.path, item.offset, "empty_extraction", None, item.url)
        return item


def in_words(damaged: Damaged) -> str:
    """Where a record is damaged, and how."""
    return f"{damaged.path}: {damaged.reason}: {damaged.detail}"
