"""The summary as Markdown; text from outside is escaped, so that it stays text."""

import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.base.words import visible
from pipeline.disclosure.page import Block, Choice, Open, Said, Summary, Table

_ACTS = re.compile(r"([\\`*_{}\[\]<>#|~&])")


def write_markdown(summary: Summary, path: Path) -> None:
    """Writes the summary."""
    path.write_text("\n".join(_lines(summary)) + "\n", encoding="utf-8")


def _lines(summary: Summary) -> Iterator[str]:
    yield from (f"# {summary.title}", "", f"> {escaped(summary.note)}", "")
    for section in summary.sections:
        if section.title:
            yield from (f"{'#' * (section.level + 1)} {section.title}", "")
        for found in section.fields:
            yield from (f"**{escaped(found.label)}**", "")
            for block in found.blocks:
                yield from (*_block(block), "")


def _block(block: Block) -> Iterator[str]:
    match block:
        case Said(text):
            yield escaped(text)
        case Open(text):
            yield f"**[TO WRITE: {escaped(text)}]**"
        case Choice(boxes):
            yield "  ".join(f"{'☒' if chosen else '☐'} {escaped(name)}" for name, chosen in boxes)
        case Table(head, rows, numbers):
            yield _row(head)
            yield f"|{'|'.join('---:' if number in numbers else '---' for number in range(len(head)))}|"
            yield from map(_row, rows)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(map(escaped, cells))} |"


def escaped(text: str) -> str:
    r"""One line of text in which nothing is markup.

    Example:
        >>> escaped("a*b [c](d)\n<e>")
        'a\\*b \\[c\\](d) \\<e\\>'
    """
    return _ACTS.sub(r"\\\1", " ".join(visible(text).split()))
