"""The summary as data: sections of fields, each field with what is known and what a person must still write."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

YES_NO = ("Yes", "No")


@dataclass(frozen=True)
class Said:
    """What is known, from the run or from a person's answers: one paragraph."""

    text: str


@dataclass(frozen=True)
class Open:
    """What a person must still write."""

    text: str


@dataclass(frozen=True)
class Choice:
    """Boxes, of which some are ticked; none where it is not known yet."""

    boxes: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Table:
    """Rows of text under a head; ``numbers`` are the columns that are set to the right."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...] = ()


Block = Said | Open | Choice | Table


@dataclass(frozen=True)
class Field:
    """One field of the template; ``key`` is its name in the file of answers."""

    key: str
    label: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Section:
    """A section or subsection: its number and title, and its fields."""

    title: str
    level: int
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True)
class Summary:
    """The whole document."""

    title: str
    note: str
    sections: tuple[Section, ...] = field(default=())

    def open_places(self) -> list[tuple[Field, Open]]:
        """Each place where a person must still write, in order."""
        return [
            (found, block)
            for section in self.sections
            for found in section.fields
            for block in found.blocks
            if isinstance(block, Open)
        ]


def ticked(options: Sequence[str], chosen: Sequence[str]) -> Choice:
    """Boxes of which the ``chosen`` are ticked."""
    return Choice(tuple((option, option in chosen) for option in options))


def paragraphs(text: str) -> Iterator[Said]:
    """A person's text, a block for each of its paragraphs."""
    for part in text.split("\n\n"):
        if part.strip():
            yield Said(" ".join(part.split()))
