"""Text fit to be shown to a person: counts, hints, and what strangers wrote made harmless."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

Key = TypeVar("Key", str, bytes)

FEWEST_LETTERS = 4  # of a name's beginning
MOST_NAMED = 20  # of a table's columns
LONGEST_NAME = 60  # of a column: the keys of a JSON object may be texts

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls but tab and line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction marks, embeddings, overrides, isolates
    "\ufff9-\ufffb\U000e0000-\U000e007f\ufeff]"  # annotations, tags, byte order mark
)


def counted(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun: ``1 record``, ``2,000 records``; ``plural`` where that is not the noun and an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def listed(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """Some names, none of them very long, and how many more there are.

    Example:
        >>> listed(["id", "body", "a" * 70], most=2), listed([])
        ('id, body and 1 more', 'none')
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    cut = (name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…" for name in names[:most])
    return ", ".join(cut) + more if names else "none"


def rounded(count: float) -> str:
    """An estimated count, with no more digits than it deserves.

    Example:
        >>> rounded(39_788_853), rounded(1_234), rounded(8)
        ('40 million', '1,200', '8')
    """
    for size, name in ((1e9, "billion"), (1e6, "million")):
        if count >= size:
            return f"{count / size:.1f} {name}" if count < 10 * size else f"{count / size:,.0f} {name}"
    digits = max(0, len(str(round(count))) - 2)
    return f"{round(round(count) / 10**digits) * 10**digits:,}"


def place(record: Mapping[str, Any]) -> str:
    """Where a record stands in its source; ``tokenmill explain`` finds it by the first part.

    Example:
        >>> place({"source": "web", "path": "a/b.jsonl", "offset": 1234})
        'a/b.jsonl at 1,234 (web)'
    """
    return f"{record['path']} at {record['offset']:,} ({record['source']})"


def largest_first(counts: Mapping[Key, int]) -> list[tuple[Key, int]]:
    """The counts, the largest first; equal ones by name.

    Example:
        >>> largest_first({"b": 1, "a": 1, "c": 7})
        [('c', 7), ('a', 1), ('b', 1)]
    """
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def nearest(name: str, known: Iterable[str]) -> str:
    """The words "; did you mean X?" for the known name nearest to ``name``, or nothing.

    Example:
        >>> nearest("max_top4", ["max_words", "max_top_4gram_char_ratio"])
        '; did you mean max_top_4gram_char_ratio?'
        >>> nearest("create", ["build", "remove"]), nearest("c5", ["c4"])
        ('', '; did you mean c4?')
    """
    names = list(known)
    near = [*_begun(name, names), *difflib.get_close_matches(name, names, n=1, cutoff=_likeness(name))]
    return f"; did you mean {near[0]}?" if near else ""


def _likeness(name: str) -> float:
    """How much a name has to be like another: one letter of two of a short one, more of a long one."""
    return 0.5 if len(name) < FEWEST_LETTERS else 0.6


def _begun(name: str, known: Iterable[str]) -> list[str]:
    """Known names of which ``name`` is the beginning, such as ``max_top4`` of ``max_top_4gram_char_ratio``."""
    begun = _plain(name)
    return [one for one in known if len(begun) >= FEWEST_LETTERS and _plain(one).startswith(begun)]


def _plain(name: str) -> str:
    return re.sub(r"[-_. ]", "", name).lower()


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


# -- figures


def figure(value: int | float | str | None) -> str:
    """A figure as people write it: ``1,204``, ``0.1235``, ``10,100``; a dash for one that was not measured."""
    if value is None:
        return "-"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def megabytes(size: float) -> str:
    """A size on disk in the unit that suits it.

    Example:
        >>> megabytes(1_064_960), megabytes(73_400_000_000), megabytes(120)
        ('1.1 MB', '73.4 GB', '0.1 kB')
    """
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size / 1e3:,.1f} kB"


def duration(seconds: float) -> str:
    """Seconds as ``42 s``, ``3 min 10 s`` or ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


# -- width


def cells(text: str) -> int:
    """Columns that a line of text takes on a terminal; a Chinese letter takes two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # milliseconds, which only a terminal with such letters has to spend

    return cell_len(text)


def cut(text: str, width: int) -> str:
    """The beginning of a line that ``width`` columns of a terminal hold."""
    if cells(text) <= width:
        return text
    from rich.cells import set_cell_size

    return set_cell_size(text, width).rstrip()


def aligned(rows: Sequence[Sequence[str]], names: int = 1) -> list[str]:
    """Rows as lines of columns that are as wide as what stands in them, so that a terminal has room for most tables.

    Args:
        rows: Titles and cells.
        names: How many of the first columns hold words, which begin on the left; figures end on the right.

    Example:
        >>> aligned([["", "now", "then"], ["kept", "1,338", "642"]])
        ['        now  then', 'kept  1,338   642']
    """
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        parts = [
            cell + " " * (width - cells(cell)) if number < names else " " * (width - cells(cell)) + cell
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(parts).rstrip())
    return lines


def wrapped(text: str, width: int, hang: int = 2) -> str:
    r"""``text`` with its lines broken between words where they are longer than ``width`` columns.

    What follows a break is indented ``hang`` columns deeper than its line.  A word that is too long for a line, such as
    a path, is left whole: a terminal breaks it, and it can still be copied.

    Example:
        >>> wrapped("  a recipe that nobody wrote", 16)
        '  a recipe that\n    nobody wrote'
    """
    return "\n".join(part for line in text.split("\n") for part in _broken(line, width, hang))


def _broken(line: str, width: int, hang: int) -> Iterator[str]:
    if cells(line) <= width:
        yield line
        return
    indent = len(line) - len(line.lstrip(" "))
    inner = " " * (indent + hang if indent + hang <= width // 2 else 0)
    taken = line[:indent]
    for gap, word in re.findall(r"( *)([^ ]+)", line[indent:]):
        if taken.strip() and cells(taken) + len(gap) + cells(word) > width:
            yield taken
            taken = inner + word
        else:
            taken += gap + word
    yield taken
