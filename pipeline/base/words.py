"""Text fit to be shown to a person: counts, hints, and what strangers wrote made harmless."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

Key = TypeVar("Key", str, bytes)

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls but tab and line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction marks, embeddings, overrides, isolates
    "\ufff9-\ufffb\U000e0000-\U000e007f\ufeff]"  # annotations, tags, byte order mark
)


def counted(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun: ``1 record``, ``2,000 records``; ``plural`` where that is not the noun and an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def largest_first(counts: Mapping[Key, int]) -> list[tuple[Key, int]]:
    """The counts, the largest first; equal ones by name.

    Example:
        >>> largest_first({"b": 1, "a": 1, "c": 7})
        [('c', 7), ('a', 1), ('b', 1)]
    """
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def nearest(name: str, known: Iterable[str]) -> str:
    """The words "; did you mean X?" for the known name nearest to ``name``, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


def printable(text: str) -> str:
    """``text`` without control characters other than tab and newline: what a terminal may be shown."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def visible(text: str) -> str:
    """``text`` for an HTML page: every acting character replaced by U+FFFD; CR LF becomes LF.

    The page's template escapes markup.  What is left are characters that act without being markup: control characters,
    and those that turn the direction of the text around them.

    Example:
        >>> visible("a" + chr(27) + "[31m" + chr(0x202E) + "b") == "a" + chr(0xFFFD) + "[31m" + chr(0xFFFD) + "b"
        True
    """
    return _ACTING.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def head(text: str, characters: int) -> str:
    """The first ``characters`` of a text, visible, with an ellipsis where more follows."""
    shown = visible(text[:characters])
    return f"{shown}…" if len(text) > characters else shown
