"""Pieces of text written down: as plain text, or as Markdown that a CommonMark parser reads back as the same blocks.

Plain text keeps paragraphs, items of lists, indented code, and rows of tables with a tab between their cells.  Markdown
marks headings, code with its language, tables and quotes too.  Neither writes links, images or emphasis.
"""

import re
from collections.abc import Iterable

from pipeline.extraction.page_tree import PageTree
from pipeline.extraction.shapes import Shape, marker_of
from pipeline.kernels.html_blocks import PARENT

SEPARATOR = "---"  # a line between the posts of a thread
_FENCE = re.compile(r"^\s*(`{3,}|~{3,})", re.MULTILINE)
# what would begin another block in Markdown
_BLOCK_START = re.compile(
    r"^(?:#{1,6}(?=\s|$)|>|[-+*](?=\s|$)|\d{1,9}[.)](?=\s|$)|=+\s*$|-+\s*$|`{3}|~{3}|(?:[-*_]\s*){3,}$)", re.MULTILINE
)
_HTML = re.compile(r"<(?=[A-Za-z/!?])")
_STAR = re.compile(r"(?<!\\)\*(?=\S)|(?<=\S)\*")
_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)
_TIGHT = frozenset((("term", "definition"), ("definition", "term"), ("definition", "definition"), ("term", "term")))


def write(tree: PageTree, shapes: Iterable[Shape], *, markdown: bool, posts: frozenset[int] = frozenset()) -> str:
    """The text.

    Args:
        tree: The page.
        shapes: What it is made of.
        markdown: Markdown; otherwise plain text.
        posts: Blocks that a post of a thread begins with: a separator comes before each but the first.
    """
    writer = _Writer(tree, markdown)
    for number, shape in enumerate(shapes):
        if number and not posts.isdisjoint(shape.blocks):
            writer.separate()
        writer.add(shape)
    return writer.text()


class _Writer:
    def __init__(self, tree: PageTree, markdown: bool) -> None:
        self.tree, self.markdown = tree, markdown
        self.lines: list[str] = []
        self.widths: dict[int, int] = {}  # items whose marker is written: its width
        self.before: Shape | None = None

    def text(self) -> str:
        return "\n".join(self.lines)

    def separate(self) -> None:
        self.lines += ["", SEPARATOR, ""] if self.lines else []
        self.before = None

    def add(self, shape: Shape) -> None:
        prefix, first, opens_item = self._prefixes(shape)
        if self.before is not None:
            tight = self._is_tight(shape, opens_item)
            if not tight:
                self.lines.append(self._blank(shape) if self.markdown else "")
        for number, line in enumerate(self._lines_of(shape)):
            start = first if number == 0 else prefix
            self.lines.append((start + line).rstrip() if not line else start + line)
        self.before = shape

    def _prefixes(self, shape: Shape) -> tuple[str, str, bool]:
        """What stands before each line of a piece, and before its first; does it begin an item?"""
        prefix = first = ""
        innermost = next((node for kind, node in reversed(shape.around) if kind == "li"), -1)
        opens = False
        for kind, node in shape.around:
            if kind == "quote":
                prefix, first = (prefix + "> ", first + "> ") if self.markdown else (prefix, first)
            elif node in self.widths:
                pad = " " * self.widths[node]
                prefix, first = prefix + pad, first + pad
            elif node == innermost:
                marker = marker_of(self.tree, node)
                self.widths[node] = len(marker)
                prefix, first, opens = prefix + " " * len(marker), first + marker, True
            else:
                self.widths[node] = 0  # an item that only holds other lists
        return prefix, first, opens

    def _blank(self, shape: Shape) -> str:
        """The empty line before a piece: within a quote that goes on, it is the quote's."""
        quotes = 0
        for mine, theirs in zip(shape.around, self.before.around if self.before else [], strict=False):
            if mine != theirs:
                break
            quotes += mine[0] == "quote"
        return ("> " * quotes).rstrip()

    def _is_tight(self, shape: Shape, opens_item: bool) -> bool:
        """Whether no empty line stands between the piece before and this one."""
        before = self.before
        assert before is not None, "the first piece"
        if opens_item and any(kind == "li" for kind, _ in before.around):
            plain_text = before.kind not in ("code", "table") and shape.kind not in ("code", "table")
            return plain_text and self._goes_on(shape, before)
        if opens_item and not self.markdown and before.kind == "paragraph":
            return False
        if not self.markdown and before.around and before.around == shape.around and shape.around[-1][0] == "li":
            return True
        return (before.kind, shape.kind) in _TIGHT and before.around == shape.around

    def _goes_on(self, shape: Shape, before: Shape) -> bool:
        """Whether the item that a piece begins belongs to a list that is open, or begins one below the item before."""
        parents = self.tree.layout.nodes[:, PARENT]
        items = [node for kind, node in shape.around if kind == "li"]
        before_items = [node for kind, node in before.around if kind == "li"]
        if any(parents[node] == parents[items[-1]] for node in before_items):
            return True
        starts_anywhere = marker_of(self.tree, items[-1]) in ("- ", "1. ")  # another number ends no paragraph
        return starts_anywhere and len(items) > 1 and items[-2] == before_items[-1]

    def _lines_of(self, shape: Shape) -> list[str]:
        if shape.kind == "table":
            return _table_lines(shape) if self.markdown else _plain_rows(shape)
        if shape.kind == "code":
            return _code_lines(shape) if self.markdown else shape.text.split("\n")
        if not self.markdown:
            return shape.text.split("\n")
        text = escaped(_INDENT.sub("", shape.text))
        return (f"{'#' * shape.level} {text}" if shape.kind == "heading" else text).split("\n")


def escaped(text: str) -> str:
    """Text in which Markdown would see no blocks and no HTML of its own."""
    if "<" in text:
        text = _HTML.sub(r"\\<", text)
    if "*" in text:
        text = _STAR.sub(r"\\*", text)
    return _BLOCK_START.sub(_backslash, text)


def _backslash(found: re.Match[str]) -> str:
    said = found.group()
    return f"{said[:-1]}\\{said[-1]}" if said[0].isdigit() else "\\" + said


def _code_lines(shape: Shape) -> list[str]:
    longest = max((len(fence) for fence in _FENCE.findall(shape.text)), default=2)
    fence = "`" * max(3, longest + 1)
    return [fence + shape.language, *shape.text.split("\n"), fence]


def _plain_rows(shape: Shape) -> list[str]:
    return ["\t".join(row[column] for column in sorted(row)) for row in shape.rows]


def _table_lines(shape: Shape) -> list[str]:
    """A table of GitHub's Markdown: its first row is the header, whether it was marked as one or not."""
    columns = sorted({column for row in shape.rows for column in row})
    lines = [_row([row.get(column, "") for column in columns]) for row in shape.rows]
    return [lines[0], "| " + " | ".join(["---"] * len(columns)) + " |", *lines[1:]]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(escaped(cell).replace("|", "\\|") for cell in cells) + " |"
