"""What a reader yields: a record, or the one row that stands for what is damaged or not wanted."""

from dataclasses import dataclass, field
from typing import Any

HEAD_BYTES = 256  # how much of a damaged record the quarantine keeps


@dataclass(slots=True)
class Record:
    """One raw record: either ``text``, or a ``body`` of bytes still to be decoded and, where it is HTML, extracted.

    ``offset`` is the byte offset or row in ``path``; ``part_of_offset`` numbers records that share an offset (several
    WARC records in one gzip member).
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


@dataclass(slots=True)
class Damaged:
    """A damaged region: one quarantined record."""

    path: str
    offset: int
    length: int | None
    reason: str
    detail: str | None = None
    head: bytes = field(default=b"")


@dataclass(slots=True)
class Excluded:
    """A well-formed record that is not wanted."""

    path: str
    offset: int
    reason: str
    detail: str | None = None
    url: str | None = None


Item = Record | Damaged | Excluded
