"""The lines of a delimited file, with a way back: what damage has swallowed is read again, but not without end."""

import csv
from collections import deque
from collections.abc import Iterator
from itertools import chain, islice

from pipeline.readers.lines import lines
from pipeline.readers.records import Damaged
from pipeline.readers.streams import Gap, Limits

MAX_ROW_CHARACTERS = 32 << 20  # of a row over several lines: a quote that is never closed must not take the whole file
SAMPLE_LINES = 100  # that the dialect is told from
REREAD_LINES = 20_000  # that may be read again because of ragged rows
BOM = "\ufeff"


class Feed:
    """Lines as text, with a way back to all but the first line of the current row.

    Args:
        chunks: Of the file, in UTF-8.
        path: Of the file, for the items.
        limits: Of a line.
        comment: What a line begins with that is no part of the table; empty for none.

    Attributes:
        row: Lines of the current row.
        damage: What ended the current row before its time.
        alone: Lines of which each is a row by itself, or none: a longer one ends as the last one did.
        comments: Lines that begin with the comment's mark, since they were taken away last.
    """

    def __init__(self, chunks: Iterator[bytes | Gap], path: str, limits: Limits, comment: str = "") -> None:
        self.path = path
        self._comment = comment
        self._lines = lines(_with_line_feeds(chunks), path, limits.record_bytes)
        self._again: deque[str] = deque()
        self._damages: deque[Damaged] = deque()  # met while looking ahead
        self.row: list[str] = []
        self.damage: Damaged | None = None
        self._size = 0
        self._first = True
        self._reread = 0
        self.alone = 0
        self.comments: list[str] = []

    def sample(self, count: int = SAMPLE_LINES) -> list[str]:
        """The next lines, which stay."""
        while len(self._again) < count and not self._damages and (line := self._read()) is not None:
            self._again.append(line)
        found = list(islice(self._again, count))
        return [line for line in found if not self._is_comment(line)] if self._comment else found

    def drop_lines(self, count: int) -> list[str]:
        """Takes the next lines."""
        self.sample(count)
        return [self._again.popleft() for _ in range(min(count, len(self._again)))]

    def lines_above(self, count: int) -> list[str]:
        """Takes so many of the lines that the sample has shown; comments between them are put aside."""
        taken: list[str] = []
        while len(taken) < count:
            line = self._again.popleft()
            (self.comments if self._is_comment(line) else taken).append(line)
        return taken

    def _is_comment(self, line: str) -> bool:
        return bool(self._comment) and line.startswith(self._comment)

    def give_back(self, *, damaged: bool = False, to_the_end: bool = False) -> bool:
        """Returns the current row's lines but the first to the input; False where it has one line.

        Args:
            damaged: The row ended in damage: one that begins on a line between does so too, if it is of several lines.
            to_the_end: Of the file, and not on its last line.
        """
        several = len(self.row) > 1
        if not damaged:
            self._reread += len(self.row) - 1
            if self._reread > REREAD_LINES:
                return False
        self._again.extendleft(reversed(self.row[1:]))
        if damaged and several:
            self.alone = max(0, len(self.row) - (1 if to_the_end else 2))
        self.row = self.row[:1]
        return several

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._again:
            text = self._again.popleft()
        elif self._damages or (read := self._read()) is None:
            self.damage = self._damages.popleft() if self._damages else None
            raise StopIteration
        else:
            text = read
        if self._comment and not self.row and self._is_comment(text):
            self.comments.append(text)
            return "\n"  # a blank line is no row
        self.row.append(text)
        self._size = self._size + len(text) if len(self.row) > 1 else len(text)
        if len(self.row) > 1 and self._size > MAX_ROW_CHARACTERS:
            raise csv.Error(f"a row over several lines has more than {MAX_ROW_CHARACTERS:,} characters")
        return text

    def _read(self) -> str | None:
        """The next line of the file; None at its end, and at damage, which is noted."""
        line = next(self._lines, None)
        if isinstance(line, Damaged):
            self._damages.append(line)
        if line is None or isinstance(line, Damaged):
            return None
        text = line.data.decode("utf-8", "surrogateescape") + "\n"
        text = text.removeprefix(BOM) if self._first else text
        self._first = False
        return text


def _with_line_feeds(chunks: Iterator[bytes | Gap]) -> Iterator[bytes | Gap]:
    """The same chunks; of a file whose lines end with a bare carriage return (old spreadsheets), with line feeds.

    So may the header alone, where rows were appended to it by another program.
    """
    first = next(chunks, b"")
    bare = isinstance(first, bytes) and b"\n" not in first and b"\r" in first
    if isinstance(first, bytes) and not bare:
        first = _header_with_line_feeds(first)
    for chunk in chain([first], chunks):
        yield chunk.replace(b"\r", b"\n") if bare and isinstance(chunk, bytes) else chunk


def _header_with_line_feeds(data: bytes) -> bytes:
    """The same bytes, with line feeds for the bare carriage returns of the first line that stand in no quotes."""
    line = data.partition(b"\n")[0].removesuffix(b"\r")
    if b"\r" not in line:
        return data
    pieces = line.split(b'"')  # those at even places are outside of quotes
    pieces[::2] = [piece.replace(b"\r", b"\n") for piece in pieces[::2]]
    return b'"'.join(pieces) + data[len(line) :]
