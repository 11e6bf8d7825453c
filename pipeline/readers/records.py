"""What a reader yields: a record, or the one row that stands for what is damaged or not wanted.

``Fields`` makes the record of a structured value: the recipe's ``fields`` say which field holds what, with the usual
names as defaults.
"""

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.base.errors import in_words
from pipeline.readers import nested
from pipeline.screen.kind_words import UNSUPPORTED

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
    text.  Of JSON Lines, ``row`` is the line in the part that is read, and ``span`` the bytes of the decompressed file
    that are this record's own: its line, line end included, or its share of a line that holds several.
    """

    path: str
    offset: int
    text: str = ""
    body: bytes | None = None
    body_type: str = "text"  # text | html; robots | tdmrep: what a site says of all of its pages
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
    language: str | None = None  # as the record states it
    parts: "list[Item] | None" = None  # where the recipe makes several documents of it: these stand in its place
    row: int | None = None
    span: tuple[int, int] | None = None
    crawl_date: str | None = None  # when it was fetched, where that is known
    date_from: str | None = None  # the place in a page where ``date`` stands


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
    return f"{UNSUPPORTED}{kind}"


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
        names: The recipe's mapping, ours -> theirs; a dotted name looks into nested objects and lists.
        licence: Licence of records that name none.
        metadata: Names of what is kept as metadata; None: everything that ``names`` does not take.

    Attributes:
        whole: Whether a record is taken whatever its fields are called.
        takes_lists: Whether the text may be a list of texts, or lie in one.
        kept: Of each name in ``metadata``, how many records have had it.
    """

    whole = False

    def __init__(self, names: Mapping[str, str], licence: str | None, metadata: Sequence[str] | None = None) -> None:
        self.licence = licence
        self.chat = "messages" in names
        stated = {ours: nested.plain_name(theirs) for ours, theirs in names.items()}
        stated |= {"text": stated["messages"]} if self.chat else {}
        self.names = {ours: (stated[ours],) if ours in stated else usual for ours, usual in USUAL_NAMES.items()}
        self._roots = {  # the keys of a record in one of which a field lies, where it has it
            ours: frozenset(key for name in named for key in (name, name.partition(".")[0]))
            for ours, named in self.names.items()
        }
        self.html_name = stated.get("html")
        self.language_name = stated.get("language")
        self.metadata = None if metadata is None else tuple(metadata)
        self.kept: Counter[str] = Counter()
        self._main = self.html_name or stated.get("text")  # whatever stands there was asked for by name: lists too
        self.takes_lists = self._main is not None
        self._joins = "text" in stated
        way = names.get("html") or names.get("messages") or names.get("text") or ""
        self._steps = nested.steps_of(way, each="html" in names)
        self._keep = frozenset(name.partition(".")[0] for name in self.metadata or ())

    def heading(self, data: bytes) -> None:
        """Takes note of a line above the records of a table that belongs to none of them: its header."""

    def record(self, value: dict[str, Any], path: str, offset: int, raw: bytes = b"") -> Item:
        """The record of one mapping, which is taken apart: what is left over becomes ``metadata``."""
        try:
            if self._main is None or type(value.get(self._main)) is str:  # by far the most
                return self._record(value, path, offset, raw)
            return self._deep(value, path, offset, raw)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:  # of a value that is no text at all
            return Damaged(path, offset, len(raw) or None, "record_failed", in_words(error), raw)

    def _deep(self, value: dict[str, Any], path: str, offset: int, raw: bytes) -> Item:
        """The record where its text may lie in lists: one of several parts where each item is a document."""
        several = nested.spread(value, self._steps, self._keep)
        if several is None:
            return self._record(value, path, offset, raw)
        parts = [self._part(one, path, offset, number) for number, one in enumerate(several)]
        if not parts:
            return Excluded(path, offset, "empty", f"no item in {self._main}", length=len(raw))
        if raw:
            parts[0].length = len(raw)
        return Record(path, offset, weight=len(raw), length=len(raw), parts=parts)

    def _part(self, value: dict[str, Any], path: str, offset: int, number: int) -> Item:
        item = self._record(value, path, offset, b"")
        if isinstance(item, Record):
            item.part_of_offset = number
        return item

    def _record(self, value: dict[str, Any], path: str, offset: int, raw: bytes) -> Item:
        kept = self._kept(value) if self.metadata is not None else None
        html = _take(value, (self.html_name,)) if self.html_name else None
        text = _take(value, self.names["text"]) if html is None else ""
        if self._joins and html is None and (self.chat or not isinstance(text, str | bytes)):
            text = self._joined(value, text)
        if isinstance(text, bytes):
            data = text
            try:
                text = data.decode("utf-8")
            except UnicodeDecodeError as error:
                return Damaged(path, offset, len(data), "not_utf8", str(error)[:200], data)
        if not isinstance(text, str):
            return self._without_text(value, text, path, offset, raw)
        licence = self._of(value, "licence")
        return Record(
            path,
            offset,
            text,
            id=self._of(value, "id"),
            url=self._of(value, "url"),
            date=self._of(value, "date"),
            language=_string(_take(value, (self.language_name,))) if self.language_name else None,
            licence=licence or self.licence,
            licence_evidence="record" if licence else ("recipe" if self.licence else None),
            metadata=(value if kept is None else kept) or None,
            body=html.encode("utf-8", "replace") if isinstance(html, str) else html,
            body_type="text" if html is None else "html",
            charset="utf-8" if isinstance(html, str) else None,
            weight=len(raw),
            length=len(raw),
        )

    def _of(self, value: dict[str, Any], kind: str) -> str | None:
        """Takes a field out of a record, as text; most records have few of them, which is asked first."""
        return None if self._roots[kind].isdisjoint(value) else _string(_take(value, self.names[kind]))

    def _joined(self, value: dict[str, Any], found: Any) -> Any:
        """The text of lists; what was found where there is none."""
        if self.chat:
            chat = nested.chat_text(found) if found is not None else nested.joined(value, self.names["text"][0], None)
            return chat if chat is not None else (None if found is None else _NoChat(found))
        made = nested.joined(value, self.names["text"][0], found)
        return made if made is not None else found

    def _kept(self, value: dict[str, Any]) -> dict[str, Any]:
        """What the recipe wants as metadata, as it stands before the fields are taken out."""
        found = {name: item for name in self.metadata or () if (item := _at(value, name)) is not None}
        self.kept.update(found.keys())
        return copy.deepcopy(found)

    def _without_text(self, value: dict[str, Any], text: Any, path: str, offset: int, raw: bytes) -> Damaged:
        head = raw or repr(value).encode("utf-8", "replace")
        if text is None:
            detail = f"no {' or '.join(self.names['text'])}; fields: {', '.join(sorted(map(str, value))[:20])}"
            return Damaged(path, offset, len(raw) or None, "missing_text", detail, head)
        if isinstance(text, _NoChat):
            detail = f"{self.names['text'][0]} is no chat: a list of messages with role and content"
            return Damaged(path, offset, len(raw) or None, "wrong_type", detail, head)
        detail = f"{self.names['text'][0]} is of type {type(text).__name__}, not a string"
        return Damaged(path, offset, len(raw) or None, "wrong_type", detail, head)


@dataclass(frozen=True)
class _NoChat:
    """What stands where messages were expected."""

    value: Any


def _at(value: dict[str, Any], name: str) -> Any:
    """The value at a dotted name; None where there is none."""
    if name in value:
        return value[name]
    parent, _, rest = name.partition(".")
    inner = nested.value_of_json(value.get(parent)) if rest else None
    return _at(inner, rest) if rest and isinstance(inner, dict) else None


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
