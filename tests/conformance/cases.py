"""What is fed and what is found: cases, the rows that became of each, findings."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

TEXT = "The ferry left at noon with {} crates of oranges, and the harbour was quiet again."
Row = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """How a recipe's source reads its files; cases of the same settings share a source."""

    format: str = "auto"
    fields: tuple[tuple[str, str], ...] = ()
    separator: str | None = None
    encoding: str | None = None

    def recipe(self) -> dict[str, Any]:
        """The keys of the source."""
        keys = {"format": self.format, "fields": dict(self.fields), "separator": self.separator}
        return {name: value for name, value in {**keys, "encoding": self.encoding}.items() if value}


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        kind: SILENT (records that are in no table), DEATH, HANG, or a deviation: STRICT (sound, and refused), LENIENT
            (damaged, and taken), VALUE (another value), COLLATERAL (sound records lost beside a damaged one), BINARY
            (no text, and a document), BYTES (the law of bytes).
        case: The group and name of the file.
        records: How many are lost in silence.
    """

    kind: str
    case: str
    detail: str
    records: int = 0


@dataclass
class Rows:
    """What became of one file."""

    documents: list[Row] = field(default_factory=list)
    excluded: list[Row] = field(default_factory=list)
    quarantined: list[Row] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Rows of all three tables."""
        return len(self.documents) + len(self.excluded) + len(self.quarantined)

    @property
    def ids(self) -> set[str | None]:
        """The documents' own ids."""
        return {row["id"] for row in self.documents}

    def reasons(self) -> str:
        """Why rows are no documents, with their numbers."""
        counts = Counter(row["reason"] for row in [*self.quarantined, *self.excluded])
        return ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items())) or "nothing set aside"


Judgement = Iterable[tuple[str, str, int]]  # kind, detail, records lost
Check = Callable[[Rows], Judgement]


def no_check(rows: Rows) -> Judgement:
    """For files of which only their survival is asked."""
    del rows
    return ()


@dataclass(frozen=True)
class Case:
    """One file.

    Attributes:
        group: The suite's part that it belongs to; a folder of the input.
        name: Its file name.
        data: Its bytes.
        dedup: The field of its text where `dedup run` reads it too.
        rows: Records that an independent reader finds in it, where that is known.
    """

    group: str
    name: str
    data: bytes
    settings: Settings = Settings()
    check: Check = no_check
    dedup: str | None = None
    rows: int | None = None

    @property
    def place(self) -> str:
        """Group and name."""
        return f"{self.group}/{self.name}"


def line(id_: str, number: int | str = 1) -> bytes:
    """A sound record of JSON Lines, without its line end."""
    return json.dumps({"id": id_, "text": TEXT.format(number)}).encode()


def exactly(number: int) -> Check:
    """As many rows as an independent reader has records."""

    def check(rows: Rows) -> Iterator[tuple[str, str, int]]:
        if rows.total < number:
            detail = f"{number} records, {rows.total} rows ({rows.reasons()})"
            yield ("COLLATERAL", detail, 0) if rows.quarantined else ("SILENT", detail, number - rows.total)
        elif rows.total > number:
            yield "VALUE", f"{number} records, {rows.total} rows ({rows.reasons()})", 0

    return check


def binary(rows: Rows) -> Judgement:
    """A file that is no text must be no document."""
    if rows.documents:
        yield "BINARY", f"a document of {len(rows.documents[0]['text']):,} characters", 0


def same_text(wanted: str, found: str) -> bool:
    """Whether two texts are equal but for what normalisation may change: its form, line ends, white and invisible."""
    return _bare(wanted) == _bare(found)


def _bare(text: str) -> str:
    import unicodedata

    text = text.encode("utf-8", "replace").decode() if any("\ud800" <= c <= "\udfff" for c in text) else text
    text = unicodedata.normalize("NFC", text)
    return "".join(c for c in text if not c.isspace() and unicodedata.category(c) not in ("Cc", "Cf", "Cn", "Zl", "Zp"))
