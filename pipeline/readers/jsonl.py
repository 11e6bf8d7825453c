"""JSON Lines, and JSON files that hold one object, several, or a list of them, to records."""

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.base.errors import parse_json
from pipeline.readers.lines import lines
from pipeline.readers.raw.ledger import Ledger
from pipeline.readers.records import HEAD_BYTES, Damaged, Fields, Item, Record, too_large
from pipeline.readers.streams import Gap, Limits

BLANK = b" \t\r\n\v\f"
BOM = b"\xef\xbb\xbf"
BETWEEN = BLANK + b",\0\x1e" + BOM  # what may stand between values: also the separator of RFC 7464, and padding
LARGE = float(1 << 63)
SNIFF_BYTES = 4096  # where a list may begin below a line that is no value
HALVES = ("json_invalid", "not_utf8")  # of a line behind a gap: the gap counts both of its halves
RESTART_BYTES = 64  # kept while the start of a value is looked for
_NEXT_ITEM = re.compile(rb'\}\s{0,20},(?=\s{0,20}\{\s{0,20}")')


def read_jsonl(
    chunks: Iterator[bytes | Gap],
    path: str,
    fields: Fields,
    limits: Limits,
    start: int = 0,
    ledger: Ledger | None = None,
) -> Iterator[Item]:
    """One record per line, or per object where several stand on one; a blank line is none.

    Offsets are bytes in the decompressed file.  The ledger's ``rows`` become the lines.
    """
    ledger = Ledger() if ledger is None else ledger
    row = -1
    for row, line in enumerate(lines(chunks, path, limits.record_bytes, start)):
        if isinstance(line, Damaged):
            yield line
            continue
        data = line.data
        if data and data.strip(BLANK):
            value = parse_object(data, path, line.offset)
            if type(value) is dict:
                item = fields.record(value, path, line.offset, data)
                if isinstance(item, Record):
                    item.row, item.span = row, (line.offset, line.offset + len(data) + 1)
                line.data = data = b""  # which may be large, and would be held for as long as the record
                yield item
                continue
            for item in records_of_line(data, path, line.offset, fields):
                if isinstance(item, Record):
                    item.row = row
                if not (line.after_gap and isinstance(item, Damaged) and item.reason in HALVES):
                    yield item
    ledger.rows += row + 1


def records_of_line(data: bytes, path: str, offset: int, fields: Fields) -> Iterator[Item]:
    """The records of a line without its line feed; several where a line feed between them is lost."""
    value = parse_object(data, path, offset)
    if not isinstance(value, Damaged):
        yield _spanning(fields.record(value, path, offset, data), offset, offset + len(data) + 1)
        return
    # a file that was appended to another one brings its mark, a log after a power cut zeros, a list its commas
    begin = len(data) - len(data.lstrip(BETWEEN))
    body = data[begin:].rstrip(BLANK + b",")
    pieces = [piece for piece in _objects(body) if piece[1].strip(BETWEEN)] if body[:1] == b"{" else []
    if not pieces or (len(pieces) == 1 and pieces[0][1] == data):
        yield value
        return
    for number, (at, piece) in enumerate(pieces):
        place = offset + begin + at
        first, last = number == 0, number == len(pieces) - 1
        end = offset + len(data) + 1 if last else place + len(piece)
        yield _spanning(_parse(piece, path, place, fields), offset if first else place, end)


def _spanning(item: Item, start: int, end: int) -> Item:
    if isinstance(item, Record):
        item.span = (start, end)
    return item


def _objects(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The values in bytes that begin with one, with their places; what follows the last one is one more."""
    from pipeline.kernels.json_scan import value_ends

    taken = 0
    for end in [*value_ends(np.frombuffer(data, np.uint8), np.zeros(3, np.int64), 0).tolist(), len(data)]:
        piece = data[taken:end]
        start = len(piece) - len(piece.lstrip(BETWEEN))
        if start < len(piece):
            yield taken + start, piece[start:]
        taken = end


def read_json(
    chunks: Iterator[bytes | Gap], path: str, fields: Fields, limits: Limits, ledger: Ledger | None = None
) -> Iterator[Item]:
    """One record per object of a JSON file: lists of objects, objects one after the other, or JSON Lines after all.

    Offsets are bytes in the decompressed file.
    """
    first = next(chunks, b"")
    rest = chain([first], chunks)
    if isinstance(first, Gap):
        yield from read_jsonl(rest, path, fields, limits, ledger=ledger)
        return
    opening = first.removeprefix(BOM).lstrip(BLANK)
    line = opening.partition(b"\n")[0]
    begins = opening[:1]
    if (begins == b"{" and _is_whole(line)) or (begins not in (b"[", b"{") and b"\n[" not in opening[:SNIFF_BYTES]):
        yield from read_jsonl(rest, path, fields, limits, ledger=ledger)
        return
    yield from JsonText(rest, path, fields, limits).items()


class JsonText:
    """JSON values that are not one per line: lists of objects, and objects one after the other, in any order.

    A damaged value costs itself: reading goes on at the next line that begins as the first value's line did, and from
    there on each such line is taken for the start of a value.
    """

    def __init__(self, chunks: Iterator[bytes | Gap], path: str, fields: Fields, limits: Limits) -> None:
        self._chunks, self._path, self._fields, self._limit = chunks, path, fields, limits.record_bytes
        self._data, self._offset = bytearray(), 0  # what is read and not yet taken, and where it begins
        self._gap: Gap | None = None
        self._line_start: bytes | None = None  # how a line begins on which a value begins
        self._looked = False  # at what stands between the first two items of a list
        self._by_line = False  # brackets are no guide any more

    def items(self) -> Iterator[Item]:
        """Every value, and every stretch of bytes that is none."""
        while True:
            self._skip()
            if not self._data:
                if self._gap is None:
                    return
                yield from self._over_gap()
            elif self._by_line:
                yield from self._lines()
            elif self._data[:1] == b"[":
                self._take(1)
                self._skip()
                yield from self._values(1)
            elif self._data[:1] == b"{":
                yield from self._values(0)
            else:
                yield from self._junk()

    def _more(self) -> bool:
        """Reads one more chunk; False at the end, and before a gap."""
        if self._gap is not None:
            return False
        chunk = next(self._chunks, None)
        if isinstance(chunk, Gap):
            self._gap = chunk
        elif chunk is not None:
            self._data += chunk
            return True
        return False

    def _take(self, size: int) -> bytes:
        taken = bytes(self._data[:size])
        del self._data[:size]
        self._offset += size
        return taken

    def _skip(self) -> None:
        """Passes over what may stand between values, and remembers how the first value's line begins."""
        while True:
            blank = self._take(len(self._data) - len(self._data.lstrip(BETWEEN)))
            if self._line_start is None and b"\n" in blank and self._data[:1] == b"{":
                self._line_start = b"\n" + blank.rpartition(b"\n")[2] + b"{"
            if self._data or not self._more():
                return

    def _values(self, base: int) -> Iterator[Item]:
        """Values at nesting ``base``, up to the end of the list, or to one after which there is another kind."""
        if not base and self._line_start is None:
            self._line_start = b"\n{"
        state, scanned = np.array([base, 0, 0], np.int64), 0
        large: tuple[int, bytes] | None = None  # place and head of a value that is too large to hold
        while True:
            taken = 0
            for end in self._ends(scanned, state, base):
                value = bytes(self._data[taken : end - base])
                if large is not None:
                    yield self._too_large(large, self._offset + end - base)
                else:
                    yield from self._closed(list(self._value(value, self._offset + taken)), end, base)
                taken, large = end, None
                if self._by_line or self._is_last(end, base):
                    self._take(taken)
                    return
            self._take(taken)
            scanned = len(self._data)
            if scanned > self._limit and self._line() < 0:
                if large is None:
                    self._skip()
                    large = self._offset, bytes(self._data[:HEAD_BYTES])
                self._take(len(self._data))
                scanned = 0
            elif scanned > self._limit:
                break
            if not self._more():
                break
        if large is not None:
            yield self._too_large(large, self._offset + len(self._data))
            self._data.clear()
        else:
            yield from self._unfinished()

    def _closed(self, items: list[Item], end: int, base: int) -> list[Item]:
        """The items of a value, with a bracket behind it that closes nothing; looks at what follows the first one."""
        if base and self._data[end - 1 : end] == b"}":
            if items and isinstance(items[-1], Damaged) and items[-1].length is not None:
                items[-1].length = self._offset + end - items[-1].offset
            else:
                detail = "a bracket that closes nothing"
                items.append(Damaged(self._path, self._offset + end - 1, 1, "json_invalid", detail, b"}"))
        if base and self._line_start is None and not self._looked:
            self._looked = True
            following = bytes(self._data[end : end + RESTART_BYTES])
            blank = following[: len(following) - len(following.lstrip(BLANK))]
            if b"\n" in blank and following[len(blank) : len(blank) + 1] == b"{":  # the first item stands beside
                self._line_start = b"\n" + blank.rpartition(b"\n")[2] + b"{"  # its list's bracket
        return items

    def _ends(self, scanned: int, state: NDArray[np.int64], base: int) -> list[int]:
        from pipeline.kernels.json_scan import value_ends

        found = value_ends(np.frombuffer(bytes(self._data[scanned:]), np.uint8), state, base)
        return list((found + scanned + base).tolist())

    def _is_last(self, end: int, base: int) -> bool:
        """Whether a value that ends there is the last of its list, or something else than a value follows it."""
        if base:
            return self._data[end - 1 : end] != b","
        return bytes(self._data[end : end + 1024]).lstrip(BETWEEN)[:1] not in (b"", b"{")

    def _too_large(self, large: tuple[int, bytes], end: int) -> Damaged:
        start, head = large
        return too_large(self._path, start, end - start, f"a value of {end - start:,} bytes", self._limit, head)

    def _value(self, data: bytes, offset: int) -> Iterator[Item]:
        start = len(data) - len(data.lstrip(BETWEEN))
        data, offset = data[start:].rstrip(BLANK), offset + start
        if not data:
            return
        if len(data) > self._limit:
            yield self._too_large((offset, data), offset + len(data))
            return
        item = _parse(data, self._path, offset, self._fields)
        if not (isinstance(item, Damaged) and item.reason == "json_invalid"):
            yield item
            return
        self._by_line = self._line_start is not None  # brackets may be missing in it, or be too many
        at = data.find(self._line_start, 1) if self._line_start is not None else -1
        if at < 0:
            yield item
            return
        yield Damaged(self._path, offset, at, "json_invalid", item.detail, data[:at])
        for line_at, line in self._cut(data[at:]):
            yield from self._segment(line, offset + at + line_at)

    def _unfinished(self) -> Iterator[Item]:
        """What is left where a list or a value does not end: before a gap it is the half that the gap counts."""
        offset = self._offset
        left = self._take(len(self._data))
        if self._gap is not None:
            return
        for item in self._value(left, offset):
            if isinstance(item, Damaged) and item.reason == "json_invalid" and not self._by_line:
                item.detail = "the file ends within a value"
            yield item

    def _line(self) -> int:
        """Where the next line begins on which a value begins; -1 where none is read."""
        return self._data.find(self._line_start, 1) if self._line_start is not None else -1

    def _lines(self) -> Iterator[Item]:
        """Values by the lines that they begin on, up to a gap or to the end."""
        while (at := self._line()) < 0 and len(self._data) <= self._limit and self._more():
            pass
        if at < 0 and self._gap is not None:
            self._take(len(self._data))
            return
        offset = self._offset
        data = self._take(len(self._data) if at < 0 else at)
        if len(data) > self._limit:
            yield self._too_large((offset, data), offset + len(data))
        else:
            yield from self._segment(data, offset)

    def _cut(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        assert self._line_start is not None, "there is no way to tell lines"
        start = 0
        while start < len(data):
            end = data.find(self._line_start, start + 1)
            end = len(data) if end < 0 else end
            yield start, data[start:end]
            start = end

    def _segment(self, data: bytes, offset: int) -> Iterator[Item]:
        """The values of some lines; from the first that is damaged on, all of it is one damaged record."""
        for at, piece in _objects(data):
            if not piece.strip(BETWEEN + b"[]"):
                continue  # the end of a list, or the start of the next one
            item = _parse(piece, self._path, offset + at, self._fields)
            if isinstance(item, Damaged) and item.reason == "json_invalid":
                left = data[at:].rstrip(BETWEEN)
                yield Damaged(self._path, offset + at, len(left), "json_invalid", item.detail, left)
                return
            yield item

    def _over_gap(self) -> Iterator[Item]:
        """The gap, with the halves of values on both sides of it."""
        assert self._gap is not None, "there is no gap"
        yield self._gap.damaged(self._path)
        self._gap = None
        start = self._offset
        while (found := self._restart()) is None:
            self._take(max(0, len(self._data) - RESTART_BYTES))
            if not self._more():
                left = self._take(len(self._data))
                if self._offset > start:
                    detail = "after a gap, where no value can be told to begin"
                    yield Damaged(self._path, start, self._offset - start, "json_invalid", detail, left)
                return
        self._take(found)
        self._by_line = self._line_start is not None
        if not self._by_line:
            yield from self._values(1)

    def _restart(self) -> int | None:
        """Where a value begins after a gap, as far as is read."""
        if self._line_start is not None:
            at = self._data.find(self._line_start)
            return at if at >= 0 else None
        match = _NEXT_ITEM.search(self._data)
        return match.end() if match else None

    def _junk(self) -> Iterator[Damaged]:
        """A line that is no value; none where it only ends lists."""
        while (end := self._data.find(b"\n")) < 0 and len(self._data) <= self._limit and self._more():
            pass
        offset = self._offset
        line = self._take(len(self._data) if end < 0 else end).rstrip(BLANK)
        if line.strip(BETWEEN + b"]"):
            found = parse_object(line, self._path, offset)
            if not isinstance(found, Damaged):
                found = Damaged(self._path, offset, len(line), "json_invalid", "", line)
            yield found


def _is_whole(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except ValueError:
        return False
    return True


def _parse(data: bytes, path: str, offset: int, fields: Fields) -> Item:
    value = parse_object(data, path, offset)
    return value if isinstance(value, Damaged) else fields.record(value, path, offset, data)


def parse_object(data: bytes, path: str, offset: int) -> dict[str, Any] | Damaged:
    """The JSON object in ``data``, or what is wrong with it."""
    try:
        value = orjson.loads(data)
    except ValueError as error:
        try:  # what the strict parser refuses but is no damage: lone surrogates, NaN and Infinity
            value = replace_surrogates(parse_json(data.decode()))
        except UnicodeDecodeError:
            return Damaged(path, offset, len(data), "not_utf8", str(error), data)
        except (ValueError, RecursionError):
            return Damaged(path, offset, len(data), "json_invalid", str(error), data)
    if type(value) is not dict:
        return Damaged(path, offset, len(data), "json_not_object", f"a {_kind(value)}", data)
    return _with_all_digits(data, value) if _holds_large_float(value) else value


def _holds_large_float(value: dict[str, Any]) -> bool:
    """Whether a number may be in it that was a whole one: orjson makes floats of those beyond 64 bits."""
    waiting: list[Any] = [value]
    while waiting:
        outer = waiting.pop()
        for item in outer.values() if type(outer) is dict else outer:
            kind = type(item)
            if kind is float:
                if not -LARGE < item < LARGE:
                    return True
            elif kind is dict or kind is list:
                waiting.append(item)
    return False


def _with_all_digits(data: bytes, value: dict[str, Any]) -> dict[str, Any]:
    try:
        exact: dict[str, Any] = parse_json(data.decode())
    except ValueError:  # more digits, or deeper, than Python reads
        return value
    return exact


def replace_surrogates(value: Any) -> Any:
    """Lone surrogates, which no UTF-8 can hold, become U+FFFD in every string of a JSON value."""
    if isinstance(value, str):
        # pairs that were escaped one by one join; what stays alone is replaced
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [replace_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {replace_surrogates(key): replace_surrogates(item) for key, item in value.items()}
    return value


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    names = {list: "list", str: "string", int: "number", float: "number", type(None): "null"}
    return names.get(type(value), type(value).__name__)
