"""JSON Lines, and JSON files that hold one object or a list of them, to records."""

import json
from collections.abc import Iterator
from typing import Any

import orjson

from pipeline.readers.fields import Fields
from pipeline.readers.items import HEAD_BYTES, Damaged, Item
from pipeline.readers.lines import lines
from pipeline.readers.streams import Gap, Limits

BLANK = b" \t\r\n\v\f"
BOM = b"\xef\xbb\xbf"


def read_jsonl(
    chunks: Iterator[bytes | Gap], path: str, fields: Fields, limits: Limits, start: int = 0
) -> Iterator[Item]:
    """One record a line; a blank line is none.

    Offsets are bytes in the decompressed file.
    """
    loads = orjson.loads
    for line in lines(chunks, path, limits.record_bytes, start):
        if isinstance(line, Damaged):
            yield line
            continue
        data = line.data
        if line.offset == 0 and data.startswith(BOM):
            data = data[len(BOM) :]
        if not data or not data.strip(BLANK):
            continue
        try:
            value = loads(data)
        except ValueError as error:
            value = _second_look(data)
            if isinstance(value, Damaged):
                if not line.after_gap:  # else the other half of what the gap counts already
                    yield _damaged(path, line.offset, data, value.reason, str(error))
                continue
        if type(value) is not dict:
            yield _damaged(path, line.offset, data, "json_not_object", f"a {_kind(value)}")
            continue
        yield fields.record(value, path, line.offset, data)


def _second_look(data: bytes) -> Any:
    """What the strict parser refuses but is no damage: lone surrogates, NaN and Infinity."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return Damaged("", 0, None, "not_utf8")
    try:
        return mend_surrogates(json.loads(text))
    except (ValueError, RecursionError):
        return Damaged("", 0, None, "json_invalid")


def mend_surrogates(value: Any) -> Any:
    """Lone surrogates, which no UTF-8 can hold, become U+FFFD in every string of a JSON value."""
    if isinstance(value, str):
        # pairs that were escaped one by one join; what stays alone is replaced
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [mend_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {mend_surrogates(key): mend_surrogates(item) for key, item in value.items()}
    return value


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    names = {list: "list", str: "string", int: "number", float: "number", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def _damaged(path: str, offset: int, data: bytes, reason: str, detail: str) -> Damaged:
    return Damaged(path, offset, len(data), reason, detail, data[:HEAD_BYTES])
