"""JSON Lines, and JSON files that hold one object, several, or a list of them, to records."""

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import orjson

from pipeline.readers.lines import lines
from pipeline.readers.records import HEAD_BYTES, Damaged, Fields, Item, too_large
from pipeline.readers.streams import Gap, Limits

BLANK = b" \t\r\n\v\f"
BOM = b"\xef\xbb\xbf"
LARGE = float(1 << 63)


def read_jsonl(
    chunks: Iterator[bytes | Gap], path: str, fields: Fields, limits: Limits, start: int = 0
) -> Iterator[Item]:
    """One record per line; a blank line is none.

    Offsets are bytes in the decompressed file.
    """
    for line in lines(chunks, path, limits.record_bytes, start):
        if isinstance(line, Damaged):
            yield line
            continue
        data = line.data
        if line.offset == 0 and data.startswith(BOM):
            data = data[len(BOM) :]
        if data and data.strip(BLANK):
            item = _parse(data, path, line.offset, fields)
            if not (line.after_gap and isinstance(item, Damaged)):  # else it is the other half of what the gap counts
                yield item


def read_json(chunks: Iterator[bytes | Gap], path: str, fields: Fields, limits: Limits) -> Iterator[Item]:
    """One record per object of a JSON file: a list of objects, objects one after the other, or JSON Lines after all.

    Offsets are bytes in the decompressed file.
    """
    first = next(chunks, b"")
    rest = chain([first], chunks)
    if isinstance(first, Gap):
        yield from read_jsonl(rest, path, fields, limits)
        return
    opening = first.removeprefix(BOM).lstrip(BLANK)
    line = opening.partition(b"\n")[0]
    if opening[:1] not in (b"[", b"{") or (opening[:1] == b"{" and _is_whole(line)):
        yield from read_jsonl(rest, path, fields, limits)
        return
    yield from _values(rest, path, fields, limits, 1 if opening[:1] == b"[" else 0)


def _is_whole(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except ValueError:
        return False
    return True


def _values(chunks: Iterator[bytes | Gap], path: str, fields: Fields, limits: Limits, base: int) -> Iterator[Item]:
    """Values at nesting ``base``; anything before the first and after the last bracket is no value."""
    from pipeline.kernels.json_scan import value_ends

    state = np.zeros(3, np.int64)
    pieces: list[bytes] = []
    dropped: bytes | None = None  # head of a value that is too large to hold
    offset = position = 0
    for chunk in chunks:
        if isinstance(chunk, Gap):
            yield chunk.damaged(path)
            return  # where a value starts after it cannot be known
        taken = 0
        for end in value_ends(np.frombuffer(chunk, np.uint8), state, base).tolist():
            if dropped is None:
                yield from _value(b"".join([*pieces, chunk[taken:end]]), path, offset, fields, limits, base)
            else:
                yield _too_large(path, offset, position + end - offset, dropped, limits)
            pieces, dropped, taken = [], None, end + base
            offset = position + taken
        position += len(chunk)
        if dropped is None:
            pieces.append(chunk[taken:])
            if position - offset > limits.record_bytes:
                held = b"".join(pieces)
                start = _start(held, offset, base)
                pieces, dropped, offset = [], held[start : start + HEAD_BYTES], offset + start
    if dropped is not None:
        yield _too_large(path, offset, position - offset, dropped, limits)
    elif state[0] > 0 or state[1]:
        left = b"".join(pieces)
        yield Damaged(path, offset, len(left), "json_invalid", "the file ends within a value", left)


def _too_large(path: str, offset: int, length: int, head: bytes, limits: Limits) -> Damaged:
    return too_large(path, offset, length, f"a value of {length:,} bytes", limits.record_bytes, head)


def _value(data: bytes, path: str, offset: int, fields: Fields, limits: Limits, base: int) -> Iterator[Item]:
    start = _start(data, offset, base)
    data = data[start:].rstrip(BLANK)
    if len(data) > limits.record_bytes:
        yield _too_large(path, offset + start, len(data), data, limits)
    elif data:
        yield _parse(data, path, offset + start, fields)


def _start(data: bytes, offset: int, base: int) -> int:
    """Bytes before a value: blanks, a comma, and before the first one the list's own bracket."""
    start = data.find(b"[") + 1 if base and offset == 0 else 0
    return len(data) - len(data[start:].lstrip(BLANK + b"," + BOM))


def _parse(data: bytes, path: str, offset: int, fields: Fields) -> Item:
    value = parse_object(data, path, offset)
    return value if isinstance(value, Damaged) else fields.record(value, path, offset, data)


def parse_object(data: bytes, path: str, offset: int) -> dict[str, Any] | Damaged:
    """The JSON object in ``data``, or what is wrong with it."""
    try:
        value = orjson.loads(data)
    except ValueError as error:
        try:  # what the strict parser refuses but is no damage: lone surrogates, NaN and Infinity
            value = replace_surrogates(json.loads(data.decode()))
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
        exact: dict[str, Any] = json.loads(data.decode())
    except (ValueError, RecursionError):  # more digits, or deeper, than Python reads
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
