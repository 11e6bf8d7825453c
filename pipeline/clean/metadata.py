"""What a record holds beside its fields, as the JSON object of the column ``metadata``.

JSON has no bytes, no dates, no NaN and no infinity.  Dates are written as text; NaN and infinity are null; bytes are
text where they are UTF-8 (columns that were written without that mark), else only their number is kept.
"""

import json
import math
import sys
from typing import Any

MAX_NESTING = 1024  # levels, as of the JSON that is read


def metadata_json(value: dict[Any, Any]) -> str:
    """The JSON object for a mapping.

    Raises:
        ValueError, TypeError, RecursionError: If there is none, as for a number of more digits than are written.
    """
    try:
        return _dumps(value)
    except (ValueError, TypeError, RecursionError):
        return _deep(value)


def _deep(value: dict[Any, Any]) -> str:
    """Slower: with what JSON has not replaced, and with room for deep nesting."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 3 * MAX_NESTING)
    try:
        return _dumps(_plain(value))
    finally:
        sys.setrecursionlimit(limit)


def _dumps(value: Any) -> str:
    return _ENCODER.encode(value)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _printed(value: Any) -> str:
    if not isinstance(value, bytes | bytearray | memoryview):
        return str(value)
    data = bytes(value)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return f"{len(data):,} bytes"


_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=_printed, allow_nan=False)
