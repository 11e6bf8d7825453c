"""What a reader yields: a record, or the one row that stands for what is damaged or not wanted.

``Fields`` makes the record of a structured value: the recipe's ``fields`` say which field holds what, with the usual
names as defaults.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

INT64_MAX = (1 << 63) - 1
HEAD_BYTES = 256  # how much of a damaged record the quarantine keeps


def whole_number(text: str) -> int | None:
    """The number that an input states, at most ``INT64_MAX`` so that it fits every position; None where it is none.

    Example:
        >>> [whole_number(text) for text in (" 012 ", "9" * 30, "-1", "1_0", "")]
        [12, 9223372036854775807, None, None, None]
    """
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()):
        return None
    digits = digits.lstrip("0") or "0"
    return INT64_MAX if len(digits) > 19 else min(int(digits), INT64_MAX)


@dataclass(slots=True)
class Record:
    """One raw record: either ``text``, or a ``body`` of bytes still to be decoded and, where it is HTML, extracted.

    ``offset`` is the byte offset or row in ``path``; ``part_of_offset`` numbers records that share an offset (several
    WARC records in one gzip member).  ``weight`` is about the bytes of all its fields, where they are more than its
    text.
    """

    path: str
    offset: int
    text: str = ""
    body: bytes | None = None
    body_type: str = "text"  # text | html
    id: str | None = None
    url: str | None = None
    date: str | None = None
    licence: str | None = None
    licence_evidence: str | None = None
    metadata: dict[str, Any] | None = None
    charset: str | None = None  # of ``body``, as the transport or the recipe declares it
    headers: dict[str, str] | None = None  # HTTP headers that carry rights marks, names in lower case
    part_of_offset: int = 0
    length: int = 0  # bytes of the decompressed input that it stands for
    columns: dict[str, Any] | None = None  # of its document's row, where an HTML page states them itself
    weight: int = 0


@dataclass(slots=True)
class Damaged:
    """A damaged region: one quarantined record."""

    path: str
    offset: int
    length: int | None
    reason: str
    detail: str | None = None
    head: bytes = b""  # of what is damaged; cut to ``HEAD_BYTES``
    given: int = 0  # decompressed bytes that are lost with it, where ``length`` does not count them
    lost: int | None = None  # bytes on disk of a compressed region that gave no data; it may have given some before

    def __post_init__(self) -> None:
        self.head = self.head[:HEAD_BYTES]
        self.offset = min(max(self.offset, 0), INT64_MAX)  # what an input states may be beyond the table's columns
        if self.length is not None and not 0 <= self.length <= INT64_MAX:
            self.length = None


def too_large(path: str, offset: int, length: int | None, found: str, max_bytes: int, head: bytes) -> Damaged:
    """The item for what must not be held; ``found`` says what it is: "a line of 2,000 bytes"."""
    detail = f"{found}, more than max_record_bytes = {max_bytes:,}"
    return Damaged(path, offset, length, "record_too_large", detail, head)


@dataclass(slots=True)
class Excluded:
    """A well-formed record that is not wanted."""

    path: str
    offset: int
    reason: str
    detail: str | None = None
    url: str | None = None
    length: int = 0  # bytes of the decompressed input that it stands for


def unsupported(kind: str) -> str:
    """The reason of what no reader reads: one line a kind in every count of reasons."""
    return f"unsupported: {kind}"


Item = Record | Damaged | Excluded

# looked for in this order where the recipe names no field
USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "text": ("text", "content", "raw_content"),
    "id": ("id",),
    "url": ("url",),
    "date": ("date", "timestamp", "created"),
    "licence": ("licence", "license"),
}


class Fields:
    """Turns a mapping into a ``Record``.

    Args:
        names: The recipe's mapping, ours -> theirs; a dotted name looks into nested objects.
        licence: Licence of records that name none.

    Attributes:
        whole: Whether a record is taken whatever its fields are called.
    """

    whole = False

    def __init__(self, names: Mapping[str, str], licence: str | None) -> None:
        self.licence = licence
        self.names = {ours: (names[ours],) if ours in names else usual for ours, usual in USUAL_NAMES.items()}
        self.html_name = names.get("html")

    def record(self, value: dict[str, Any], path: str, offset: int, raw: bytes = b"") -> Item:
        """The record of one mapping, which is taken apart: what is left over becomes ``metadata``."""
        try:
            return self._record(value, path, offset, raw)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:  # of a value that is no text at all
            return Damaged(path, offset, len(raw) or None, "record_failed", f"{type(error).__name__}: {error}", raw)

    def _record(self, value: dict[str, Any], path: str, offset: int, raw: bytes) -> Item:
        html = _take(value, (self.html_name,)) if self.html_name else None
        text = _take(value, self.names["text"]) if html is None else ""
        if isinstance(text, bytes):
            data = text
            try:
                text = data.decode("utf-8")
            except UnicodeDecodeError as error:
                return Damaged(path, offset, len(data), "not_utf8", str(error)[:200], data)
        if not isinstance(text, str):
            return self._without_text(value, text, path, offset, raw)
        licence = _string(_take(value, self.names["licence"]))
        return Record(
            path,
            offset,
            text,
            id=_string(_take(value, self.names["id"])),
            url=_string(_take(value, self.names["url"])),
            date=_string(_take(value, self.names["date"])),
            licence=licence or self.licence,
            licence_evidence="record" if licence else ("recipe" if self.licence else None),
            metadata=value or None,
            body=html.encode("utf-8", "replace") if isinstance(html, str) else html,
            body_type="text" if html is None else "html",
            charset="utf-8" if isinstance(html, str) else None,
            weight=len(raw),
            length=len(raw),
        )

    def _without_text(self, value: dict[str, Any], text: Any, path: str, offset: int, raw: bytes) -> Damaged:
        head = raw or repr(value).encode("utf-8", "replace")
        if text is None:
            detail = f"no {' or '.join(self.names['text'])}; fields: {', '.join(sorted(map(str, value))[:20])}"
            return Damaged(path, offset, len(raw) or None, "missing_text", detail, head)
        detail = f"{self.names['text'][0]} is of type {type(text).__name__}, not a string"
        return Damaged(path, offset, len(raw) or None, "wrong_type", detail, head)


def _take(value: dict[str, Any], names: tuple[str | None, ...]) -> Any:
    """Removes and returns the first of the named fields that is there and not null."""
    for name in names:
        if name in value:
            found = value.pop(name)
            if found is not None:
                return found
        elif name and "." in name:
            parent, _, rest = name.partition(".")
            if isinstance(value.get(parent), dict):
                found = _take(value[parent], (rest,))
                if found is not None:
                    return found
    return None


def _string(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, bool | int | float):
        return str(value)
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)
